package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/store/journal"
	"github.com/ticketd/ticketd/store/outbox"
)

// Pending counts what waits in a site's journal while no daemon runs: changes for Redis, or without Redis tickets for MySQL, dead
// letters included. Its error wraps wal.ErrLocked where a daemon runs.
func Pending(ctx context.Context, c *config.Config, site string) (n int64, err error) {
	dir := c.JournalDir(site)
	if _, err := os.Stat(dir); dir == "" || errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	n, err = waitingIn(ctx, dir, c.HasRedis())
	if err != nil {
		return 0, fmt.Errorf("site %s: %w", site, err)
	}
	return n, nil
}

// waitingIn counts what waits in a journal's folder: changes for Redis, or tickets for MySQL.
func waitingIn(ctx context.Context, dir string, forRedis bool) (int64, error) {
	if forRedis {
		n, err := outbox.Waiting(dir) //nolint:contextcheck // it reads all or nothing
		return int64(n), err
	}
	waiting, _, err := journal.Open(ctx, dir, journal.Options{Log: zerolog.Nop()})
	if err != nil {
		return 0, err
	}
	return waiting.Stats().Entries, waiting.Close() //nolint:contextcheck // it counts, and is closed whatever ends
}
