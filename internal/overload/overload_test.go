package overload

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Bounds of the daemon's memory under a crowd. Its large requests and its large replies may take 64 MiB each, and exist once
// as a frame and once decoded; the collector lets as much garbage pile up before it collects.
const memoryBound = 512 * megabyte

// A crowd that wants four times the limit of connections, in every bad way at once. Refused calls get `overloaded`, no call
// waits in vain, accepted clients continue to be served; memory, descriptors and goroutines are bounded, and return to the
// start after the crowd has gone. (Without the bound of large replies, or with an encoder's buffer that stays with its
// connection, memory exceeds its bound.)
func TestOverload(t *testing.T) { //nolint:paralleltest // the test measures memory
	r := newRig(t, false)
	r.large(t)
	calm := r.measure(t, 2*time.Second)
	before := r.now(t)
	t.Logf("before: %s; %s", &before, calm)

	// Ended, not timed out: a deadline would be that of every call, too.
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(duration(t, 8*time.Second), cancel).Stop()
	defer cancel()
	probe := r.inside(t)
	highest := r.watch(t.Context(), 100*time.Millisecond)
	c := &crowd{rig: r}
	c.start(ctx, t)
	during := probe(ctx)
	c.group.Wait()
	most := highest()
	t.Logf("highest:%s", &most)
	t.Logf("one who was inside: %s", during)
	t.Logf("the flood: %s", &c.flood)
	t.Logf("visitors: %s", &c.visits)
	t.Logf("saturation: %s", &c.saturation)
	t.Logf("%d calls took longer than PHP waits; %d slow readers and %d slow senders were cut, the longest after %v",
		c.late.Load(), c.cutSlow.Load(), c.cutDrips.Load(), time.Duration(c.longest.Load()).Round(time.Millisecond))

	c.judge(t, during)
	if most.client > limit || most.descriptors > before.descriptors+limit+100 || most.goroutines > before.goroutines+4*limit {
		t.Errorf("more than the limits allow: %s", &most)
	}
	if grown := most.goheap - before.goheap; grown > memoryBound {
		t.Errorf("the heap grew by %.0f MiB, more than %d", grown/megabyte, memoryBound/megabyte)
	}
	r.recovers(t, &before, calm)
}

// judge checks the outcomes of the calls.
func (c *crowd) judge(t *testing.T, during *tally) {
	t.Helper()
	for who, of := range map[string]*tally{"one who was inside": during, "the saturation": &c.saturation} {
		if others := of.besides("ok", "overloaded", "queue full"); len(others) > 0 || of.of("ok") == 0 {
			t.Errorf("%s got %v", who, others)
		}
	}
	for who, of := range map[string]*tally{"the flood": &c.flood, "visitors": &c.visits} {
		if others := of.besides("ok", "overloaded", "queue full"); len(others) > 0 || of.of("overloaded") == 0 {
			t.Errorf("%s got %v, and %d overloaded", who, others, of.of("overloaded"))
		}
	}
	if c.cutSlow.Load() == 0 || c.cutDrips.Load() == 0 {
		t.Errorf("%d slow readers and %d slow senders were cut: the test proves nothing", c.cutSlow.Load(), c.cutDrips.Load())
	}
	if longest := time.Duration(c.longest.Load()); longest > protocol.WriteTimeout+patience {
		t.Errorf("one that neither read nor ended its frame lasted %v", longest)
	}
}

// inside takes a place before the crowd comes and returns the outcomes of calls from there until ctx ends.
func (r *rig) inside(t *testing.T) (probe func(ctx context.Context) *tally) {
	t.Helper()
	client, err := protocol.Dial(t.Context(), r.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context) *tally {
		result := &tally{}
		for i := 0; rest(ctx, 5*time.Millisecond); i++ {
			began := time.Now()
			calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			_, err := client.Set(calling, set(30_000+int64(i%100), "status", strconv.Itoa(i)))
			cancel()
			result.add(err, time.Since(began))
		}
		return result
	}
}

// measure calls politely for a while, a connection for each call.
func (r *rig) measure(t *testing.T, d time.Duration) *tally {
	t.Helper()
	result := &tally{}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for i := 0; rest(ctx, 2*time.Millisecond); i++ {
		began := time.Now()
		err := r.call(t.Context(), func(ctx context.Context, c *protocol.Client) error {
			_, err := c.Set(ctx, set(40_000+int64(i%100), "status", strconv.Itoa(i)))
			return err
		})
		result.add(err, time.Since(began))
	}
	return result
}

// recovers demands that the daemon returns to its earlier state soon after the crowd has gone.
func (r *rig) recovers(t *testing.T, before *sample, calm *tally) {
	t.Helper()
	began := time.Now()
	testenv.Eventually(t, 2*protocol.WriteTimeout, "the crowd's connections are gone", func() bool { return r.now(t).client <= 1 })
	r.need(t, func(c *protocol.Client) error { _, err := c.Flush(t.Context(), nil, nil); return err })
	t.Logf("everything in MySQL %v after the crowd", time.Since(began).Round(time.Millisecond))
	after := r.measure(t, 2*time.Second)
	now := r.now(t)
	t.Logf("after:  %s; %s", &now, after)
	// Pools of connections to Redis and MySQL remain, at most 32 here, with a goroutine or two for each.
	if now.descriptors > before.descriptors+32 || now.goroutines > before.goroutines+64 {
		t.Errorf("descriptors or goroutines have not come back")
	}
	if others := after.besides("ok"); len(others) > 0 {
		t.Errorf("after the crowd a polite caller got %v", others)
	}
	const slack = 20 * time.Millisecond // the machine's own noise
	if was, is := calm.at(0.5), after.at(0.5); is > 3*was+slack/4 {
		t.Errorf("half of the calls took %v before and %v after", was, is)
	}
	if was, is := calm.at(0.9), after.at(0.9); is > 3*was+slack {
		t.Errorf("nine in ten calls took %v before and %v after", was, is)
	}
}
