package journal

import (
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// What was deleted is known after a restart, whether its deletion has arrived or not, and when the segments that told of it have
// been given back: the tombstones are written once more before. (Without that the oldest are forgotten, tried.)
func TestTombstonesOutliveTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxBytes: 1 << 20, Sync: wal.Never})
	const deleted = 5
	for id := ticket.ID(1); id <= deleted; id++ {
		m := r.mutation(id*1000, "gone")
		m.Kind = store.Delete
		r.ack(t, m.ID, r.apply(t, m).Revision)
	}
	if err := r.Bury(t.Context(), []ticket.ID{7, 1000, 1 << 62}); err != nil {
		t.Fatal(err)
	}
	first := r.log.Stats().Segments[0].Number
	for id := ticket.ID(100_000); r.log.Stats().Segments[0].Number < first+3; id++ {
		r.now = r.now.Add(time.Millisecond)
		r.ack(t, id, r.set(t, id, "some text that takes room in the log"))
		if id%500 == 0 {
			r.cleanUp(t)
		}
		if id > 200_000 {
			t.Fatal("no segment is given back: the test proves nothing")
		}
	}
	r.reopen(t)
	for _, id := range []ticket.ID{1000, 2000, 3000, 4000, 5000, 7, 1 << 62} {
		outcomes, err := r.Apply(t.Context(), []store.Mutation{r.mutation(id, "late")})
		if err != nil || !errors.Is(outcomes[0].Err, store.ErrDeleted) {
			t.Errorf("a change of ticket %d: %+v (%v)", id, outcomes, err)
		}
	}
	if size := r.index.Size(); size.Buried != deleted+2 {
		t.Errorf("%d tombstones, want %d", size.Buried, deleted+2)
	}
}

// A create is known for one until it has arrived, after restarts and when it was written once more.
func TestCreateOutlivesTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	m := r.mutation(1, "new")
	m.Kind = store.Create
	made := r.apply(t, m).Revision
	late := r.mutation(2, "late")
	late.Kind, late.Accepted = store.Begin, late.Proposed
	r.apply(t, late)
	for range 2 {
		want := r.waiting(t)
		r.reopen(t)
		wantSame(t, r.waiting(t), want)
		claims, err := r.ClaimIDs(t.Context(), r.now, []ticket.ID{1, 2}, 0)
		if err != nil || len(claims) != 2 ||
			claims[0].Created != made-store.LateSkew || claims[1].Created != late.Accepted-store.LateSkew {
			t.Fatalf("claims %+v (%v), created at %d", claims, err, made)
		}
		if err := r.move(); err != nil { // what waits is written once more
			t.Fatal(err)
		}
	}
}

// Once a clock was ahead revisions lie close together, whatever the time between the changes: a create is known as of its own
// revision then, so that no row of a stranger's is within an allowance. (Without that the create is merged with the row, in which
// one customer reads another's text.) A restart does not forget it.
func TestCreateAfterAClockWasAhead(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ahead := r.mutation(1, "from a clock that was ahead")
	ahead.Proposed += ticket.Revision(time.Minute.Microseconds())
	highest := r.apply(t, ahead).Revision
	m := r.mutation(2, "new")
	m.Kind = store.Create
	made := r.apply(t, m).Revision
	if made <= highest {
		t.Fatalf("revision %d after %d", made, highest)
	}
	for range 2 {
		claims, err := r.ClaimIDs(t.Context(), r.now, []ticket.ID{2}, 0)
		if err != nil || len(claims) != 1 || claims[0].Created != made {
			t.Fatalf("claims %+v (%v), created at %d", claims, err, made)
		}
		r.reopen(t)
	}
}
