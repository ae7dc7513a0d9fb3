package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/storetest"
	"github.com/ticketd/ticketd/store/wal"
)

func TestContract(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, o Options) *Store {
		t.Helper()
		s, _, err := Open(t.Context(), t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start(t.Context())
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		t.Helper()
		return storetest.Backend{
			Store:   open(t, Options{}),
			Cramped: func(t *testing.T) store.Store { t.Helper(); return open(t, Options{MaxEntries: 2}) },
		}
	})
}

// Whatever happened, a restart finds what waited, as it waited, and cleaning changes nothing of it. (Without the records of any
// one kind this or a test below fails.)
func TestRestartFindsWhatWaited(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{Sync: wal.Never, MaxBytes: 64 << 10})
			random := rand.New(rand.NewPCG(seed, 0))
			for step := range 1500 {
				r.now = r.now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
				r.step(t, random)
				if step%50 == 0 {
					before := r.waiting(t)
					if step%100 == 0 {
						r.cleanUp(t)
						wantSame(t, r.waiting(t), before)
					}
					r.reopen(t)
					wantSame(t, r.waiting(t), before)
				}
			}
		})
	}
}

// step does one random thing to one of thirty tickets.
func (r *rig) step(t *testing.T, random *rand.Rand) {
	t.Helper()
	ctx, id := t.Context(), ticket.ID(1+random.IntN(30))
	records, err := r.Get(ctx, []ticket.ID{id})
	if err != nil {
		t.Fatal(err)
	}
	revision := records[0].Revision
	switch n := random.IntN(100); {
	case n < 60:
		m := r.mutation(id, fmt.Sprint("value ", random.Uint64()))
		m.Due = r.now.Add(time.Duration(random.IntN(100)) * time.Second)
		m.Fields[0].Name = fmt.Sprint("field", random.IntN(4))
		switch random.IntN(12) {
		case 0:
			m.Kind = store.Create
		case 1:
			m.Kind = store.Delete
		case 2, 3, 4:
			m.Fields[0].Value = ticket.Null
		}
		if random.IntN(3) == 0 {
			m.RequestID, m.Remember = strconv.FormatUint(random.Uint64(), 10), time.Minute
		}
		if _, err := r.Apply(ctx, []store.Mutation{m}); err != nil {
			t.Fatalf("Apply: %v", err)
		}
	case n < 80: // of an older revision at times, so that newer changes stay
		r.ack(t, id, revision-ticket.Revision(random.IntN(2)*random.IntN(5_000_000)))
	case n < 90:
		r.park(t, id, revision)
	case n < 93:
		_, err = r.Retry(ctx, r.now, []ticket.ID{id})
	case n < 96:
		_, err = r.Drop(ctx, []ticket.ID{id})
	default:
		_, err = r.Claim(ctx, r.now, 5, time.Minute)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRequestsOutliveARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxBytes: 32 << 10})
	m := r.mutation(1, "first")
	m.RequestID, m.Remember = "r-1", 10*time.Minute
	first := r.apply(t, m)
	r.ack(t, 1, first.Revision)
	for i := range 1000 {
		r.ack(t, 2, r.set(t, 2, fmt.Sprint("something else ", i)))
		r.cleanUp(t)
	}
	if s := r.Journal(); s.Segments > 8 {
		t.Fatalf("a request id keeps %d segments", s.Segments)
	}
	r.reopen(t)
	if again := r.apply(t, m); again != first {
		t.Fatalf("repetition: %+v, first: %+v", again, first)
	}
	if waiting := r.waiting(t); len(waiting) != 0 {
		t.Fatalf("the repetition changed something: %v", waiting)
	}
	r.now = r.now.Add(10*time.Minute + time.Second)
	if again := r.apply(t, m); again.Revision == first.Revision {
		t.Fatal("a request id is remembered for ever")
	}
}

// An ack that was not written brings the ticket once more, at the same revision, and nothing else.
func TestLostAck(t *testing.T) {
	t.Parallel()
	d := &disk{}
	r := newRig(t, Options{OpenFile: d.open})
	revision := r.set(t, 1, "flushed")
	r.set(t, 2, "waiting")
	want := r.waiting(t)
	d.set(true, 0)
	r.ack(t, 1, revision)
	if left := r.waiting(t); len(left) != 1 {
		t.Fatalf("%v waits: a full disk kept the ack from its effect", left)
	}
	d.set(false, 0)
	r.reopen(t)
	wantSame(t, r.waiting(t), want)
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	d := &disk{}
	r := newRig(t, Options{OpenFile: d.open})
	r.set(t, 1, "before")
	d.set(true, 0)
	if _, err := store.Make(t.Context(), r, r.mutation(1, "refused")); !errors.Is(err, store.ErrFull) {
		t.Fatalf("Apply: %v", err)
	}
	got, _ := r.Get(t.Context(), []ticket.ID{1})
	if v, _ := got[0].Fields.Get("status"); v.Text() != "before" {
		t.Fatalf("what was refused is read: %v", got)
	}
	d.set(false, 0)
	r.set(t, 2, "after")
	want := r.waiting(t)
	r.reopen(t)
	wantSame(t, r.waiting(t), want)
}

