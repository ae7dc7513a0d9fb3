package planted

import (
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

//go:embed spool.php
var spoolScript []byte

// spool changes a ticket's subject through the plugin's client class, in a process whose clock shows a time, while the daemon
// is away.
func (r *rig) spool(t *testing.T, h *host, id int64, subject string, clock time.Time) {
	t.Helper()
	op := history.Op{
		Kind: history.Set, Ticket: id, Fields: map[string]history.Value{"subject": &subject},
		Request: "r-" + subject, Code: history.Spooled,
	}
	r.record(t, h, op, func(op *history.Op) error {
		file := filepath.Join(h.dir, "spool.php")
		if err := os.WriteFile(file, spoolScript, 0o600); err != nil {
			return err
		}
		asked, err := json.Marshal(map[string]any{
			"source": r.php, "socket": h.socket(), "spool": h.spool(), "identity": r.identity(t),
			"ticket": id, "subject": subject, "request": op.Request, "clock": clock.UnixMicro(),
		})
		if err != nil {
			return err
		}
		if out, err := exec.CommandContext(t.Context(), "php", file, string(asked)).CombinedOutput(); err != nil || string(out) != "0" {
			t.Fatalf("PHP said %q (%v), and is to spool the change", out, err)
		}
		return nil
	})
}
