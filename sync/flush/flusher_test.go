package flush_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/sync/flush"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	linger = 200 * time.Millisecond
	batch  = 100
	// longestPoll is how often an idle queue is asked.
	longestPoll = 30 * time.Second
)

// table is a sink in memory that keeps the sink's contract and counts statements.
type table struct {
	mu     sync.Mutex
	rows   map[ticket.ID]store.Claim
	writes []int // changes per write
	fail   error
	refuse map[ticket.ID]*flush.Refusal
	locked map[ticket.ID]bool
	gone   map[ticket.ID]bool // the sink has other data of these tickets
	void   map[ticket.ID]bool // the ids belong to other tickets in the sink
	hang   bool               // until the caller gives up
	delay  time.Duration
	// failFor makes writes of the given tickets fail.
	failFor map[ticket.ID]error
}

func newTable() *table {
	return &table{rows: map[ticket.ID]store.Claim{}, refuse: map[ticket.ID]*flush.Refusal{}, locked: map[ticket.ID]bool{},
		gone: map[ticket.ID]bool{}}
}

func (s *table) Write(ctx context.Context, changes []store.Claim) ([]flush.Result, error) {
	if s.hang {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", flush.ErrSinkDown, ctx.Err())
	}
	time.Sleep(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	for _, c := range changes {
		if err := s.failFor[c.ID]; err != nil {
			return nil, err
		}
	}
	s.writes = append(s.writes, len(changes))
	results := make([]flush.Result, len(changes))
	for i, c := range changes {
		row := s.rows[c.ID]
		switch {
		case s.locked[c.ID]:
			results[i].Later = errors.New("lock wait timeout")
			continue
		case s.refuse[c.ID] != nil:
			results[i].Refused = s.refuse[c.ID]
			continue
		case s.void[c.ID]:
			results[i] = flush.Result{Revision: c.Revision, Ahead: true, Void: true}
			continue
		case s.gone[c.ID]:
			results[i] = flush.Result{Revision: c.Revision, Ahead: true}
			continue
		case c.Revision > row.Revision:
			for _, f := range row.Fields {
				if _, changed := c.Fields.Get(f.Name); !changed {
					c.Fields = c.Fields.With(f.Name, f.Value)
				}
			}
			s.rows[c.ID] = c
		}
		results[i].Revision = s.rows[c.ID].Revision
	}
	return results, nil
}

func (s *table) set(fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *table) lock(id ticket.ID, locked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked[id] = locked
}

func (s *table) statements() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writes)
}

func (s *table) value(id ticket.ID, field string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _ := s.rows[id].Fields.Get(field)
	return v.Text()
}

// desk is a store, a sink and a flusher between the two, in fake time.
type desk struct {
	*flush.Flusher
	queue *pending.Store
	sink  *table
	clock *ticket.Clock
}

func newDesk(t *testing.T, refresh func(context.Context) error) *desk {
	t.Helper()
	d := &desk{queue: pending.New(), sink: newTable(), clock: ticket.NewClock(time.Now)}
	d.start(t, d.queue, refresh)
	return d
}

// start starts a flusher of queue, which leads to d.queue.
func (d *desk) start(t *testing.T, queue flush.Queue, refresh func(context.Context) error) {
	t.Helper()
	d.Flusher = flush.New(queue, d.sink, flush.Options{
		Batch: batch, Lease: 30 * time.Second, Gap: linger, Poll: time.Second, LongestPoll: longestPoll, MaxPause: 10 * time.Second,
		Refresh: refresh, Log: zerolog.Nop(),
	})
	d.Start(t.Context())
	t.Cleanup(func() { _ = d.Stop(context.Background()) })
}

// quiet ends the flusher's own rounds: from then on only the test flushes.
func (d *desk) quiet(t *testing.T) {
	t.Helper()
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (d *desk) set(t *testing.T, id ticket.ID, field, value string) {
	t.Helper()
	due := time.Now().Add(linger)
	outcomes, err := d.queue.Apply(t.Context(), []store.Mutation{{
		Kind: store.Set, ID: id, Fields: ticket.Fields{{Name: field, Value: ticket.Text(value)}},
		Proposed: d.clock.Propose(), Due: due,
	}})
	if err != nil || outcomes[0].Err != nil {
		t.Fatalf("set: %v %+v", err, outcomes)
	}
	d.Wake(due)
}

// slowAck is a queue whose acks take effect a second before the return.
type slowAck struct{ flush.Queue }

func (q slowAck) Ack(ctx context.Context, receipts []store.Receipt) error {
	err := q.Queue.Ack(ctx, receipts)
	time.Sleep(time.Second)
	return err
}

// An observer who sees no dirty ticket finds the rows counted.
func TestRowsCountBeforeTheAck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{queue: pending.New(), sink: newTable(), clock: ticket.NewClock(time.Now)}
		d.start(t, slowAck{d.queue}, nil)
		d.set(t, 812, "status", "open")
		time.Sleep(linger + time.Second/2)
		if backlog, err := d.queue.Backlog(t.Context()); err != nil || backlog.Dirty != 0 || d.Stats().Rows() != 1 {
			t.Errorf("backlog %+v (%v), %d rows; want none dirty and one row", backlog, err, d.Stats().Rows())
		}
	})
}

func TestFiftyUpdatesCostOneRowWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		for i := range 50 {
			d.set(t, 812, "status", strconv.Itoa(i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if d.sink.statements() != 1 || d.sink.value(812, "status") != "49" {
			t.Errorf("%d writes, status %q; want one write of the last", d.sink.statements(), d.sink.value(812, "status"))
		}
	})
}

// A steady stream of single changes must not become a stream of single-row statements.
func TestStreamBecomesBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		for i := range 1000 {
			d.set(t, ticket.ID(i+1), "status", "open")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := d.sink.statements(); n > 12 || d.Stats().Rows() != 1000 {
			t.Errorf("%d statements for %d rows, want 12 at most for 1000", n, d.Stats().Rows())
		}
	})
}

func TestFlushedWithinTheLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		time.Sleep(10*time.Second + 123*time.Millisecond) // idle, between two polls
		d.set(t, 1, "status", "open")
		time.Sleep(linger + time.Millisecond)
		if d.sink.value(1, "status") != "open" {
			t.Error("the change is not in the sink when it is due")
		}
	})
}

// The loop comes round all the time, idle or with a sink that is away: a watchdog goes by that.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		in := func(what string, least int64) {
			before := d.Stats().Turns()
			time.Sleep(time.Minute)
			if n := d.Stats().Turns() - before; n < least {
				t.Errorf("%s: %d turns in a minute, want %d at least", what, n, least)
			}
		}
		in("idle", int64(time.Minute/longestPoll))
		d.sink.set(fmt.Errorf("connection refused: %w", flush.ErrSinkDown))
		d.set(t, 1, "status", "open")
		time.Sleep(time.Minute)
		in("without a sink", 6)
	})
}

// The sink is unreachable for an hour: the flusher retries with growing pauses, blames no ticket, and drains the backlog on
// recovery.
func TestSinkAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.set(fmt.Errorf("connection refused: %w", flush.ErrSinkDown))
		for i := range 500 {
			d.set(t, ticket.ID(i+1), "status", "open")
		}
		time.Sleep(time.Hour)
		tries := d.Stats().Failures()
		if tries < 300 || tries > 1000 {
			t.Errorf("%d tries in an hour, want pauses that grow to between 5 and 10 s", tries)
		}
		if state, _, reason := d.Stats().Sink(); state != flush.SinkDown || reason == "" {
			t.Errorf("sink is %s (%q), want down with a reason", state, reason)
		}
		d.sink.set(nil)
		time.Sleep(11 * time.Second)
		if d.Stats().Rows() != 500 || d.Stats().Dead() != 0 {
			t.Errorf("%d rows, %d dead; want 500 and none", d.Stats().Rows(), d.Stats().Dead())
		}
		if state, _, _ := d.Stats().Sink(); state != flush.SinkUp {
			t.Errorf("sink is %s, want up", state)
		}
	})
}

// A changed table pauses the site: the flusher reads the definition again and parks no ticket.
func TestSinkPaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d *desk
		d = newDesk(t, func(context.Context) error {
			d.sink.set(nil)
			return nil
		})
		d.sink.set(fmt.Errorf("error 1054: %w", flush.ErrSinkPaused))
		d.set(t, 1, "status", "open")
		time.Sleep(time.Second)
		if d.Stats().Rows() != 1 || d.Stats().Dead() != 0 {
			t.Errorf("%d rows, %d dead after the refresh; want 1 and none", d.Stats().Rows(), d.Stats().Dead())
		}
	})
}

func TestRefusedTicketIsParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.refuse[2] = &flush.Refusal{Code: 1406, Reason: "Data too long for column 'subject'"}
		for id := range 3 {
			d.set(t, ticket.ID(id+1), "status", "open")
		}
		time.Sleep(time.Minute)
		backlog, err := d.queue.Backlog(t.Context())
		if err != nil || backlog.Dead != 1 || backlog.Dirty != 0 || d.Stats().Rows() != 2 {
			t.Errorf("backlog %+v (%v), %d rows; want the others flushed and one dead letter", backlog, err, d.Stats().Rows())
		}
	})
}

