package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// A site whose MySQL hangs when the daemon stops delays neither a client that waits for a flush of the site nor the drain of
// another site. With sites drained in turn the other site's change is not in MySQL; without Hurry the client gets its answer
// when the time is up (both tried by hand).
func TestStopWithOneMySQLHanging(t *testing.T) {
	t.Parallel()
	const lazy = "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\"\n"
	const timeout = 6 * time.Second
	r := newRig(t, rigOptions{site: lazy, daemon: fmt.Sprintf("shutdown_timeout = %q", timeout)})
	hanging := testenv.NewProxy(t, r.proxy.Target(), 0)
	_, own, _ := strings.Cut(r.text, "[sites.main]\n")
	other := strings.NewReplacer(r.proxy.Socket(), hanging.Socket(), r.prefix, r.prefix+"a:").Replace(own)
	if err := r.WriteConfig(r.text + "[sites.a]\n" + other); err != nil { // in turn, this site would be drained first
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := r.dial(t)
	for id, site := range []string{"main", "a"} {
		p := set(int64(id+1), "status", "closed")
		p.Site = site
		if _, err := c.Set(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	hanging.Hold()
	answered := make(chan error, 1)
	flushing := r.dial(t)
	flushing.Site = "a"
	go func() {
		_, err := flushing.Flush(t.Context(), nil, nil)
		answered <- err
	}()
	testenv.Eventually(t, 5*time.Second, "the flush has claimed the ticket", func() bool {
		due, err := r.redis.ZScore(t.Context(), r.prefix+"a:ticket:dirty", "2").Result()
		return err == nil && int64(due) < time.Now().Add(time.Minute).UnixMilli() // the lease, and not an hour
	})
	begin, ended := time.Now(), r.Done()
	go func() { _ = r.Stop() }() // not all sites can be drained, so the exit is an error
	if err := <-answered; code(err) != protocol.CodeUnavailable || time.Since(begin) > timeout/2 {
		t.Errorf("the flush ended with %v after %v, want unavailable soon", err, time.Since(begin))
	}
	<-ended
	if got := column(t, r.db, "status", 1); got != "closed" {
		t.Errorf("status %q in the other site's MySQL: it was not drained", got)
	}
}
