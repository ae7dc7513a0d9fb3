package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// A column is made wider while the daemon runs: a refused value is accepted within moments, long before the regular reading
// of the definition. A narrower column is noticed at the first write that MySQL refuses. Without these extra readings the
// change takes up to half a minute (tried by hand).
func TestAlteredTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	long := set(1, "priority", strings.Repeat("x", 100))
	if _, err := c.Set(t.Context(), long); code(err) != protocol.CodeInvalid {
		t.Fatalf("set: %v, want it refused", err)
	}
	alter(t, r, "MODIFY priority VARCHAR(100)")
	testenv.Eventually(t, 5*time.Second, "the wider value is taken", func() bool {
		_, err := c.Set(t.Context(), long)
		return err == nil
	})
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := column(t, r.db, "priority", 1); len(got) != 100 {
		t.Errorf("priority %q in MySQL", got)
	}
	alter(t, r, "MODIFY category VARCHAR(3)")
	testenv.Eventually(t, 5*time.Second, "the door knows the narrower column", func() bool {
		_, err := c.Set(t.Context(), set(2, "category", "billing"))
		if code(err) == protocol.CodeInvalid {
			return true
		}
		if err == nil {
			_, err = c.Flush(t.Context(), nil, nil) // MySQL may refuse the value
		}
		if err != nil {
			t.Fatal(err)
		}
		return false
	})
	if n := dead(t, c); n != 1 {
		t.Errorf("%d dead letters, want the one from before", n)
	}
}