// A ticket of which the sink has other data is clean, and the store forgets its copy.
func TestWhatTheSinkHasOtherwiseIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.gone[2] = true
		d.set(t, 1, "status", "open")
		d.set(t, 2, "status", "open")
		time.Sleep(time.Minute)
		backlog, err := d.queue.Backlog(t.Context())
		if err != nil || backlog.Dirty+backlog.Dead != 0 {
			t.Errorf("backlog %+v (%v), want none", backlog, err)
		}
		records, err := d.queue.Get(t.Context(), []ticket.ID{1, 2})
		if err != nil || !records[0].Held() || records[1].Held() {
			t.Errorf("records %+v (%v), want the first held and the second forgotten", records, err)
		}
	})
}

// A deletion that the sink calls void leaves no tombstone, which would block changes of the ticket that has the id in the sink.
func TestAVoidDeletionLeavesNoTombstone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.void = map[ticket.ID]bool{2: true}
		for _, id := range []ticket.ID{1, 2} {
			m := store.Mutation{Kind: store.Delete, ID: id, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now()}
			if _, err := store.Make(t.Context(), d.queue, m); err != nil {
				t.Fatal(err)
			}
			d.Wake(m.Due)
		}
		time.Sleep(time.Minute)
		backlog, err := d.queue.Backlog(t.Context())
		if err != nil || backlog.Dirty+backlog.Dead != 0 || backlog.Buried != 1 {
			t.Errorf("backlog %+v (%v), want nothing that waits and the first ticket's tombstone", backlog, err)
		}
		d.set(t, 2, "status", "theirs")
	})
}

func TestFlushAnswersWhenAllIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		for id := range 250 {
			d.set(t, ticket.ID(id+1), "status", "open")
		}
		var last, total int
		moved, err := d.Flush(t.Context(), nil, func(done, all int) { last, total = done, all })
		if err != nil || moved.Flushed != 250 || last != 250 || total != 250 {
			t.Errorf("moved %+v (%v), progress %d of %d; want 250", moved, err, last, total)
		}
		if d.sink.value(250, "status") != "open" {
			t.Error("a ticket that was dirty at the call is not in the sink")
		}
	})
}

// Two batches of a flush are under way at a time, not more.
func TestFlushOverlapsBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.quiet(t)
		for id := range ticket.ID(4 * batch) {
			d.set(t, id+1, "status", "open")
		}
		d.sink.delay = time.Second
		begin := time.Now()
		if moved, err := d.Flush(t.Context(), nil, nil); err != nil || moved.Flushed != 4*batch {
			t.Fatalf("flushed %+v: %v", moved, err)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("four batches of a second took %v, want 2s", took)
		}
	})
}

// A batch that fails for good ends the flush, even while the other batch retries.
func TestFailedBatchEndsTheFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.quiet(t)
		broken := errors.New("broken")
		d.sink.failFor = map[ticket.ID]error{1: fmt.Errorf("connection refused: %w", flush.ErrSinkDown), batch + 1: broken}
		for id := range ticket.ID(2 * batch) {
			d.set(t, id+1, "status", "open")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := d.Flush(ctx, nil, nil); !errors.Is(err, broken) || ctx.Err() != nil {
			t.Errorf("error %v, want %v before the hour is over", err, broken)
		}
	})
}

func TestFlushGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.set(t, 1, "status", "open")
		d.sink.set(fmt.Errorf("connection refused: %w", flush.ErrSinkDown))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := d.Flush(ctx, nil, nil); !errors.Is(err, flush.ErrSinkDown) {
			t.Errorf("error %v, want ErrSinkDown", err)
		}
	})
}

// TryFlush does not wait for an unreachable sink; the next TryFlush finds the sink again.
func TestTryFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.set(t, 1, "status", "open")
		d.sink.set(fmt.Errorf("connection refused: %w", flush.ErrSinkDown))
		begin := time.Now()
		if err := d.TryFlush(t.Context()); !errors.Is(err, flush.ErrSinkDown) || time.Since(begin) > 0 {
			t.Errorf("error %v after %v, want ErrSinkDown at once", err, time.Since(begin))
		}
		d.sink.set(nil)
		if err := d.TryFlush(t.Context()); err != nil || d.sink.value(1, "status") != "open" {
			t.Errorf("error %v, status %q; want the change in the sink", err, d.sink.value(1, "status"))
		}
	})
}

