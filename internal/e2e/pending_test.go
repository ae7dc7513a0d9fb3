package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// Before the package is removed, a command tells what only the journal holds. Reading the journal changes nothing.
func TestJournalPending(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{true, false} {
		t.Run(map[bool]string{true: "alone", false: "before Redis"}[alone], func(t *testing.T) {
			t.Parallel()
			o := rigOptions{noRedis: alone, site: never}
			if !alone {
				o.redis = testenv.NewRedis(t, durable)
			}
			r := newRig(t, o)
			config := filepath.Join(filepath.Dir(r.socket), "migrate.toml")
			pending := func(want string, fails bool) {
				t.Helper()
				out, err := r.run(t, "journal", "pending", "--config", config)
				if !strings.Contains(out, want) || (err != nil) != fails {
					t.Errorf("pending says %q (%v), want %q", out, err, want)
				}
			}
			restart := func(server interface {
				Restart(ctx context.Context) error
			},
			) {
				t.Helper()
				if err := server.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			pending("stop the daemon first", true)
			if !alone {
				o.redis.Kill()
			}
			mustSet(t, r.dial(t), 1, "status", "open")
			r.Kill()
			pending("main: 1\n", true)
			pending("main: 1\n", true)
			if !alone {
				restart(o.redis)
			}
			restart(r)
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			pending("main: 0\n", false)
			if got := column(t, r.db, "status", 1); got != "open" {
				t.Errorf("status %q in MySQL, want what was pending", got)
			}
		})
	}
}