// A write whose fdatasync failed is not acknowledged, its repetition only when it is on disk, and it is there once.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	d := &disk{}
	r := newRig(t, Options{OpenFile: d.open})
	m := r.mutation(1, "new")
	m.RequestID = "r"
	d.set(false, 2)
	for range 2 {
		if _, err := store.Make(t.Context(), r, m); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("Apply: %v", err)
		}
	}
	r.apply(t, m)
	want := r.waiting(t)
	r.reopen(t)
	wantSame(t, r.waiting(t), want)
}

func TestMaxEntries(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxEntries: 2})
	first := r.set(t, 1, "a")
	r.park(t, 1, first) // counts: it takes the same room
	r.set(t, 2, "a")
	if _, err := store.Make(t.Context(), r, r.mutation(3, "a")); !errors.Is(err, store.ErrFull) {
		t.Fatalf("third ticket: %v", err)
	}
	second := r.set(t, 2, "b") // waits already
	r.ack(t, 2, second)
	r.set(t, 3, "a")
}

// A full log refuses writes and takes them again when what it held has been flushed, by the loop alone.
func TestMaxBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxBytes: 64 << 10, Sync: wal.Never})
	r.Start(t.Context())
	revisions := map[ticket.ID]ticket.Revision{}
	for id := ticket.ID(1); ; id++ {
		outcome, err := store.Make(t.Context(), r, r.mutation(id, "some text that takes room"))
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil || id > 10_000 {
			t.Fatalf("ticket %d: %v", id, err)
		}
		revisions[id] = outcome.Revision
	}
	if bytes := r.Journal().Bytes; bytes > 64<<10 || bytes < 32<<10 {
		t.Fatalf("full at %d bytes", bytes)
	}
	// A full log has still room for acks: a restart does not bring back what was flushed.
	r.ack(t, 1, revisions[1])
	r.reopen(t)
	r.Start(t.Context())
	if got, _ := r.Get(t.Context(), []ticket.ID{1, 2}); got[0].Dirty || !got[1].Dirty {
		t.Fatalf("after a restart: %+v", got)
	}
	for id, revision := range revisions {
		r.ack(t, id, revision)
	}
	eventually(t, func() bool {
		_, err := store.Make(t.Context(), r, r.mutation(1, "again"))
		return err == nil
	})
	eventually(t, func() bool { return r.Journal().Segments <= 4 })
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal("did not happen within 10 s")
}

// One ticket that is written for hours while the next place is away takes no more room than one that is written once.
func TestOverwritesTakeNoRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxBytes: 64 << 10, Sync: wal.Never})
	r.set(t, 7, "untouched")
	for i := range 20_000 {
		r.set(t, 1, fmt.Sprintf("value %d", i))
		r.cleanUp(t)
	}
	if s := r.Journal(); s.Entries != 2 || s.Segments > 8 {
		t.Fatalf("stats %+v", s)
	}
	want := r.waiting(t)
	r.reopen(t)
	wantSame(t, r.waiting(t), want)
}

// Dead letters and late due times outlive any number of segments; what was flushed does not.
func TestCleaningKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxBytes: 64 << 10, Sync: wal.Never})
	r.park(t, 1, r.set(t, 1, "refused"))
	late := r.mutation(2, "late")
	late.Due = r.now.Add(1000 * time.Hour)
	r.apply(t, late)
	large := r.mutation(3, "")
	large.Fields[0].Value = ticket.Text(string(make([]byte, 5000)))
	r.apply(t, large)
	want := r.waiting(t)
	last := ticket.Revision(0)
	for i := range 5000 {
		id := ticket.ID(100 + i%50)
		last = r.set(t, id, "flushed at once")
		r.ack(t, id, last)
		if i%10 == 0 {
			r.cleanUp(t)
		}
	}
	r.cleanUp(t)
	if s := r.Journal(); s.Segments > 10 || s.Entries != 3 {
		t.Fatalf("stats %+v", s)
	}
	wantSame(t, r.waiting(t), want)
	needed, _ := r.index.Needed()
	r.reopen(t)
	wantSame(t, r.waiting(t), want)
	if now, _ := r.index.Needed(); now != needed {
		t.Errorf("segment %d is needed after a restart, %d before", now, needed)
	}
	r.now = r.now.Add(-time.Hour) // a clock that was set back
	if next := r.set(t, 9, "new"); next <= last {
		t.Fatalf("revision %d after %d", next, last)
	}
}

