package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// refusing is a daemon on a table with a rule that the door cannot know.
func refusing(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, rigOptions{})
	alter(t, r, "ADD CONSTRAINT no_forbidden CHECK (priority <> 'forbidden')")
	return r
}

func alter(t *testing.T, r *rig, change string) {
	t.Helper()
	if _, err := r.db.ExecContext(t.Context(), "ALTER TABLE wp_support_tickets "+change); err != nil {
		t.Fatal(err)
	}
}

// priorities sets the priority of tickets 1, 2, 3, … in a single request, so that they are flushed in a single batch.
func priorities(t *testing.T, c *protocol.Client, values ...string) {
	t.Helper()
	tickets := make([]protocol.TicketFields, len(values))
	for i, v := range values {
		priority := protocol.Field{Name: "priority", Value: protocol.Text(v)}
		tickets[i] = protocol.TicketFields{ID: int64(i + 1), Fields: []protocol.Field{priority}}
	}
	if _, err := c.SetMany(t.Context(), tickets, ""); err != nil {
		t.Fatal(err)
	}
}

func dead(t *testing.T, c *protocol.Client) int64 {
	t.Helper()
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status.Dead
}

// A value that MySQL refuses becomes a dead letter and delays no other ticket; a later good write clears it.
func TestRefusedByMySQL(t *testing.T) {
	t.Parallel()
	r := refusing(t)
	c := r.dial(t)
	priorities(t, c, "low", "forbidden", "high")
	testenv.Eventually(t, 5*time.Second, "one dead letter, the others in MySQL", func() bool {
		return dead(t, c) == 1 && column(t, r.db, "priority", 1) == "low" && column(t, r.db, "priority", 3) == "high"
	})
	letters, err := c.DeadList(t.Context(), 0, 0)
	if err != nil || len(letters) != 1 {
		t.Fatalf("letters %+v (%v), want one", letters, err)
	}
	l := letters[0]
	if l.ID != 2 || l.Code != 4025 && l.Code != 3819 || !strings.Contains(l.Reason, "no_forbidden") ||
		field(l.Fields, "priority").Text() != "forbidden" {
		t.Errorf("letter %+v, want the CHECK's error and the field", l)
	}
	ticket, err := c.Get(t.Context(), 2)
	if err != nil || field(ticket.Fields, "priority").Text() != "forbidden" {
		t.Errorf("the dead letter reads %+v (%v), want what was acknowledged", ticket, err)
	}
	if _, err := c.Set(t.Context(), set(2, "priority", "low")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the later write clears it", func() bool {
		return dead(t, c) == 0 && column(t, r.db, "priority", 2) == "low"
	})
}

// A retry after the table accepts the value; a drop if it never will.
func TestRetryAndDrop(t *testing.T) {
	t.Parallel()
	r := refusing(t)
	c := r.dial(t)
	priorities(t, c, "low", "high", "low")
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	priorities(t, c, "forbidden", "forbidden", "forbidden", "forbidden")
	testenv.Eventually(t, 5*time.Second, "four dead letters", func() bool { return dead(t, c) == 4 })

	if n, err := c.DeadDrop(t.Context(), []int64{2, 4}); err != nil || n != 2 {
		t.Errorf("dropped %d (%v), want 2", n, err)
	}
	back, err := c.Get(t.Context(), 2)
	if err != nil || field(back.Fields, "priority").Text() != "high" {
		t.Errorf("a dropped ticket reads %+v (%v), want what MySQL has", back, err)
	}
	if _, err := c.Get(t.Context(), 4); code(err) != protocol.CodeNotFound {
		t.Errorf("a dropped ticket that MySQL never had: %v", err)
	}

	if n, err := c.DeadRetry(t.Context(), []int64{1}); err != nil || n != 1 {
		t.Errorf("retried %d (%v), want 1", n, err)
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if n := dead(t, c); n != 2 {
		t.Errorf("%d dead letters, want what is refused again among them: 2", n)
	}
	alter(t, r, "DROP CONSTRAINT no_forbidden")
	if n, err := c.DeadRetry(t.Context(), nil); err != nil || n != 2 {
		t.Errorf("retried %d (%v), want 2", n, err)
	}
	testenv.Eventually(t, 5*time.Second, "both are in MySQL", func() bool {
		return dead(t, c) == 0 &&
			column(t, r.db, "priority", 1) == "forbidden" && column(t, r.db, "priority", 3) == "forbidden"
	})
	if got := column(t, r.db, "priority", 2); got != "high" {
		t.Errorf("the dropped change came to MySQL all the same: %q", got)
	}
}

func TestDeadCommands(t *testing.T) {
	t.Parallel()
	r := refusing(t)
	c := r.dial(t)
	priorities(t, c, "forbidden", "forbidden")
	testenv.Eventually(t, 5*time.Second, "two dead letters", func() bool { return dead(t, c) == 2 })
	for _, step := range []struct {
		args []string
		want string // a part of the output
		fail bool
	}{
		{args: []string{"dead", "list"}, want: "no_forbidden"},
		{args: []string{"dead", "list", "--format", "json"}, want: `"priority":"forbidden"`},
		{args: []string{"dead", "show", "2"}, want: `"forbidden"`},
		{args: []string{"dead", "show", "3"}, want: "is not a dead letter", fail: true},
		{args: []string{"status"}, want: "dead letters  2"},
		{args: []string{"dead", "retry"}, want: "--all", fail: true},
		{args: []string{"dead", "retry", "1", "3"}, want: "1 of the 2", fail: true},
		{args: []string{"flush", "1", "2"}, want: "dead list", fail: true}, // whether 1 has been tried again by then or not
		{args: []string{"dead", "drop", "1"}, want: "--yes", fail: true},
		{args: []string{"dead", "drop", "1", "--yes"}, want: "dropped 1"},
		{args: []string{"dead", "drop", "--all", "--yes"}, want: "dropped 1"},
		{args: []string{"dead", "list"}, want: "ID  SINCE"},
		{args: []string{"dead", "nonsense"}, want: "unknown command", fail: true},
	} {
		out, err := r.run(t, step.args...)
		if (err != nil) != step.fail || !strings.Contains(out, step.want) {
			t.Errorf("ticketd %s: %v\n%s\nwant %q in it, failed: %v",
				strings.Join(step.args, " "), err, out, step.want, step.fail)
		}
	}
}
