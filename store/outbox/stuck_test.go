package outbox_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// A key that another program has taken holds up the changes of its ticket alone: when Redis is back, the others' go to Redis at
// once, and what asks for everything gets it. When the key is gone the ticket's changes are made in their order. (Where a stuck
// change queues behind a newer one of its ticket, the ticket ends as "older"; where it counts as an outage, DirtyIDs fails.)
func TestForeignKeyHoldsUpItsTicketAlone(t *testing.T) {
	t.Parallel()
	const stuck, others = 1, 200 // more than one replay takes
	h := newHarness(t)
	free := h.occupy(t, stuck)
	h.next.away.Store(true)
	h.set(t, stuck, "older")
	for id := ticket.ID(stuck + 1); id <= others; id++ {
		h.set(t, id, "open")
	}
	h.set(t, stuck, "newer")
	h.next.away.Store(false)
	h.Nudge()
	testenv.Eventually(t, 10*time.Second, "the others' changes are in Redis", func() bool {
		ids, err := h.DirtyIDs(t.Context())
		return err == nil && len(ids) == others-1
	})
	h.set(t, others+1, "direct")
	if n := h.Journal().Entries; n != 2 {
		t.Errorf("%d changes wait in the journal, want those of the stuck ticket", n)
	}
	if got := status(t, h, stuck); got != "newer" {
		t.Errorf("the stuck ticket reads %q", got)
	}
	if err := (*store.StuckError)(nil); !errors.As(h.Stuck(nil), &err) || err.Tickets != 1 || err.First != stuck {
		t.Errorf("stuck: %v, want ticket %d alone", h.Stuck(nil), stuck)
	}
	free()
	testenv.Eventually(t, 10*time.Second, "the stuck changes have arrived", func() bool { return h.Journal().Entries == 0 })
	if err := h.Stuck(nil); err != nil {
		t.Errorf("nothing waits, and yet: %v", err)
	}
	if got := status(t, h.next, stuck); got != "newer" {
		t.Errorf("Redis holds %q, want the newer value", got)
	}
}

// One change of a ticket cannot be made and the next one of the same ticket in the same replay can, as what held up the first has
// just gone: tried again behind the others, the older change does not overwrite the newer.
func TestWhatFollowsAStuckChangeIsMadeAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	h.set(t, 1, "older")
	h.set(t, 1, "newer")
	h.next.held.Store(true)
	h.next.away.Store(false)
	h.drained(t)
	if h.next.held.Load() {
		t.Error("nothing was held up")
	}
	if got := status(t, h.next, 1); got != "newer" {
		t.Errorf("Redis holds %q, want the newer value", got)
	}
}

// Changes with request ids of such a ticket queue behind it, as the others do: nothing is gained by another replay for each.
func TestRequestsQueueBehindAStuckChange(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.gather = time.Hour
	h.restart(t)
	h.occupy(t, 1)
	h.next.away.Store(true)
	h.set(t, 1, "older")
	h.next.away.Store(false)
	h.drained(t) // as far as it goes
	before := h.Journal().Tries
	for _, id := range []string{"a", "b", "c"} {
		m := mutation(1, id)
		m.RequestID = id
		h.make(t, m)
	}
	if s := h.Journal(); s.Entries != 4 || s.Tries > before+1 { // the replay that has just ended may not be counted yet
		t.Errorf("%d changes wait after %d replays, want 4 and none", s.Entries, s.Tries-before)
	}
}

// stalled is a file whose disk fails.
type stalled struct {
	wal.File
	fails *atomic.Bool
}

func (f *stalled) Datasync() error {
	if f.fails.Load() {
		return errors.New("input/output error")
	}
	return f.File.Datasync()
}

// A repetition is acknowledged when what it repeats is on disk, and not before.
func TestRepetitionWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	fails := &atomic.Bool{}
	h := start(t, &harness{openFile: func(path string) (wal.File, error) {
		f, err := wal.OpenFile(path)
		return &stalled{f, fails}, err
	}})
	h.next.away.Store(true)
	fails.Store(true)
	m := mutation(1, "open")
	m.RequestID = "r1"
	for try := range 2 {
		if _, err := store.Make(t.Context(), h, m); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("try %d on a disk that fails: %v, want unavailable", try, err)
		}
	}
	fails.Store(false)
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
		t.Errorf("when the disk works again: %v %+v", err, outcomes)
	}
	h.next.away.Store(false)
	h.drained(t)
}
