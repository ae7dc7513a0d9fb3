package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// Cleaning a log of which everything is needed ends, whatever its tickets look like, and most of a full log is needed. (With
// weights that are far too small it goes on for ever; with such that are far too large the log is full of waste.)
func TestFullLogIsMostlyNeeded(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*store.Mutation){
		"tiny":     func(m *store.Mutation) { m.Fields[0] = ticket.Field{Name: "s"} },
		"deleted":  func(m *store.Mutation) { m.Kind, m.Fields = store.Delete, nil },
		"requests": func(m *store.Mutation) { m.RequestID = strconv.FormatInt(int64(m.Proposed), 16) },
		"large":    func(m *store.Mutation) { m.Fields[0].Value = ticket.Text(strings.Repeat("x", 3000)) },
		"fields": func(m *store.Mutation) {
			for i := range 30 {
				m.Fields = append(m.Fields, ticket.Field{Name: fmt.Sprint("f", i), Value: ticket.Text(strconv.Itoa(i))})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 1 << 20
			r := newRig(t, Options{MaxBytes: most, Sync: wal.Never})
			var err error
			for id := ticket.ID(1); err == nil; id++ {
				for range 2 { // so that half of it is waste
					r.now = r.now.Add(time.Millisecond)
					m := r.mutation(id, "open")
					change(&m)
					if _, err = store.Make(t.Context(), r, m); err != nil {
						break
					}
				}
				if id%50 == 0 {
					r.cleanUp(t)
				}
			}
			if !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
			want := r.waiting(t)
			r.cleanUp(t)
			if needed := r.index.Size().Bytes; needed < most*6/10 || needed > most*5/4 {
				t.Errorf("a log of %d bytes is full with %d that are needed", most, needed)
			}
			r.reopen(t)
			wantSame(t, r.waiting(t), want)
		})
	}
}

// A log that is full of remembered ids says so, and takes changes again when their time is over. (It said that tickets wait, and
// Redis' maxmemory, where nothing waits and there is no Redis.)
func TestLogFullOfRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxBytes: 1 << 20, Sync: wal.Never})
	var err error
	for n := 0; err == nil; n++ {
		m := r.mutation(1, "open")
		m.RequestID, m.Digest = "order-"+strconv.Itoa(n), "AAAAAAAAAAE"
		var outcome store.Outcome
		if outcome, err = store.Make(t.Context(), r, m); err != nil {
			break
		}
		if ack := r.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: outcome.Revision}}); ack != nil {
			t.Fatal(ack)
		}
		if n%50 == 0 {
			r.cleanUp(t)
		}
	}
	var full *store.FullError
	if !errors.As(err, &full) || full.Bound != "journal.max_bytes" || !strings.Contains(full.Reason, "remembered request ids") {
		t.Fatalf("error %v, want journal.max_bytes and request ids", err)
	}
	if r.Journal().Full != full.Error() {
		t.Errorf("the journal says %q, the writer received %q", r.Journal().Full, full)
	}
	if n := r.Journal().Requests; n < 10_000 {
		t.Errorf("a log of 1 MiB is full with %d request ids", n)
	}
	r.reopen(t)
	r.now = r.now.Add(store.RequestMemory)
	r.cleanUp(t)
	r.set(t, 1, "open")
}

// A change that finds no room for its request id holds up no other one of its call.
func TestRoomForRequestsIsEachOnesOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxRequests: 1})
	first, second := r.mutation(1, "open"), r.mutation(2, "open")
	first.RequestID, second.RequestID = "a", "b"
	outcomes, err := r.Apply(t.Context(), []store.Mutation{first, second, r.mutation(3, "open")})
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Err != nil || !errors.Is(outcomes[1].Err, store.ErrFull) || outcomes[2].Err != nil {
		t.Errorf("outcomes %+v, want no room for the second alone", outcomes)
	}
	if _, err := store.Make(t.Context(), r, second); !errors.Is(err, store.ErrFull) {
		t.Errorf("the second again: %v", err)
	}
	r.set(t, 2, "open") // it needs no room for an id
	if !strings.Contains(r.Journal().Full, "journal.max_requests") {
		t.Errorf("the journal says %q while there is no room for another id", r.Journal().Full)
	}
	r.now = r.now.Add(store.RequestMemory)
	if _, err := store.Make(t.Context(), r, second); err != nil {
		t.Errorf("the second when the first's time is over: %v", err)
	}
}

// Writers, a flusher and the cleaning on a disk that is full and fails again and again: what was acknowledged waits or was
// flushed, also after a restart.
func TestFailingDiskUnderLoad(t *testing.T) {
	t.Parallel()
	const crowd, writes = 6, 400
	d := &disk{}
	r := newRig(t, Options{MaxBytes: 256 << 10, OpenFile: d.open})
	r.Start(t.Context())
	var done atomic.Bool
	flushed := map[ticket.ID]int{}
	var writers, flusher sync.WaitGroup
	flusher.Go(func() {
		for !done.Load() {
			claims, _ := r.Claim(t.Context(), r.now, 20, 0)
			for i := range claims {
				n, _ := claims[i].Fields.Get("status")
				flushed[claims[i].ID], _ = strconv.Atoi(n.Text())
				if err := r.Ack(t.Context(), []store.Receipt{{ID: claims[i].ID, Revision: claims[i].Revision}}); err != nil {
					t.Errorf("Ack: %v", err)
				}
			}
		}
	})
	var acknowledged [crowd]int
	var refused atomic.Int64
	for w := range crowd {
		writers.Go(func() {
			for n := 1; n <= writes; n++ {
				switch n % 50 {
				case 10:
					d.set(true, 0)
				case 12, 32:
					d.set(false, 0)
				case 30:
					d.set(false, 2)
				}
				_, err := store.Make(t.Context(), r, r.mutation(ticket.ID(w+1), strconv.Itoa(n)))
				switch {
				case err == nil:
					acknowledged[w] = n
				case errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrUnavailable):
					refused.Add(1)
				default:
					t.Errorf("Apply: %v", err)
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	flusher.Wait()
	d.set(false, 0)
	if refused.Load() == 0 {
		t.Error("the disk never failed")
	}
	for _, restart := range []bool{false, true} {
		if restart {
			r.reopen(t)
		}
		for w, n := range acknowledged {
			records, err := r.Get(t.Context(), []ticket.ID{ticket.ID(w + 1)})
			if err != nil {
				t.Fatal(err)
			}
			v, _ := records[0].Fields.Get("status")
			if waits, _ := strconv.Atoi(v.Text()); max(waits, flushed[ticket.ID(w+1)]) < n {
				t.Errorf("ticket %d (restart %v): %d was acknowledged, %d waits, %d was flushed",
					w+1, restart, n, waits, flushed[ticket.ID(w+1)])
			}
		}
	}
}
