// Command replay sends a help desk's event log through a private WordPress, each line as an HTTP request that changes a
// ticket through the plugin, and compares every ticket in MySQL with the ticket's last line. replay fails on any difference.
//
//	go run ./bench/replay --file incident_event_log.csv [--workers N] [--rate R]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := Run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

// options are the command's.
type options struct {
	file    string
	workers int     // requests at a time
	rate    float64 // requests per second; 0: as many as possible
	plugin  string  // the plugin's folder
}

// Run replays the file that the arguments name. The working directory is the module's root.
func Run(ctx context.Context, args []string, out io.Writer) error {
	o := options{plugin: filepath.Join("php-client", "ticketd")}
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.StringVar(&o.file, "file", "", "the event log, a CSV file")
	flags.IntVar(&o.workers, "workers", 4, "requests at a time, 1 to 64; the updates of one ticket keep their order")
	flags.Float64Var(&o.rate, "rate", 0, "requests per second; 0: as many as there can be")
	if err := flags.Parse(args); err != nil {
		return err
	}
	const maxWorkers = 64
	if o.file == "" || flags.NArg() > 0 {
		return errors.New("say which event log to replay: --file PATH.csv (with make: FILE=PATH.csv)")
	}
	if o.workers < 1 || o.workers > maxWorkers || o.rate < 0 {
		return fmt.Errorf("--workers must be 1 to %d, --rate at least 0", maxWorkers)
	}
	return replay(ctx, &o, out)
}

func replay(ctx context.Context, o *options, out io.Writer) (err error) {
	updates, err := incidents.ReadFile(o.file)
	if err != nil {
		return err
	}
	s, err := startSite(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	last := incidents.Last(updates)
	fmt.Fprintf(out, "Sending %d updates of %d tickets, %d at a time …\n", len(updates), len(last), o.workers)
	sent := send(ctx, s, updates, o)
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := s.compare(ctx, last)
	if err != nil {
		return err
	}
	return r.print(out, &sent)
}

// mustUse makes an agent of everybody, over REST, too: replay does not test permissions.
const mustUse = `add_filter( "user_has_cap", fn( $caps ) => array( "ticketd_edit_tickets" => true ) + $caps );
add_filter( "ticketd_rest_permission", "__return_true" );`

// site is a private WordPress with all servers, in a temporary folder.
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

// end stops all servers and removes the folder.
func (s *site) end() error {
	var err error
	if s.Stack != nil {
		err = s.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
