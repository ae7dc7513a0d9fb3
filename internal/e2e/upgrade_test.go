package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// formerState is the state left by a killed daemon of the version before the table's identity (990c148), beside its journal
// in the same folder of testdata/upgrade: tickets 1 to 3 were flushed and 3 was deleted; ticket 2 is a dead letter; a change
// of ticket 1 and the new ticket 4 are pending; with Redis, a change of ticket 1 and the new ticket 5 are in the journal,
// because Redis was stopped.
type formerState struct {
	Next  int64      `json:"next"`
	Rows  []string   `json:"rows"`  // id|subject|status|priority|revision|deleted_at
	Redis [][]string `json:"redis"` // commands
}

// upgraded starts the daemon on a state of that version.
func upgraded(t *testing.T, variant string, o rigOptions) *rig {
	t.Helper()
	folder := filepath.Join("testdata", "upgrade", variant)
	text, err := os.ReadFile(filepath.Join(folder, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{socket: filepath.Join(testenv.Folder(t), "d.sock")}
	config := r.config(t, &o)
	r.migrate(t, config)
	var database string
	if err := r.db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	var state formerState
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "{database}", database)), &state); err != nil {
		t.Fatal(err)
	}
	state.load(t, r)
	beside := filepath.Dir(r.socket)
	out, err := exec.CommandContext(t.Context(), "cp", "-r", filepath.Join(folder, "journal"),
		filepath.Join(folder, "main.table.json"), beside).CombinedOutput()
	if err == nil {
		out, err = exec.CommandContext(t.Context(), "chmod", "-R", "go-rwx", filepath.Join(beside, "journal")).CombinedOutput()
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	former := &spooler{dir: r.spool()}
	if err := os.Mkdir(former.dir, 0o770); err != nil {
		t.Fatal(err)
	}
	former.set(t, 1, "priority", "high", "spooled")
	r.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: config})
	return r
}

// load puts the rows and the keys in the places of that version.
func (s *formerState) load(t *testing.T, r *rig) {
	t.Helper()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := r.db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("DROP TABLE IF EXISTS wp_support_tickets_identity, wp_support_tickets_ticketd")
	exec("UPDATE wp_support_tickets_seq SET next = ?", s.Next)
	alter(t, r, "ADD CONSTRAINT no_forbidden CHECK (priority <> 'forbidden')")
	for _, row := range s.Rows {
		cells := make([]any, 0, 6)
		for cell := range strings.SplitSeq(row, "|") {
			if cell == "NULL" {
				cells = append(cells, nil)
			} else {
				cells = append(cells, cell)
			}
		}
		exec("INSERT INTO wp_support_tickets (ticket_id, subject, status, priority, revision, deleted_at) "+
			"VALUES (?, ?, ?, ?, ?, ?)", cells...)
	}
	for _, command := range s.Redis {
		args := make([]any, len(command))
		for i, word := range command {
			if args[i] = word; i == 1 {
				args[i] = r.prefix + word
			}
		}
		if err := r.redis.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Data that the version before the table's identity left in Redis, journal, spool and table is adopted: every acknowledged
// change arrives, once, and its dead letters and deletions stand.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for variant, o := range map[string]rigOptions{"redis": {}, "journal-only": {noRedis: true}} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			r := upgraded(t, variant, o)
			c := r.dial(t)
			if _, err := c.Flush(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			type cell struct {
				id          int64
				name, value string
			}
			want := []cell{
				{1, "subject", "flushed 1"}, {1, "status", "pending"}, {1, "extra", `{"note": "kept in extra"}`}, {1, "priority", "high"},
				{2, "priority", ""}, {3, "subject", "flushed 3"}, {4, "subject", "waits for MySQL"},
			}
			if variant == "redis" {
				want = append(want, cell{1, "category", "while Redis was away"}, cell{5, "subject", "made while Redis was away"})
			}
			for _, w := range want {
				if got := column(t, r.db, w.name, w.id); got != w.value {
					t.Errorf("%s of ticket %d is %q, want %q", w.name, w.id, got, w.value)
				}
			}
			if letters, err := c.DeadList(t.Context(), 0, 0); err != nil || len(letters) != 1 || letters[0].ID != 2 {
				t.Errorf("dead letters %+v (%v), want ticket 2", letters, err)
			}
			if _, err := c.Set(t.Context(), set(3, "status", "open")); code(err) != protocol.CodeNotFound {
				t.Errorf("a change of the deleted ticket: %v, want not_found", err)
			}
			made, err := c.Create(t.Context(), []protocol.Field{{Name: "subject", Value: protocol.Text("after the upgrade")}}, "after")
			if err != nil || made.ID <= 5 {
				t.Errorf("a new ticket: %+v (%v), want an id above the old ones", made, err)
			}
		})
	}
}
