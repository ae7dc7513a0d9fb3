package outbox_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// rows say since when MySQL knows tickets, or that it does not answer.
type rows struct {
	mu    sync.Mutex
	since map[ticket.ID]ticket.Revision
	err   error
}

func (r *rows) born(context.Context, []ticket.ID) (map[ticket.ID]ticket.Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.since), r.err
}

func (r *rows) answer(since map[ticket.ID]ticket.Revision, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since, r.err = since, err
}

// createBeside has the journal acknowledge a create of ticket 1 while Redis is away, some seconds ago.
func (h *harness) createBeside(t *testing.T) {
	t.Helper()
	h.next.away.Store(true)
	m := create(1, "mine")
	m.Proposed -= store.LateSkew / 2
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
		t.Fatal(outcomes, err)
	}
}

// elsewhere changes ticket 1 on another host: its status, by a set, and then, where the test wants that, it brings the change to
// MySQL, deletes the ticket, forgets it, and reads its row.
type elsewhere struct {
	set, flushed, deleted, forgotten, read bool
}

func (e elsewhere) do(t *testing.T, h *harness) {
	t.Helper()
	other := h.another(t)
	apply := func(m store.Mutation) (revision ticket.Revision) {
		outcomes, err := other.Apply(t.Context(), []store.Mutation{m})
		if err != nil || outcomes[0].Err != nil {
			t.Fatal(outcomes, err)
		}
		return outcomes[0].Revision
	}
	var revision ticket.Revision
	if e.set {
		revision = apply(mutation(1, "changed elsewhere"))
	}
	if e.deleted {
		gone := mutation(1, "")
		gone.Kind, gone.Fields = store.Delete, nil
		revision = apply(gone)
	}
	var err error
	if e.flushed {
		err = other.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: revision}})
	}
	if e.forgotten {
		err = errors.Join(err, h.client.Del(t.Context(), h.key(1)).Err())
	}
	if e.read {
		row := store.Record{ID: 1, Revision: revision, Deleted: e.deleted, Fields: mutation(1, "changed elsewhere").Fields}
		err = errors.Join(err, other.Fill(t.Context(), []store.Record{row}, []ticket.Revision{0}))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A create was acknowledged while Redis was away, and meets what others have done under its id meanwhile. Whether that is its own
// ticket, of which they had received the id, or a stranger's shows by the row: a set of an old row begins to hold it in Redis
// only now, what is the create's own may be held as a row's copy, and of either Redis may have forgotten all but the deletion.
func TestReplayedCreateIsJudgedByTheRow(t *testing.T) {
	t.Parallel()
	before := func() ticket.Revision { return ticket.Revision(time.Now().UnixMicro()) - 2*store.LateSkew }
	since := func() ticket.Revision { return ticket.Revision(time.Now().UnixMicro()) }
	none := func() ticket.Revision { return 0 }
	changed, deleted, changedAndDeleted := elsewhere{set: true}, elsewhere{deleted: true}, elsewhere{set: true, deleted: true}
	flushed := elsewhere{set: true, flushed: true}
	forgotten := elsewhere{set: true, flushed: true, forgotten: true}
	read := elsewhere{set: true, flushed: true, forgotten: true, read: true}
	buried := elsewhere{deleted: true, flushed: true, forgotten: true} // a tombstone is left
	deletedAndRead := elsewhere{deleted: true, flushed: true, forgotten: true, read: true}
	changedAndBuried := elsewhere{set: true, deleted: true, flushed: true, forgotten: true}
	for name, c := range map[string]struct {
		elsewhere elsewhere
		row       func() ticket.Revision
		want      string // joins, moves, ends
	}{
		"an old row, changed":                             {changed, before, "moves"},
		"an old row, changed and flushed":                 {flushed, before, "moves"},
		"an old row, changed, flushed and read":           {read, before, "moves"},
		"an old row, changed, flushed and forgotten":      {forgotten, before, "moves"},
		"an old row, deleted and forgotten":               {buried, before, "moves"},
		"an old row, deleted":                             {deleted, before, "moves"},
		"no row, changed":                                 {changed, none, "joins"},
		"its own row, changed and flushed":                {flushed, since, "joins"},
		"its own row, changed, flushed and read":          {read, since, "joins"},
		"its own row, changed, flushed and forgotten":     {forgotten, since, "joins"},
		"its own row, changed, deleted":                   {changedAndDeleted, since, "ends"},
		"its own row, changed, deleted and forgotten":     {changedAndBuried, since, "ends"},
		"no row, deleted before it came, and forgotten":   {buried, none, "ends"},
		"its own row, deleted, forgotten, and read again": {deletedAndRead, since, "ends"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, &harness{ids: &ids{}})
			h.createBeside(t)
			c.elsewhere.do(t, h)
			if row := c.row(); row != 0 {
				h.rows.answer(map[ticket.ID]ticket.Revision{1: row}, nil)
			}
			h.next.away.Store(false)
			h.drained(t)
			wantJudged(t, h, c.want)
		})
	}
}

