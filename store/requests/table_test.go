package requests

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Over a random history the table behaves like a plain map with full searches.
func TestTableIsAMap(t *testing.T) {
	t.Parallel()
	var table Table
	r, now := rand.New(rand.NewPCG(1, 2)), time.Unix(1_800_000_000, 0)
	model := map[Key]Request{}
	var order []Key // in the order of Put and Moved
	drop := func(key Key) {
		for i := range order {
			if order[i] == key {
				order = append(order[:i], order[i+1:]...)
				break
			}
		}
		delete(model, key)
	}
	for step := range 6000 {
		key := KeyOf(strconv.Itoa(r.IntN(800)))
		switch r.IntN(10) {
		case 0:
			now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		case 1:
			if table.ForgetFirst(); len(order) > 0 {
				drop(order[0])
			}
		case 2:
			if moved, known := model[key]; known {
				table.Moved([]Request{moved}, uint64(step))
				drop(key)
				model[key], order = moved, append(order, key)
			}
		default:
			put := Request{
				Key: key, Ticket: ticket.ID(step + 1), Revision: ticket.Revision(step), Digest: Digest(step),
				Expires: time.Unix(now.Unix()+1+r.Int64N(600), 0),
			}
			table.Put(now, put, uint64(step))
			drop(key)
			model[key], order = put, append(order, key)
		}
		for known := range model {
			if !model[known].Expires.After(now) {
				drop(known)
			}
		}
		table.Expire(now)
		want, there := model[key]
		if got, known := table.Find(now, key); known != there || got != want {
			t.Fatalf("step %d: %+v (%v), want %+v (%v)", step, got, known, want, there)
		}
		if table.Len() != len(model) {
			t.Fatalf("step %d: %d requests, want %d", step, table.Len(), len(model))
		}
		if segment, some := table.Needed(); some != (len(order) > 0) ||
			some && (len(table.In(segment, 9)) == 0 || table.In(segment, 9)[0].Key != order[0]) {
			t.Fatalf("step %d: the first is in segment %d (%v)", step, segment, some)
		}
	}
}

// A request that expires within a second is remembered to the end of that second, and no longer.
func TestExpiryIsRoundedUp(t *testing.T) {
	t.Parallel()
	var table Table
	now := time.Unix(1_800_000_000, 0)
	table.Put(now, Request{Key: KeyOf("r"), Expires: now.Add(1500 * time.Millisecond)}, 1)
	if _, known := table.Find(now.Add(1999*time.Millisecond), KeyOf("r")); !known {
		t.Error("forgotten too soon")
	}
	if _, known := table.Find(now.Add(2*time.Second), KeyOf("r")); known {
		t.Error("remembered too long")
	}
}

func TestDigestsThatAreNotKnownMatch(t *testing.T) {
	t.Parallel()
	known, unknown := Request{Digest: DigestOf("a")}, Request{}
	for _, c := range []struct {
		request Request
		digest  string
		want    bool
	}{{known, "a", true}, {known, "b", false}, {known, "", true}, {unknown, "b", true}} {
		if got := c.request.RepeatedBy(c.digest); got != c.want {
			t.Errorf("%+v repeated by %q: %v", c.request, c.digest, got)
		}
	}
}

// B/id is all memory that a remembered id takes.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{262_144, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			now := time.Unix(1_800_000_000, 0)
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				var table Table
				for i := range n {
					table.Put(now, Request{Key: KeyOf(strconv.Itoa(i)), Expires: now.Add(time.Duration(i) * time.Millisecond * 80)}, 1)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(&table)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/id")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/id")
		})
	}
}
