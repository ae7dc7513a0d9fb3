package boot

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
)

// The keys that need a restart are named, those that a reload applies are not, and the file has no value of either.
func TestWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	c := config.Defaults()
	c.Daemon.StateDir = t.TempDir()
	c.Sites = map[string]config.Site{"main": {DSN: "u:hunter2@tcp(db)/wp", Batch: 100}, "gone": {}}
	if _, known := NeedRestart(&c); known {
		t.Error("it is known before a daemon has started")
	}
	d := &Daemon{config: &c, now: &c, log: zerolog.Nop()}
	d.keepSettings()
	if keys, known := NeedRestart(&c); len(keys) > 0 || !known {
		t.Errorf("the same configuration: %v, known %v", keys, known)
	}
	after := c
	after.Log.Level, after.Journal.MaxBytes = "debug", 1<<20
	after.Sites = map[string]config.Site{"main": {DSN: "u:other@tcp(db)/wp", Batch: 100, Linger: time.Minute}}
	if keys, _ := NeedRestart(&after); slices.Contains(keys, "sites.main.dsn") || !slices.Contains(keys, "journal.max_bytes") {
		t.Errorf("while the site was never served, these need a restart: %v", keys)
	}
	if err := writeMemory(identityFile(c.Daemon.StateDir, "main"), &custodyMemory{Identity: "I"}); err != nil {
		t.Fatal(err)
	}
	keys, _ := NeedRestart(&after)
	if !slices.Contains(keys, "sites.main.dsn") || !slices.Contains(keys, "journal.max_bytes") ||
		slices.Contains(keys, "sites.gone.dsn") || slices.Contains(keys, "log.level") || slices.Contains(keys, "sites.main.linger") ||
		slices.Contains(keys, "sites.main.batch") {
		t.Errorf("these need a restart: %v", keys)
	}
	if direct := restartKeys(&c, &after); !slices.Equal(direct, keys) {
		t.Errorf("the reload names %v, the check %v", direct, keys)
	}
	text, err := os.ReadFile(filepath.Join(c.Daemon.StateDir, startedWith))
	if err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("%v\n%s", err, text)
	}
}