// A flush whose caller has left proves no state of the sink and raises no alarm.
func TestFlushCutOffIsNoSinkFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.quiet(t)
		d.set(t, 1, "status", "open")
		d.sink.set(fmt.Errorf("the statement was cut off: %w", flush.ErrSinkDown))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.TryFlush(ctx); err == nil {
			t.Error("a flush that was cut off succeeded")
		}
		if state, _, _ := d.Stats().Sink(); state != flush.SinkUnknown || d.Stats().Failures() != 0 {
			t.Errorf("sink is %s after %d failures, want it not known, and none", state, d.Stats().Failures())
		}
	})
}

// A daemon that dies between write and ack leaves the claim to the lease.
func TestClaimOfADeadDaemonComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.set(t, 1, "status", "open")
		time.Sleep(linger - time.Millisecond)
		if _, err := d.queue.ClaimIDs(t.Context(), time.Now(), []ticket.ID{1}, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if d.sink.statements() != 0 {
			t.Fatal("flushed under another daemon's lease")
		}
		time.Sleep(3 * time.Second)
		if d.sink.value(1, "status") != "open" {
			t.Error("the claim did not come back")
		}
	})
}

// The sink's state is unknown until an observation: an idle flusher proves no state, a look at the table or a write does. A look
// is no proof against a refused write. (Before: "up" from the start.)
func TestTheSinkIsUnknownUntilProved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		want := func(state flush.SinkState) {
			t.Helper()
			if got, _, reason := d.Stats().Sink(); got != state {
				t.Fatalf("sink is %s (%s), want %s", got, reason, state)
			}
		}
		time.Sleep(time.Hour)
		want(flush.SinkUnknown)
		d.Looked(fmt.Errorf("no such table: %w", flush.ErrSinkPaused))
		want(flush.SinkPaused)
		d.Looked(nil)
		want(flush.SinkUp)
		d.Looked(fmt.Errorf("refused: %w", flush.ErrSinkDown))
		time.Sleep(time.Hour)
		want(flush.SinkDown)
		d.Looked(nil)
		want(flush.SinkUp)
		d.sink.set(fmt.Errorf("read-only: %w", flush.ErrSinkDown))
		d.set(t, 1, "status", "open")
		time.Sleep(time.Second)
		want(flush.SinkDown)
		d.Looked(nil)
		want(flush.SinkDown)
		d.sink.set(nil)
		time.Sleep(time.Minute)
		want(flush.SinkUp)
	})
}

// A queue that stays empty is asked less and less often; the first change is flushed as soon as ever. Without the growth an idle
// site costs a question every second.
func TestIdleQueueIsAskedLessOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := &countedQueue{Store: pending.New()}
		d := &desk{queue: asked.Store, sink: newTable(), clock: ticket.NewClock(time.Now)}
		d.start(t, asked, nil)
		time.Sleep(time.Hour)
		if n, most := asked.times.Load(), int64(time.Hour/longestPoll)+10; n > most {
			t.Errorf("an idle queue was asked %d times in an hour, want %d at most", n, most)
		}
		d.set(t, 812, "status", "open")
		time.Sleep(linger + time.Millisecond)
		if d.sink.value(812, "status") != "open" {
			t.Error("the first change after an idle hour is not flushed after the linger")
		}
	})
}

// countedQueue counts the questions.
type countedQueue struct {
	*pending.Store

	times atomic.Int64
}

func (q *countedQueue) NextDue(ctx context.Context) (time.Time, error) {
	q.times.Add(1)
	return q.Store.NextDue(ctx)
}

func (q *countedQueue) Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	q.times.Add(1)
	return q.Store.Claim(ctx, now, limit, lease)
}

// A change that comes while the flusher asks an empty queue is flushed after the linger, too. Without the plan that is open
// during the question, the change waits for the next one.
func TestChangeDuringTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{queue: pending.New(), sink: newTable(), clock: ticket.NewClock(time.Now)}
		asked := &interruptedQueue{Store: d.queue}
		asked.meanwhile = func() { d.set(t, 812, "status", "open") }
		d.start(t, asked, nil)
		time.Sleep(linger + time.Millisecond)
		if d.sink.value(812, "status") != "open" {
			t.Error("the change is not flushed after the linger")
		}
	})
}

// interruptedQueue lets something happen right after its first answer.
type interruptedQueue struct {
	*pending.Store

	meanwhile func()
	once      sync.Once
}

func (q *interruptedQueue) NextDue(ctx context.Context) (time.Time, error) {
	next, err := q.Store.NextDue(ctx)
	q.once.Do(q.meanwhile)
	return next, err
}
