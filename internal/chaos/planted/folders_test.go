package planted

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/testenv"
)

// folders are the invariants of a daemon whose folders change while it runs.
var folders = map[string]invariant{
	"the spool's folder is the one at its path": {
		plants: []plant{{
			file: "daemon/spool/place.go", text: "\treturn p != was", instead: "\treturn false",
		}},
		site: never, provoke: spoolIsReplaced, rule: check.RuleFinal,
	},
	"a folder that cannot be read is not an empty one": {
		plants: []plant{{
			file: "daemon/spool/place.go", text: "\t\tif l.blind {", instead: "\t\tif false {",
		}},
		site: never, provoke: spoolIsSomebodyElses, rule: check.RuleFinal,
	},
	"the journal's files have names": {
		plants: []plant{{
			file: "store/wal/custody.go", text: "\tif missing == nil {", instead: "\tif missing == nil || true {",
		}},
		site: never, journal: true, provoke: journalIsRemoved, rule: check.RuleFinal,
	},
}

// own is the spool folder of this process' user.
func (h *host) own() string { return filepath.Join(h.spool(), strconv.Itoa(os.Geteuid())) }

// taken waits until the daemon has ingested all files of the folder at the path.
func (h *host) taken(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, patience, "the spool is taken in", func() bool {
		left, err := filepath.Glob(filepath.Join(h.own(), "*.frame"))
		return err == nil && len(left) == 0
	})
}

// spoolIsReplaced replaces the user's folder by a new folder, leaves a change there, and writes the ticket.
func spoolIsReplaced(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "zero", "")
	if err := errors.Join(os.Rename(h.own(), filepath.Join(h.dir, "former")), os.Mkdir(h.own(), 0o770)); err != nil {
		t.Fatal(err)
	}
	r.leave(t, h, 1, "spooled")
	r.set(t, h, 1, "newer", "")
	h.taken(t)
	r.get(t, h, 1)
}

// spoolIsSomebodyElses gives the user's folder to another user for a while, with a change in it, as a restore may.
func spoolIsSomebodyElses(t *testing.T, r *rig) {
	const stranger = 64109
	h := r.host(t)
	r.set(t, h, 1, "zero", "")
	if err := os.Chown(h.own(), stranger, -1); err != nil {
		t.Fatal(err)
	}
	r.leave(t, h, 1, "spooled")
	r.change(t, h, 1, "newer", "", false)
	if err := os.Chown(h.own(), os.Geteuid(), -1); err != nil {
		t.Fatal(err)
	}
	h.taken(t)
	r.get(t, h, 1)
}

// journalIsRemoved removes the journal's folder, writes, and kills the daemon after it had time to notice.
func journalIsRemoved(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "before", "")
	folder := filepath.Join(h.dir, "journal", "main", "mysql")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	r.set(t, h, 2, "after", "")
	noticing, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_ = testenv.Until(noticing, func() error { // the rule is for a daemon that does not notice
		if segments, _ := filepath.Glob(filepath.Join(folder, "*.wal")); len(segments) == 0 {
			return fs.ErrNotExist
		}
		return nil
	})
	h.Kill()
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{1, 2} {
		r.change(t, h, 10+id, "later", "", false)
	}
}
