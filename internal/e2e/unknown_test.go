package e2e

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// The state of MySQL is what reads and writes found, also without writes: a daemon that starts while MySQL is away, or whose
// table is missing, never says "up". (It said so until the first flush.)
func TestMySQLIsNotUpBeforeItIsProved(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	r := newRig(t, rigOptions{mariadb: server})
	is := func(want protocol.State) func() bool {
		return func() bool {
			c, err := protocol.Dial(t.Context(), r.socket)
			if err != nil {
				return false
			}
			defer func() { _ = c.Close() }()
			status, err := c.Status(t.Context())
			if err == nil && want != protocol.StateUp && status.Sink.State == protocol.StateUp {
				t.Fatalf("MySQL counts as up: %+v", status.Sink)
			}
			return err == nil && status.Sink.State == want
		}
	}
	testenv.Eventually(t, 5*time.Second, "MySQL is up", is(protocol.StateUp))
	server.Kill()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "MySQL is down", is(protocol.StateDown))
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "MySQL is up", is(protocol.StateUp))
	if _, err := r.db.ExecContext(t.Context(), "RENAME TABLE wp_support_tickets TO elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "MySQL is paused", is(protocol.StatePaused))
}
