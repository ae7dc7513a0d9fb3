package planted

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// increment sets a counter to a number if the revision is the required revision; 0 makes the counter. The caller keeps the
// operation.
func (r *rig) increment(t *testing.T, h *host, id, ifRevision int64, number int) history.Op {
	t.Helper()
	text := strconv.Itoa(number)
	op := history.Op{
		Client: h.number, Host: h.number, Via: "go", Kind: history.Increment, Ticket: id, IfRevision: ifRevision,
		Fields: map[string]history.Value{history.Counted: &text}, Outcome: history.Done, Call: time.Since(r.began),
	}
	c, err := protocol.Dial(t.Context(), h.socket())
	if err != nil {
		t.Error(err)
		return op
	}
	defer func() { _ = c.Close() }()
	p := params(id, "counted-"+text)
	p.IfRevision = ifRevision
	p.Fields = append(p.Fields, protocol.Field{Name: history.Counted, Value: protocol.Text(text)})
	op.Revision, err = c.Set(t.Context(), p)
	answer := (*protocol.Error)(nil)
	if errors.As(err, &answer) && answer.Code == protocol.CodeConflict {
		op.Outcome, op.Code = history.Refused, string(answer.Code)
	} else if err != nil {
		t.Errorf("an increment on host %d: %v", h.number, err)
	}
	op.Return = time.Since(r.began)
	return op
}

// count keeps an increment.
func (r *rig) count(t *testing.T, h *host, id, ifRevision int64, number int) history.Op {
	t.Helper()
	op := r.increment(t, h, id, ifRevision, number)
	r.history.Ops = append(r.history.Ops, op)
	return op
}

// counter reads a counter.
func (r *rig) counter(t *testing.T, h *host, id int64) (number int, ticket protocol.Ticket) {
	t.Helper()
	c, end := h.dial(t)
	defer end()
	ticket, err := c.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range ticket.Fields {
		if f.Name == history.Counted {
			if number, err = strconv.Atoi(f.Value.Text()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return number, ticket
}

// arrived waits until no change is pending in a host's journal.
func (r *rig) arrived(t *testing.T, h *host) {
	t.Helper()
	testenv.Eventually(t, patience, "the journal's changes have arrived", func() bool { return h.status(t).Journal.Entries == 0 })
}

// connect has a host open several connections to Redis, so that a change whose data is held needs no greeting first.
func (h *host) connect(t *testing.T) {
	t.Helper()
	const several = 4
	h.redis.Hold()
	var asking sync.WaitGroup
	for range several {
		asking.Go(func() { h.status(t) })
	}
	testenv.Eventually(t, patience, "several connections are in use", func() bool { return h.redis.Held() >= several })
	h.redis.Release()
	asking.Wait()
}

// countedBelow raises a counter on two hosts: the first host reads the counter while a change of another field is pending in
// its journal; the second host's increment, sent before, reaches Redis after that.
func countedBelow(t *testing.T, r *rig) {
	const id = 1
	here, there := r.host(t), r.host(t)
	r.count(t, here, id, 0, 0)
	r.set(t, there, id+1, "there", "") // so that the held data is no greeting, and no fence
	r.set(t, here, id+2, "here", protocol.AckJournal)
	r.arrived(t, here)
	number, seen := r.counter(t, there, id)
	there.connect(t)
	there.redis.Hold()
	under := make(chan history.Op)
	go func() { under <- r.increment(t, there, id, seen.Revision, number+1) }()
	testenv.Eventually(t, patience, "the increment is under way", func() bool { return there.redis.Holds("counted-1") })
	here.redis.Hold()
	touch := params(id, "touched")
	touch.Ack = protocol.AckJournal
	c, end := here.dial(t)
	defer end()
	if _, err := c.Set(t.Context(), touch); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "the journal's change is under way", func() bool { return here.redis.Holds("touched") })
	here.redis.Divert()
	number, seen = r.counter(t, here, id)
	there.redis.Release()
	r.history.Ops = append(r.history.Ops, <-under)
	here.redis.Release()
	if !seen.Stale {
		r.count(t, here, id, seen.Revision, number+1)
	}
	r.arrived(t, here)
	number, seen = r.counter(t, here, id)
	r.count(t, here, id, seen.Revision, number+1)
}
