package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// A Redis that answers but refuses what ticketd needs is down, with its own message; changes go into the journal, reads show
// them, and they arrive when Redis permits. Earlier: the answer `internal`, which PHP does not spool, and Redis "up".
func TestARedisThatRefusesIsDown(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"user app on nopass ~* &* +@all -zadd"}})
	r := newRig(t, rigOptions{place: fmt.Sprintf("[redis]\naddr = %q\nusername = \"app\"\npassword = \"any\"\n",
		"unix://"+server.Socket())})
	c := r.dial(t)
	status, err := c.Status(t.Context())
	if err != nil || status.Store.State != protocol.StateDown || !strings.Contains(status.Store.Reason, "ZADD") {
		t.Errorf("status %+v (%v), want Redis down with the refused command, before anything was written", status.Store, err)
	}
	if _, err := c.Set(t.Context(), set(1, "status", "pending")); err != nil {
		t.Fatal(err)
	}
	if read, err := c.Get(t.Context(), 1); err != nil || field(read.Fields, "status").Text() != "pending" {
		t.Errorf("get: %+v, %v", read, err)
	}
	if err := server.Client(t).Do(t.Context(), "ACL", "SETUSER", "app", "+zadd").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "Redis is up and the change in MySQL", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Store.State == protocol.StateUp && column(t, r.db, "status", 1) == "pending"
	})
}