// A ticket whose fields do not fit one record is written once more in several.
func TestLargeTicket(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Sync: wal.Never})
	for i := range 3 {
		m := r.mutation(1, "")
		m.Fields[0] = ticket.Field{Name: fmt.Sprint("text", i), Value: ticket.Text(string(make([]byte, 4<<20-1000)))}
		r.apply(t, m)
	}
	want := r.waiting(t)
	if err := r.log.Rotate(); err != nil {
		t.Fatal(err)
	}
	for segment, _ := r.index.Needed(); segment < r.log.End().Segment; segment, _ = r.index.Needed() {
		if err := r.move(); err != nil {
			t.Fatal(err)
		}
	}
	for first := r.log.Stats().Segments[0].Number; first < 2; first = r.log.Stats().Segments[0].Number {
		if err := r.drop(first + 1); err != nil {
			t.Fatal(err)
		}
	}
	r.reopen(t)
	wantSame(t, r.waiting(t), want)
}

func TestFloor(t *testing.T) {
	t.Parallel()
	floor, away := ticket.Revision(0), errors.New("away")
	r := newRig(t, Options{Floor: func(context.Context) (ticket.Revision, error) {
		if floor == 0 {
			return 0, away
		}
		return floor, nil
	}})
	r.set(t, 1, "x")
	r.set(t, 2, "first")
	r.reopen(t) // which does not make it known
	second := r.set(t, 2, "second")
	third := r.set(t, 3, "third")
	floor = third + 1_000_000
	if err := r.askFloor(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _ := r.Get(t.Context(), []ticket.ID{1, 2, 3})
	if got[0].Revision <= floor || got[1].Revision <= got[0].Revision || got[2].Revision <= got[1].Revision {
		t.Fatalf("revisions %d, %d and %d, the next place has %d", got[0].Revision, got[1].Revision, got[2].Revision, floor)
	}
	if next := r.set(t, 4, "next"); next <= got[2].Revision {
		t.Fatalf("revision %d after %d", next, got[2].Revision)
	}
	r.ack(t, 2, second) // the ack of what was flushed before: the guard has refused it
	want := r.waiting(t)
	if len(want) != 4 {
		t.Fatalf("%v waits, want four tickets", want)
	}
	r.reopen(t)
	wantSame(t, r.waiting(t), want)
}

// The log has lost its end with the power after that was flushed.
func TestFloorAtOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	last := r.set(t, 1, "x")
	r.close(t)
	r.opts.Floor = func(context.Context) (ticket.Revision, error) { return last + 1_000_000, nil }
	r.open(t)
	if next := r.set(t, 1, "y"); next <= last+1_000_000 {
		t.Fatalf("revision %d, the next place has %d", next, last+1_000_000)
	}
}

func TestFloorIsAskedUntilItAnswers(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	n := 0
	r := newRig(t, Options{Floor: func(context.Context) (ticket.Revision, error) {
		n++
		asked <- struct{}{}
		if n == 1 {
			return 0, errors.New("away")
		}
		return 1 << 52, nil
	}})
	<-asked
	r.Start(t.Context())
	<-asked
	eventually(t, func() bool { return !r.floorMissing() })
	if next := r.set(t, 1, "x"); next <= 1<<52 {
		t.Fatalf("revision %d", next)
	}
}

func TestOtherVersionsRecordIsRefused(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"\x02\x01", "\x01\x63", "\x01", "\x01\x01\x02", "\x01\x08\x02\x00more"} {
		dir := t.TempDir()
		l, _, err := wal.Open(dir, wal.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append([]byte(data)); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, ErrRecord) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// What is clean is the next place's to tell after a restart: its row may have been replaced by somebody else since.
func TestCleanIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	m := r.mutation(1, "flushed")
	m.Kind = store.Create
	r.ack(t, 1, r.apply(t, m).Revision)
	row := store.Record{ID: 1, Revision: 1 << 52, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("edited")}}}
	have, _ := r.Get(t.Context(), []ticket.ID{1})
	if err := r.Fill(t.Context(), []store.Record{row}, []ticket.Revision{have[0].Revision}); err != nil {
		t.Fatal(err)
	}
	r.reopen(t)
	if got, _ := r.Get(t.Context(), []ticket.ID{1}); got[0].Held() {
		t.Fatalf("%+v is read after a restart", got[0])
	}
}

// Revisions grow even where no mutation is left in the log.
func TestRevisionsGrowAcrossCleaning(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	last := r.set(t, 1, "x")
	r.ack(t, 1, last)
	if err := r.log.Rotate(); err != nil {
		t.Fatal(err)
	}
	r.cleanUp(t)
	if n := r.Journal().Segments; n != 1 {
		t.Fatalf("%d segments", n)
	}
	r.now = r.now.Add(-time.Hour)
	r.reopen(t)
	if next := r.set(t, 1, "y"); next <= last {
		t.Fatalf("revision %d after %d", next, last)
	}
}
