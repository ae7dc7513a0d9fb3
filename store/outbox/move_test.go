package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/outbox"
)

// create is a create that nobody repeats.
func create(id ticket.ID, value string) store.Mutation {
	m := mutation(id, value)
	m.Kind = store.Create
	return m
}

// stranger makes a ticket in Redis that is older than any create of the test's.
func (h *harness) stranger(t *testing.T, id ticket.ID) {
	t.Helper()
	m := mutation(id, "a stranger's")
	m.Proposed -= ticket.Revision(time.Hour.Microseconds()) // however long the test takes
	if _, err := store.Make(t.Context(), h.another(t), m); err != nil {
		t.Fatal(err)
	}
}

// ids hands out ids from 1,001, or fails.
type ids struct {
	last  ticket.ID
	err   error
	taken func() // where set, called with each id that is handed out
}

func (i *ids) next(context.Context) (ticket.ID, error) {
	if i.err != nil {
		return 0, i.err
	}
	i.last++
	if i.taken != nil {
		i.taken()
	}
	return 1000 + i.last, nil
}

// moves keeps the moves that it is told of, unless it fails.
type moves struct {
	mu   sync.Mutex
	all  []outbox.Move
	busy bool // a change of each ticket is being made
	fail error
}

func (m *moves) Moving(_ ticket.ID, replace func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy {
		return errors.New("busy")
	}
	return replace()
}

func (m *moves) Moved(move outbox.Move) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		m.all = append(m.all, move)
	}
	return m.fail
}

// take returns what it was told since the last time.
func (m *moves) take() []outbox.Move {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.all
	m.all = nil
	return all
}

func (m *moves) set(busy bool, fail error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy, m.fail = busy, fail
}

// A create that waited in the journal meets a ticket that has its id: the create gets another one, with what waits behind it, in
// one replay or in several; the ticket is as it was, and others are not held up. After restarts too.
func TestReplayedCreateLeavesAStrangersTicketAlone(t *testing.T) {
	t.Parallel()
	for name, cluster := range map[string]bool{"one partition": false, "in parts": true} {
		for name, behind := range map[string]int{name + ", one replay": 1, name + ", several": 300} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := start(t, &harness{cluster: cluster, ids: &ids{}})
				h.next.away.Store(true)
				changes := []store.Mutation{create(1, "mine")}
				for range behind {
					changes = append(changes, mutation(1, "changed"), mutation(33, "another's"))
				}
				last := mutation(1, "the last")
				last.Fields = append(last.Fields, ticket.Field{Name: "category", Value: ticket.Text("billing")})
				if _, err := h.Apply(t.Context(), append(changes, last)); err != nil {
					t.Fatal(err)
				}
				h.stranger(t, 1)
				h.close(t)
				h.open(t)
				h.next.away.Store(false)
				h.drained(t)
				h.close(t)
				h.open(t) // the changes under the old id are in the journal still
				h.drained(t)
				if got := status(t, h.another(t), 1); got != "a stranger's" {
					t.Errorf("the other ticket is %q", got)
				}
				if got := status(t, h.another(t), 1001); got != "the last" {
					t.Errorf("the create's ticket is %q", got)
				}
				if got := status(t, h.another(t), 33); got != "another's" {
					t.Errorf("ticket 33 is %q", got)
				}
				if r := h.get(t, 1002); r.Held() {
					t.Errorf("moved twice: %+v", r)
				}
				moved := h.moves.take()
				for i := range moved { // again after the restart, as long as the journal has it
					if moved[i].From != 1 || moved[i].To != 1001 || moved[i].At.UnixMicro() != moved[0].At.UnixMicro() {
						t.Errorf("moved %+v", moved)
					}
				}
				if len(moved) == 0 {
					t.Error("no move is told")
				}
			})
		}
	}
}

// A ticket that arrives late is as old as its change was when it was acknowledged: a create that was acknowledged later is
// another one's, though the ticket came to Redis after it.
func TestAReplayedTicketIsAsOldAsItsChange(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{})
	h.next.away.Store(true)
	old := mutation(1, "theirs")
	old.Proposed -= 3 * store.LateSkew
	if _, err := store.Make(t.Context(), h, old); err != nil {
		t.Fatal(err)
	}
	other := h.another(t)
	if _, err := store.Make(t.Context(), other, mutation(2, "newer, as all revisions after it")); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(false)
	h.drained(t)
	late := create(1, "mine")
	late.Accepted = late.Proposed
	outcomes, err := other.Apply(t.Context(), []store.Mutation{late})
	if err != nil || !errors.Is(outcomes[0].Err, store.ErrTaken) {
		t.Fatalf("create of an id that another one has: %+v (%v), want it taken", outcomes, err)
	}
	if got := status(t, other, 1); got != "theirs" {
		t.Errorf("the other ticket is %q", got)
	}
}

