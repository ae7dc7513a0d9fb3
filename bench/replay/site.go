package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ticketd/ticketd/internal/testenv"
)

// mustUse opens the REST route to everybody: who may do what is not the question here.
const mustUse = "add_filter( 'ticketd_rest_permission', '__return_true' );"

// site is a private WordPress with all that it needs, in a folder of its own.
type site struct {
	*testenv.Stack
	dir  string
	made made
}

func startSite(ctx context.Context, o *options, out io.Writer) (*site, error) {
	dir, err := os.MkdirTemp("", "ticketd-replay-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for the site: %w", err)
	}
	s := &site{dir: dir}
	fmt.Fprintln(out, "Building ticketd, starting Redis, MariaDB, PHP-FPM, nginx and WordPress …")
	binary := filepath.Join(dir, "ticketd-bin")
	if err := testenv.BuildTicketd(ctx, binary); err != nil {
		return nil, errors.Join(err, s.end())
	}
	s.Stack, err = testenv.StartStack(ctx, dir, binary, o.plugin, testenv.StackOptions{
		MustUse: mustUse, PHP: testenv.PHPFPMOptions{Children: o.workers},
		Redis: testenv.RedisOptions{Config: []string{"appendonly yes", "maxmemory-policy noeviction"}},
	})
	if err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// end stops everything and removes the folder.
func (s *site) end() error {
	var err error
	if s.Stack != nil {
		err = s.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
