package overload

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Bounds of the daemon's growth, by the straight line through the samples of a soak, over the judged time.
const (
	growDescriptors = 6 // pools breathe
	growGoroutines  = 12
	growBytes       = 24 * megabyte // the collector's freedom
)

// Clients of all kinds use the daemon for a long time; its memory, descriptors and goroutines are sampled in moments of rest
// and must not grow. The first third is left out, because pools and caches fill during that time.
func TestSoak(t *testing.T) { //nolint:paralleltest,tparallel // the soak and the judge measure memory
	for name, noRedis := range map[string]bool{"with Redis": false, "without Redis": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, noRedis)
			r.large(t)
			whole := duration(t, 10*time.Second)
			samples, calls := r.soak(t, whole, max(whole/60, 300*time.Millisecond))
			for i := range samples {
				if every := max(len(samples)/30, 1); i%every == 0 {
					t.Log(&samples[i])
				}
			}
			t.Logf("%d calls in %v", calls, whole)
			growths, leak := judge(samples)
			t.Log(strings.Join(growths, "; "))
			if leak {
				t.Errorf("the daemon leaks")
			}
		})
	}
}

// soak runs clients in rounds and takes a sample after each round, while they rest.
func (r *rig) soak(t *testing.T, whole, round time.Duration) (samples []sample, calls int64) {
	t.Helper()
	began := time.Now()
	var done atomic.Int64
	for n := 0; time.Since(began) < whole; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		ending := time.AfterFunc(round, cancel)
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for k := int64(0); ctx.Err() == nil; k++ {
					r.anyCall(t, int64(i), k) //nolint:contextcheck // the end of a round does not interrupt a call
					done.Add(1)
				}
			})
		}
		group.Wait()
		ending.Stop()
		cancel()
		testenv.Eventually(t, 2*protocol.WriteTimeout, "all clients are gone", func() bool { return r.now(t).client == 0 })
		s := r.now(t)
		s.at = time.Since(began)
		samples = append(samples, s)
	}
	return samples, done.Load()
}

// anyCall is the k-th call of a client: in turn all good and bad calls.
func (r *rig) anyCall(t *testing.T, client, k int64) {
	id := 1000 + client*100 + k%100
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	c, err := protocol.Dial(ctx, r.socket)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	allowed := "ok"
	switch k % 50 {
	case 11:
		_, err = c.Set(ctx, set(id, "body", strings.Repeat("s", megabyte)))
	case 12:
		_, err = c.Get(ctx, largeTicket)
	case 13:
		_, err = c.Set(ctx, set(id, "no_such-field!", "x"))
		allowed = "invalid"
	case 14:
		_, err = c.Get(ctx, 5_000_000+k)
		allowed = "not_found"
	case 15:
		_, err = c.List(ctx, protocol.ListParams{Limit: 10, Selection: protocol.Selection{Stale: k%100 > 50}})
	case 16:
		subject := protocol.Field{Name: "subject", Value: protocol.Int(k)}
		_, err = c.Create(ctx, []protocol.Field{subject}, fmt.Sprintf("r-%d-%d", client, k))
	case 17:
		_, err = c.Flush(ctx, []int64{id}, nil)
	case 18:
		_, err = c.Status(ctx)
	case 19: // gone in the middle of a frame, and before the reply
		r.vanish(ctx, c, id)
		return
	case 20, 21, 22, 23, 24, 25, 26, 27, 28, 29:
		_, err = c.Get(ctx, id)
		if outcome(err) == string(protocol.CodeNotFound) {
			err = nil // the ticket has not been written yet
		}
	default:
		_, err = c.Set(ctx, set(id, "status", strconv.FormatInt(k, 10)))
	}
	if got := outcome(err); got != allowed {
		t.Errorf("call %d: %s, want %s", k, got, allowed)
	}
}

// vanish requests a large reply and closes before the reply has come.
func (r *rig) vanish(ctx context.Context, c *protocol.Client, id int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, _ = c.Set(ctx, set(id, "body", strings.Repeat("v", megabyte))) // with any outcome
}

// judge draws a straight line through the last two thirds of the samples of each resource, and reports the growth.
func judge(samples []sample) (growths []string, leak bool) {
	kept := samples[len(samples)/3:]
	for _, of := range []struct {
		name  string
		unit  float64
		most  float64
		value func(s *sample) float64
	}{
		{"descriptors", 1, growDescriptors, func(s *sample) float64 { return s.descriptors }},
		{"goroutines", 1, growGoroutines, func(s *sample) float64 { return s.goroutines }},
		{"MiB RSS", megabyte, growBytes, func(s *sample) float64 { return s.rss }},
		{"MiB heap", megabyte, growBytes, func(s *sample) float64 { return s.goheap }},
	} {
		growth, mean := line(kept, of.value)
		allowed := of.most
		if of.unit == megabyte {
			allowed = max(allowed, mean/5)
		}
		verdict := fmt.Sprintf("%+.1f %s around %.1f", growth/of.unit, of.name, mean/of.unit)
		if growth > allowed {
			leak = true
			verdict += fmt.Sprintf(", more than %.1f: a leak", allowed/of.unit)
		}
		growths = append(growths, verdict)
	}
	return growths, leak
}

// line returns by how much the least-squares line through the samples rises from the first to the last, and their mean.
func line(samples []sample, value func(s *sample) float64) (growth, mean float64) {
	if len(samples) < 2 {
		return 0, 0
	}
	n := float64(len(samples))
	var times, values float64
	for i := range samples {
		times += samples[i].at.Seconds()
		values += value(&samples[i])
	}
	times, mean = times/n, values/n
	var across, along float64
	for i := range samples {
		d := samples[i].at.Seconds() - times
		across += d * (value(&samples[i]) - mean)
		along += d * d
	}
	if along == 0 {
		return 0, mean
	}
	return across / along * (samples[len(samples)-1].at - samples[0].at).Seconds(), mean
}

// The judge finds slow growth beneath noise, and does not take noise for growth.
func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grow func(i int) sample
		leak bool
	}{
		"nothing": {func(int) sample { return sample{} }, false},
		"noise": {func(i int) sample {
			return sample{rss: float64(i*7919%30) * megabyte, goroutines: float64(i * 31 % 9), descriptors: float64(i * 17 % 5)}
		}, false},
		"a warm-up":   {func(i int) sample { return sample{rss: float64(min(i, 90)) * 10 * megabyte} }, false},
		"descriptors": {func(i int) sample { return sample{descriptors: 20 + float64(i)/20} }, true},
		"goroutines":  {func(i int) sample { return sample{goroutines: float64(i*31%9) + float64(i)/10} }, true},
		"memory":      {func(i int) sample { return sample{rss: (60 + float64(i*7919%30) + float64(i)/4) * megabyte} }, true},
		"the heap":    {func(i int) sample { return sample{goheap: (60 + float64(i)/2) * megabyte} }, true},
	} {
		samples := make([]sample, 300)
		for i := range samples {
			samples[i] = c.grow(i)
			samples[i].at = time.Duration(i) * time.Second
		}
		if growths, leak := judge(samples); leak != c.leak {
			t.Errorf("%s: leak %v: %v", name, leak, growths)
		}
	}
}