// wantJudged says what became of the create of ticket 1: it joins the ticket, moves to another id, or ends as the ticket was
// deleted.
func wantJudged(t *testing.T, h *harness, want string) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, "nothing waits", func() bool { return h.Journal().Entries == 0 })
	records, err := h.another(t).Get(t.Context(), []ticket.ID{1, 1001})
	if err != nil {
		t.Fatal(err)
	}
	met, moved := &records[0], &records[1]
	if moved.Held() != (want == "moves") {
		t.Errorf("under another id: %+v", moved)
	}
	if got, _ := met.Fields.Get("status"); (got.Text() == "mine") != (want == "joins") {
		t.Errorf("ticket 1 is %+v", met)
	}
	if (met.Created != 0) != (want == "joins") {
		t.Errorf("ticket 1 is %+v, as if its create had arrived: %v", met, met.Created != 0)
	}
}

// A create that waits because Redis was away is judged by the row however short it waits: Redis was not asked for its id, and may
// have forgotten the ticket that has it. (Without that the create is made, and joins a row that was changed lately.)
func TestFreshCreateIsJudgedByTheRow(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{}})
	h.rows.answer(map[ticket.ID]ticket.Revision{1: 1}, nil)
	h.next.away.Store(true)
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{create(1, "mine")}); err != nil || outcomes[0].Err != nil {
		t.Fatal(outcomes, err)
	}
	h.next.away.Store(false)
	h.drained(t)
	wantJudged(t, h, "moves")
}

// MySQL does not answer: a create that meets a ticket waits, and changes nothing of it. One that meets none is made.
func TestReplayedCreateWaitsForTheRow(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{}})
	h.rows.answer(nil, errors.New("MySQL is away"))
	h.createBeside(t)
	if _, err := h.Apply(t.Context(), []store.Mutation{create(2, "free"), mutation(3, "open")}); err != nil {
		t.Fatal(err)
	}
	elsewhere{set: true}.do(t, h)
	h.next.away.Store(false)
	h.Nudge()
	testenv.Eventually(t, 10*time.Second, "only the create waits, and was tried again", func() bool {
		s := h.Journal()
		return s.Entries == 1 && s.Tries >= 3
	})
	for id, want := range map[ticket.ID]string{1: "changed elsewhere", 2: "free", 3: "open"} {
		if got := status(t, h.another(t), id); got != want {
			t.Errorf("ticket %d is %q, want %q", id, got, want)
		}
	}
	h.rows.answer(nil, nil)
	testenv.Eventually(t, 10*time.Second, "the create has arrived", func() bool { return h.Journal().Entries == 0 })
	wantJudged(t, h, "joins")
}

// A create was acknowledged while a clock was ahead, so that it seems to be of the future: MySQL is asked about its id all the
// same, and the create does not wait for the clock. (Where its age decides whether MySQL is asked, it does.)
func TestReplayedCreateOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.next.away.Store(true)
	m := create(1, "mine")
	m.Proposed += ticket.Revision(time.Hour.Microseconds())
	if outcomes, err := h.Apply(t.Context(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
		t.Fatal(outcomes, err)
	}
	later := mutation(1, "changed elsewhere")
	later.Proposed = m.Proposed + 1
	if _, err := h.another(t).Apply(t.Context(), []store.Mutation{later}); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(false)
	h.drained(t)
	testenv.Eventually(t, 10*time.Second, "the create has arrived", func() bool { return h.Journal().Entries == 0 })
}
