package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// The journal's folder is removed while the daemon runs and changes are pending in it, without Redis and with Redis away:
// within a second all pending changes are written again, and after a kill every acknowledged change exists. While the folder
// cannot be made no change is acknowledged, and the status says so.
func TestJournalFolderIsRemoved(t *testing.T) {
	t.Parallel()
	for what, withoutRedis := range map[string]bool{"without Redis": true, "before Redis": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := rigOptions{noRedis: withoutRedis, site: never}
			if !withoutRedis {
				o.redis = testenv.NewRedis(t, testenv.RedisOptions{})
			}
			r := newRig(t, o)
			if !withoutRedis {
				o.redis.Kill()
			}
			c := r.dial(t)
			say := func(id int64, text string) error {
				_, err := c.Set(t.Context(), set(id, "status", text))
				return err
			}
			must(t, say(1, "before"))
			folders, err := filepath.Glob(filepath.Join(filepath.Dir(r.socket), "journal", "main", "*"))
			if err != nil || len(folders) != 1 {
				t.Fatalf("journals %q, %v", folders, err)
			}
			must(t, os.RemoveAll(folders[0]))
			must(t, say(2, "after")) // or refused, a second later
			isBack := func() bool {
				segments, err := filepath.Glob(filepath.Join(folders[0], "*.wal"))
				return err == nil && len(segments) > 0
			}
			testenv.Eventually(t, 10*time.Second, "the folder is back", isBack)
			must(t, os.Rename(folders[0], filepath.Join(filepath.Dir(r.socket), "moved away")))
			must(t, os.WriteFile(folders[0], nil, 0o600))
			testenv.Eventually(t, 10*time.Second, "the status says that it is gone", func() bool {
				status, err := c.Status(t.Context())
				return err == nil && strings.Contains(strings.Join(status.Warnings, "\n"), "in memory alone")
			})
			if err := say(3, "nowhere"); !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
				t.Errorf("a change without a journal: %v, want it unavailable", err)
			}
			must(t, os.Remove(folders[0]))
			testenv.Eventually(t, 10*time.Second, "changes are acknowledged again", func() bool { return say(3, "again") == nil })
			testenv.Eventually(t, 10*time.Second, "the folder says whose changes are in it", func() bool {
				_, err := os.Stat(filepath.Join(folders[0], "identity"))
				return err == nil
			})
			r.Kill()
			if !withoutRedis {
				must(t, o.redis.Restart(t.Context()))
			}
			must(t, r.Restart(t.Context()))
			c = r.dial(t)
			_, err = c.Flush(t.Context(), nil, nil)
			must(t, err)
			for id, want := range map[int64]string{1: "before", 2: "after", 3: "again"} {
				if got := column(t, r.db, "status", id); got != want {
					t.Errorf("ticket %d: %q, want %q", id, got, want)
				}
			}
		})
	}
}
