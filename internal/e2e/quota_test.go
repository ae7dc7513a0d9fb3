package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// A site whose quota of pending tickets is used up is answered overloaded with that name, and its status says so, with Redis
// and without; pending tickets can be changed, and after a flush there is room.
func TestQuotaOfASite(t *testing.T) {
	t.Parallel()
	for _, noRedis := range []bool{false, true} {
		r := newRig(t, rigOptions{
			noRedis: noRedis, site: "max_dirty = 2\nstrategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"2h\"\n",
		})
		c := r.dial(t)
		for _, id := range []int64{1, 2, 1} {
			if _, err := c.Set(t.Context(), set(id, "status", "waits")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Set(t.Context(), set(3, "status", "one too many"))
		if !errors.Is(err, &protocol.Error{Code: protocol.CodeOverloaded}) || !strings.Contains(err.Error(), "max_dirty") {
			t.Errorf("no Redis %v: one too many: %v", noRedis, err)
		}
		status, err := c.Status(t.Context())
		if err != nil || !strings.Contains(strings.Join(status.Warnings, "\n"), "sites.main.max_dirty (2)") {
			t.Errorf("no Redis %v: warnings %q, %v", noRedis, status.Warnings, err)
		}
		if _, err := c.Flush(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Set(t.Context(), set(3, "status", "fits")); err != nil {
			t.Errorf("no Redis %v: after a flush: %v", noRedis, err)
		}
	}
}
