package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// verify finds differences, and repairs them without touching dirty tickets.
func TestVerify(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\""})
	config := filepath.Join(filepath.Dir(r.socket), "verify.toml")
	writeFile(t, config, r.text)
	verify := func(args ...string) (string, error) {
		return r.run(t, append([]string{"verify", "--config", config}, args...)...)
	}
	c := r.dial(t)
	for id := int64(1); id <= 3; id++ {
		if _, err := c.Set(t.Context(), set(id, "status", "open")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), set(3, "status", "closed")); err != nil {
		t.Fatal(err)
	}
	if out, err := verify(); err != nil || !strings.Contains(out, "0 differ") {
		t.Fatalf("nothing is wrong, but: %v\n%s", err, out)
	}

	// A column that was NULL gets a value in SQL: a complete copy has no such field.
	const whole = 4
	if _, err := c.CreateWith(t.Context(), protocol.CreateParams{
		Change: protocol.Change{RequestID: "r4"}, ID: whole, Fields: []protocol.Field{{Name: "subject", Value: protocol.Text("whole")}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), whole); err != nil { // so that the copy is whole
		t.Fatal(err)
	}
	if _, err := r.db.ExecContext(t.Context(), "UPDATE wp_support_tickets SET category = 'sql' WHERE ticket_id = 4"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), set(3, "status", "closed")); err != nil { // the flush took the former entry
		t.Fatal(err)
	}

	// A row changed in SQL, a lost index entry, and a superfluous index entry.
	if _, err := r.db.ExecContext(t.Context(), "UPDATE wp_support_tickets SET status = 'sql' WHERE ticket_id = 1"); err != nil {
		t.Fatal(err)
	}
	if err := r.redis.ZRem(t.Context(), r.prefix+"ticket:dirty", 3).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.redis.Do(t.Context(), "ZADD", r.prefix+"ticket:dirty", 1<<52, 2).Err(); err != nil {
		t.Fatal(err)
	}
	out, err := verify()
	for _, want := range []string{
		"ticket 1: clean copy differs from MySQL: status", "ticket 2: in the index, but not dirty",
		"ticket 3: dirty, but not in the index", "ticket 4: clean copy differs from MySQL: category",
	} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("verify: %v\n%s\nwant %q", err, out, want)
		}
	}
	if out, err := verify("--repair"); err != nil {
		t.Fatalf("verify --repair: %v\n%s", err, out)
	}
	if got := column(t, r.db, "status", 3); got != "closed" {
		t.Errorf("after the repair the ticket that was lost from the index is %q: the command has not had it flushed", got)
	}
	if out, err := verify(); err != nil {
		t.Errorf("after the repair: %v\n%s", err, out)
	}
	if ticket, err := c.Get(t.Context(), 1); err != nil || field(ticket.Fields, "status").Text() != "sql" {
		t.Errorf("after the repair the row is not read again: %v %+v", err, ticket)
	}
	if ticket, err := c.Get(t.Context(), whole); err != nil || field(ticket.Fields, "category").Text() != "sql" {
		t.Errorf("after the repair the new value is not read: %v %+v", err, ticket)
	}
}
