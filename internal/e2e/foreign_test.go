package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Another plugin overwrites the key of ticket 2 while three tickets are pending: the other two arrive and can be read as
// before, a get of ticket 2 names the fault, and so does status.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "linger = \"400ms\""})
	c := r.dial(t)
	for id := int64(1); id <= 3; id++ {
		if _, err := c.Set(t.Context(), set(id, "status", "open")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	for id := int64(1); id <= 3; id++ {
		if _, err := c.Set(t.Context(), set(id, "status", "closed")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.redis.Set(t.Context(), r.prefix+"ticket:2", "not a ticket", 0).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the others are in MySQL", func() bool {
		return column(t, r.db, "status", 1) == "closed" && column(t, r.db, "status", 3) == "closed"
	})
	_, err := c.Get(t.Context(), 2)
	if code(err) != protocol.CodeInternal || !strings.Contains(err.Error(), "key_prefix") {
		t.Errorf("get of the overwritten ticket: %v, want an error that names key_prefix", err)
	}
	tickets, err := c.GetMany(t.Context(), []int64{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"closed", "open", "closed"} { // MySQL's value of the second ticket
		if tickets.Tickets[i] == nil || field(tickets.Tickets[i].Fields, "status").Text() != want {
			t.Errorf("ticket %d is %+v, want it %s", i+1, tickets.Tickets[i], want)
		}
	}
	testenv.Eventually(t, 5*time.Second, "nothing is dirty, and a warning names the key", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Dirty == 0 && slices.ContainsFunc(status.Warnings, func(w string) bool {
			return strings.Contains(w, r.prefix+"ticket:2")
		})
	})
}
