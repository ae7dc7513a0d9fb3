package e2e

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// A flush while MySQL is down is answered within the time of a request, as docs/failures.md says, and loses nothing. (It
// waited for ever.)
func TestAFlushWithoutMySQLIsAnswered(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	r := newRig(t, rigOptions{mariadb: server, site: slow["interval"], daemon: `request_timeout = "500ms"`})
	c := r.dial(t)
	if _, err := c.Set(t.Context(), set(1, "status", "open")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	begin := time.Now()
	if _, err := c.Flush(t.Context(), nil, nil); code(err) != protocol.CodeUnavailable {
		t.Errorf("flush without MySQL: %v, want unavailable", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the flush works again", func() bool {
		_, err := c.Flush(t.Context(), nil, nil)
		return err == nil
	})
	if got := column(t, r.db, "status", 1); got != "open" {
		t.Errorf("status %q in MySQL", got)
	}
}
