package e2e

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

const watchdogPing = "WATCHDOG=1"

// pings waits for further pings to systemd and fails without pings.
func (r *rig) pings(t *testing.T, n int, when string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	at := len(r.Notifications().Lines())
	for range n {
		var err error
		if at, err = r.Notifications().Wait(ctx, at, watchdogPing); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
}

// A daemon whose MySQL and Redis hang, with pending changes, is as healthy as an idle daemon: a restart would not help.
// daemon/watchdog, and a test under systemd, test when the pings end.
func TestWatchdogIsFedWhileOthersHang(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	link := testenv.NewProxy(t, redis.Socket(), 0)
	r := newRig(t, rigOptions{redis: redis, link: link, env: []string{"WATCHDOG_USEC=300000"}})
	r.pings(t, 3, "idle")
	c := r.dial(t)
	r.proxy.Hold()
	if _, err := c.Set(t.Context(), set(1, "status", "open")); err != nil {
		t.Fatal(err)
	}
	r.pings(t, 5, "MySQL hangs")
	link.Hold()
	if _, err := c.Set(t.Context(), set(2, "status", "open")); err != nil {
		t.Fatal(err)
	}
	r.pings(t, 5, "Redis hangs too")
	if err := os.Remove(r.socket); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "it is noticed that nobody can connect", func() bool {
		return strings.Contains(r.Log(), "the daemon's own socket is unreachable")
	})
}
