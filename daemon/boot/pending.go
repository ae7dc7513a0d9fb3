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
	"github.com/ticketd/ticketd/store/journal/wal"
	"github.com/ticketd/ticketd/store/relay"
)

// Pending counts what waits in a site's journal while no daemon runs: changes for Redis, or without Redis tickets for MySQL, dead
// letters included. Its error wraps [wal.ErrLocked] where a daemon runs.
func Pending(ctx context.Context, c *config.Config, site string) (n int64, err error) {
	dir := c.JournalDir(site)
	if _, err := os.Stat(dir); dir == "" || errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	count := countAlone
	if c.HasRedis() {
		count = countRelay
	}
	n, err = count(ctx, dir, &c.Journal)
	if err != nil {
		return 0, fmt.Errorf("site %s: %w", site, err)
	}
	return n, nil
}

func countRelay(_ context.Context, dir string, _ *config.Journal) (int64, error) {
	n, err := relay.Waiting(dir) //nolint:contextcheck // it reads all or nothing
	return int64(n), err
}

func countAlone(ctx context.Context, dir string, c *config.Journal) (int64, error) {
	waiting, _, err := journal.Open(ctx, dir, journal.Options{
		Sync: wal.Sync(c.Fsync), Interval: c.FsyncInterval, MaxBytes: int64(c.MaxBytes), MaxEntries: c.MaxEntries,
		Log: zerolog.Nop(),
	})
	if err != nil {
		return 0, err
	}
	return waiting.Stats().Entries, waiting.Close() //nolint:contextcheck // it counts, and is closed whatever ends
}