// Without another id the create waits, and holds up nobody; it gets one when there is one.
func TestCreateWaitsForAnotherID(t *testing.T) {
	t.Parallel()
	source := &ids{err: errors.New("the leased ids are used up")}
	h := start(t, &harness{ids: source})
	h.next.away.Store(true)
	if _, err := h.Apply(t.Context(), []store.Mutation{create(1, "mine"), mutation(1, "changed"), mutation(2, "open")}); err != nil {
		t.Fatal(err)
	}
	h.stranger(t, 1)
	h.next.away.Store(false)
	h.Nudge()
	testenv.Eventually(t, 10*time.Second, "the other ticket's change is in Redis", func() bool {
		return status(t, h.another(t), 2) == "open"
	})
	testenv.Eventually(t, 10*time.Second, "only the create and what is behind it wait", func() bool {
		return h.Journal().Entries == 2
	})
	if got := status(t, h.another(t), 1); got != "a stranger's" {
		t.Errorf("the other ticket is %q", got)
	}
	h.close(t)
	source.err = nil
	h.open(t)
	h.drained(t)
	testenv.Eventually(t, 10*time.Second, "what was stuck has arrived as well", func() bool { return h.Journal().Entries == 0 })
	if got := status(t, h.another(t), 1001); got != "changed" {
		t.Errorf("the create's ticket is %q", got)
	}
	if got := status(t, h.another(t), 1); got != "a stranger's" {
		t.Errorf("after the restart the other ticket is %q", got)
	}
}

// The daemon is killed while a create whose id is taken is put behind the others, and then while it gets another id, at any byte
// of what that writes to the journal: after the restart the create is there once, with what followed it, and the other ticket is
// as it was. (Where old entries count beside new ones, changes reach the other ticket; where a part of the new ones counts, the
// ticket goes back to an older value or is made twice.)
func TestCrashWhileACreateIsReplaced(t *testing.T) {
	t.Parallel()
	source := &ids{err: errors.New("the leased ids are used up"), last: 1000}
	before := start(t, &harness{ids: source})
	before.next.away.Store(true)
	if _, err := before.Apply(t.Context(), []store.Mutation{create(1, "mine"), mutation(1, "changed")}); err != nil {
		t.Fatal(err)
	}
	segment, accepted := before.onlySegment(t)
	before.stranger(t, 1)
	before.next.away.Store(false)
	before.Nudge()
	testenv.Eventually(t, 10*time.Second, "the create was tried twice", func() bool { return before.Journal().Tries >= 2 })
	before.close(t)
	source.err, source.taken = nil, func() { before.next.away.Store(true) } // nothing arrives
	before.open(t)
	before.Nudge()
	testenv.Eventually(t, 10*time.Second, "the create has another id", func() bool { return len(before.moves.take()) == 1 })
	before.close(t)
	_, whole := before.onlySegment(t)
	before.open(t) // its cleanup closes it
	h := start(t, &harness{ids: &ids{}})
	prefix := h.prefix
	moved := 0
	for cut := len(accepted); cut <= len(whole); cut++ {
		h.close(t)
		h.prefix = fmt.Sprintf("%s%d:", prefix, cut)
		if err := errors.Join(os.RemoveAll(h.dir), os.MkdirAll(h.dir, 0o700),
			os.WriteFile(filepath.Join(h.dir, segment), whole[:cut], 0o600)); err != nil {
			t.Fatal(err)
		}
		h.ids.last = 0
		h.stranger(t, 1)
		h.open(t)
		h.drained(t)
		if got := status(t, h.next, 1); got != "a stranger's" {
			t.Errorf("cut at %d of %d: the other ticket is %q", cut, len(whole), got)
		}
		from, to := h.get(t, 1001), h.get(t, 2001)
		if from.Held() == to.Held() {
			t.Errorf("cut at %d of %d: the create is there twice, or not at all: %+v %+v", cut, len(whole), from, to)
		}
		r := from
		if to.Held() {
			r = to
			moved++
		}
		if got, _ := r.Fields.Get("status"); got.Text() != "changed" {
			t.Errorf("cut at %d of %d: the create's ticket is %q", cut, len(whole), got.Text())
		}
	}
	if cuts := len(whole) - len(accepted); moved == 0 || moved > cuts/2 {
		t.Errorf("in %d of %d cuts the create had its new id before", moved, cuts)
	}
}

// onlySegment returns the journal's only segment.
func (h *harness) onlySegment(t *testing.T) (name string, content []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(h.dir, "*.wal"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v (%v), want one segment", paths, err)
	}
	content, err = os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(paths[0]), content
}

