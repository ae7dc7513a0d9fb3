package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// counterTickets are raised by compare and set.
	counterTickets = 2
	// raisers and touchers are each host's clients that raise counters, and that change other fields of counters.
	raisers  = 2
	touchers = 1
)

// firstCounter is the first of the counters' ids: below the cold tickets, so that the counters do not move a table's
// AUTO_INCREMENT.
func (s *site) firstCounter() int64 { return s.firstCold() - counterTickets }

// acks are the places that a client may have a change acknowledged by.
var acks = []protocol.Ack{"", protocol.AckRedis, protocol.AckJournal}

// makeCounters makes the counters, before the first fault.
func (w *workload) makeCounters(t *testing.T) {
	t.Helper()
	by := &goCaller{host: w.site.hosts[0]}
	defer by.close()
	number := w.site.rec.client()
	for n := range int64(counterTickets) {
		op := w.increment(number, by.host, w.site.firstCounter()+n, 0)
		if w.record(t.Context(), by, op); op.Outcome != history.Done {
			t.Fatalf("making a counter: %s %s", op.Outcome, op.Code)
		}
	}
}

// increment sets a counter to a number.
func (w *workload) increment(client int, h *host, ticket int64, number int) *history.Op {
	text := strconv.Itoa(number)
	return &history.Op{
		Client: client, Host: h.number, Via: "go", Kind: history.Increment, Ticket: ticket,
		Fields: map[string]history.Value{history.Counted: &text},
	}
}

// record makes an operation and keeps the record.
func (w *workload) record(ctx context.Context, by caller, op *history.Op) {
	op.Call = w.site.rec.now()
	by.call(context.WithoutCancel(ctx), op)
	op.Return = w.site.rec.now()
	w.site.rec.op(op)
}

// counter is a client that raises counters, or changes other fields of counters.
type counter struct {
	w      *workload
	by     *goCaller
	r      *rand.Rand
	number int // of the client that the history knows
	n      int // operations so far
	slot   int
}

// count starts the clients of the counters.
func (w *workload) count(ctx context.Context) {
	for slot := range len(w.site.hosts) * (raisers + touchers) {
		c := &counter{
			w: w, by: &goCaller{host: w.site.hosts[slot%len(w.site.hosts)]}, slot: slot, number: w.site.rec.client(),
			r: rand.New(rand.NewPCG(uint64(w.seed), 1<<33|uint64(w.site.number)<<8|uint64(slot))),
		}
		do := c.raise
		if slot >= len(w.site.hosts)*raisers {
			do = c.touch
		}
		w.clients.Go(func() { c.run(ctx, do) })
	}
}

func (c *counter) run(ctx context.Context, do func(ctx context.Context, ticket int64, ack protocol.Ack)) {
	defer c.by.close()
	for ctx.Err() == nil {
		c.n++
		do(ctx, c.w.site.firstCounter()+c.r.Int64N(counterTickets), acks[c.r.IntN(len(acks))])
		select {
		case <-ctx.Done():
		case <-time.After(2*time.Millisecond + time.Duration(c.r.Int64N(int64(20*time.Millisecond)))):
		}
	}
}

// raise reads a counter and sets the counter one higher, unless the counter has changed since. A stale read says nothing
// about the revision.
func (c *counter) raise(ctx context.Context, ticket int64, ack protocol.Ack) {
	tries := 1 + 2*c.r.IntN(2)
	read := history.Op{Kind: history.Get, Ticket: ticket}
	c.by.call(context.WithoutCancel(ctx), &read)
	value := read.Fields[history.Counted]
	if read.Outcome != history.Done || read.Stale || value == nil {
		return
	}
	have, err := strconv.Atoi(*value)
	if err != nil {
		return // the rules find the loss, as no increment goes on from that number
	}
	op := c.w.increment(c.number, c.by.host, ticket, have+1)
	op.IfRevision, op.Ack, op.Tries = read.Revision, string(ack), tries
	op.Request = fmt.Sprintf("i%d-%d", c.number, c.n)
	if c.w.record(ctx, c.by, op); op.Outcome == history.Unknown {
		c.number = c.w.site.rec.client()
	}
}

// touch changes another field without a condition, so that the counter's revision comes from every place that gives
// revisions.
func (c *counter) touch(ctx context.Context, ticket int64, ack protocol.Ack) {
	text := fmt.Sprintf("touched-%d-%d", c.slot, c.n)
	op := history.Op{Kind: history.Set, Ticket: ticket, Ack: string(ack), Fields: map[string]history.Value{"status": &text}}
	c.by.call(context.WithoutCancel(ctx), &op)
}