// While a create waits for an id of its own, the ticket that has its id is not shown in its place, and no condition is judged by
// it.
func TestAStuckCreateIsNotReadAsTheOther(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{err: errors.New("the leased ids are used up")}})
	h.next.away.Store(true)
	if _, err := h.Apply(t.Context(), []store.Mutation{create(1, "mine")}); err != nil {
		t.Fatal(err)
	}
	h.stranger(t, 1)
	theirs := mutation(1, "a stranger's")
	theirs.Fields = append(theirs.Fields, ticket.Field{Name: "message", Value: ticket.Text("private words")})
	if _, err := h.another(t).Apply(t.Context(), []store.Mutation{theirs}); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(false)
	h.Nudge()
	testenv.Eventually(t, 10*time.Second, "the create is stuck", func() bool { return h.Stuck(nil) != nil })
	r := h.get(t, 1)
	if message, shown := r.Fields.Get("message"); shown {
		t.Errorf("the new ticket is read with the other's message %q", message.Text())
	}
	if got, _ := r.Fields.Get("status"); got.Text() != "mine" || !r.Full || !r.Queued {
		t.Errorf("the new ticket reads %+v", r)
	}
	held, err := h.another(t).Get(t.Context(), []ticket.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []ticket.Revision{r.Revision, held[0].Revision} {
		conditional := mutation(1, "by condition")
		conditional.IfRevision = revision
		if outcome, err := store.Make(t.Context(), h, conditional); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a change on condition of revision %d: %+v (%v), want unavailable", revision, outcome, err)
		}
	}
	if got := status(t, h.another(t), 1); got != "a stranger's" {
		t.Errorf("the other ticket is %q", got)
	}
}

// The id that a moved create gets is taken meanwhile: no client has received it, so the create joins no ticket but is moved once
// more.
func TestAMovedCreateJoinsNoOther(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{}})
	h.next.away.Store(true)
	if _, err := h.Apply(t.Context(), []store.Mutation{create(1, "mine"), mutation(1, "changed")}); err != nil {
		t.Fatal(err)
	}
	h.stranger(t, 1)
	setIn(t, h.another(t), 1001, "another stranger's") // made after the create, as if its client had received that id
	h.next.away.Store(false)
	h.drained(t)
	for id, want := range map[ticket.ID]string{1: "a stranger's", 1001: "another stranger's", 1002: "changed"} {
		if got := status(t, h.another(t), id); got != want {
			t.Errorf("ticket %d is %q, want %q", id, got, want)
		}
	}
}

// A create that is to be acknowledged early meets a ticket that Redis has: only Redis can say so, so it is asked.
func TestAnEarlyCreateMeetsATicket(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	setIn(t, h.another(t), 1, "a stranger's")
	early := create(1, "mine")
	early.Early = true
	outcomes, err := h.Apply(t.Context(), []store.Mutation{early})
	if err != nil || !errors.Is(outcomes[0].Err, store.ErrTaken) {
		t.Errorf("%+v (%v), want the id taken", outcomes, err)
	}
}

// While a create waits somebody on another host, who was told its id, changes the ticket: the two are one.
func TestReplayedCreateMeetsItsOwn(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{}})
	h.next.away.Store(true)
	m := create(1, "new")
	m.Fields = append(m.Fields, ticket.Field{Name: "subject", Value: ticket.Text("mine")})
	if _, err := store.Make(t.Context(), h, m); err != nil {
		t.Fatal(err)
	}
	told := mutation(1, "told")
	told.Fields[0].Name = "category"
	if _, err := store.Make(t.Context(), h.another(t), told); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(false)
	h.drained(t)
	r := h.get(t, 1)
	for name, want := range map[string]string{"status": "new", "subject": "mine", "category": "told"} {
		if got, _ := r.Fields.Get(name); got.Text() != want {
			t.Errorf("%s is %q, want %q", name, got.Text(), want)
		}
	}
	if moved := h.moves.take(); len(moved) != 0 {
		t.Errorf("moved %+v", moved)
	}
}

// What waits in the journal, and what was seen deleted, is known while Redis is away.
func TestTakenAndDeletedWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.set(t, 1, "open")
	gone := mutation(2, "")
	gone.Kind, gone.Fields = store.Delete, nil
	if _, err := store.Make(t.Context(), h, gone); err != nil {
		t.Fatal(err)
	}
	if err := h.Bury(t.Context(), []ticket.ID{3}); err != nil {
		t.Fatal(err)
	}
	h.next.away.Store(true)
	h.set(t, 4, "waits")
	must := func(id ticket.ID) store.Mutation {
		m := mutation(id, "late")
		m.MustExist = true
		return m
	}
	for _, c := range []struct {
		m    store.Mutation
		want error
	}{
		{create(4, "new"), store.ErrTaken}, {create(2, "new"), store.ErrTaken}, {create(3, "new"), store.ErrTaken},
		{mutation(2, "late"), store.ErrDeleted}, {mutation(3, "late"), store.ErrDeleted},
		{must(4), nil}, {must(1), store.ErrAbsent}, {must(2), store.ErrDeleted},
	} {
		outcomes, err := h.Apply(t.Context(), []store.Mutation{c.m})
		if err != nil || !errors.Is(outcomes[0].Err, c.want) {
			t.Errorf("kind %d of ticket %d: %+v (%v), want %v", c.m.Kind, c.m.ID, outcomes, err, c.want)
		}
	}
	h.next.away.Store(false)
	h.drained(t)
	if got := status(t, h.another(t), 4); got != "late" {
		t.Errorf("ticket 4 is %q", got)
	}
}
