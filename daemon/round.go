package daemon

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
)

// Hot is a batch of small requests of several clients of a site. A request joins the batch only if the site needs neither MySQL nor
// more than one call of its store for the request. A Hot serves one goroutine: additions, Answer, results.
type Hot interface {
	// Create, Set, SetMany, Get and GetMany add a request, which gets the next number from 0. false says that the request cannot
	// join: nothing was done for it.
	Create(p *protocol.CreateParams) bool
	Set(p *protocol.SetParams) bool
	SetMany(p *protocol.SetManyParams) bool
	Get(p *protocol.GetParams) bool
	GetMany(p *protocol.GetManyParams) bool
	// Answer makes the changes and reads the tickets, in one call of the store each.
	Answer(ctx context.Context)
	// Result returns the result or error of a request. false says that the store alone could not answer and has changed nothing for
	// the request, so that the site must be asked for it in the ordinary way.
	Result(i int) (result protocol.Result, err error, answered bool)
}

// hotSite is a site that answers small requests in batches.
type hotSite interface {
	Site
	// Hot returns an empty batch; nil while the site serves nothing.
	Hot() Hot
}

// Meter counts the requests that rounds answer.
type Meter interface {
	Count(m protocol.Method, err error, took time.Duration)
}

// round is the [loop.Round] of a dispatcher.
type round struct {
	d        *Dispatcher
	faults   zerolog.Logger
	began    time.Time
	limit    time.Duration // for the most impatient client
	requests []hotRequest
	batches  []hotBatch
	enc      protocol.Encoder
	replies  []byte // all frames, one behind the other
}

// hotRequest is a request of a round.
type hotRequest struct {
	id    uint32
	name  protocol.Method
	batch int // of the site
	at    int // in the batch

	from, to int // the reply's place in replies
	answered bool
}

// hotBatch is what a round has for one site.
type hotBatch struct {
	Hot

	site   Site
	size   int
	reads  bool
	closed bool // the spool must be ingested first: nothing is answered
	broken bool // a panic: each request is answered internal
}

// Add implements [loop.Round].
func (r *round) Add(peer Peer, payload []byte) (added bool) {
	defer func() {
		if fault := recover(); fault != nil {
			r.fault(fault)
			added = false // an ordinary connection meets the fault again, and answers it
		}
	}()
	req, err := protocol.DecodeRequest(payload)
	if err != nil {
		return false
	}
	m := methods[req.Method]
	if m == nil || m.hot == nil {
		return false
	}
	params := m.hot.params()
	site, err := r.d.siteFor(&request{peer: peer, method: m, params: req.Params}, params)
	if err != nil {
		return false
	}
	at, ok := r.batch(site)
	if !ok || !m.hot.add(r.batches[at].Hot, params) {
		return false
	}
	if limit := r.d.limit(params); len(r.requests) == 0 || limit < r.limit {
		r.limit = limit
	}
	b := &r.batches[at]
	r.requests = append(r.requests, hotRequest{id: req.ID, name: req.Method, batch: at, at: b.size})
	b.size++
	b.reads = b.reads || m.reads
	return true
}

// batch returns the place of a site's batch.
func (r *round) batch(site Site) (at int, ok bool) {
	for i := range r.batches {
		if r.batches[i].site == site {
			return i, true
		}
	}
	hot, is := site.(hotSite)
	if !is {
		return 0, false
	}
	b := hot.Hot()
	if b == nil {
		return 0, false
	}
	r.batches = append(r.batches, hotBatch{Hot: b, site: site})
	return len(r.batches) - 1, true
}

// Answer implements [loop.Round]. It looks at the spool once for each site, after the last request was read: what waits there then
// is older than some request of the round, and nothing else is.
func (r *round) Answer(ctx context.Context) {
	r.began = time.Now()
	within, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	for i := range r.batches {
		r.answerBatch(within, &r.batches[i])
	}
	for i := range r.requests {
		r.encode(ctx, &r.requests[i])
	}
}

func (r *round) answerBatch(ctx context.Context, b *hotBatch) {
	defer func() {
		if fault := recover(); fault != nil {
			r.fault(fault)
			b.broken = true
		}
	}()
	spool := r.d.spool
	if b.closed = spool != nil && (!spool.Settled(b.site) || b.reads && spool.Behind(b.site)); !b.closed {
		b.Answer(ctx)
	}
}

// encode builds a request's reply.
func (r *round) encode(ctx context.Context, q *hotRequest) {
	b := &r.batches[q.batch]
	if b.closed {
		return
	}
	frame, err, answered := r.frame(b, q)
	if !answered {
		return
	}
	if err != nil {
		failure, known := errors.AsType[*protocol.Error](r.d.explain(ctx, q.name, err))
		if !known {
			r.faults.Error().Err(err).Msg("request failed")
			failure = errInternal
		}
		frame, err = r.enc.Failure(q.id, failure), failure
	}
	q.from = len(r.replies)
	r.replies = append(r.replies, frame...)
	q.to, q.answered = len(r.replies), true
	if r.d.meter != nil {
		r.d.meter.Count(q.name, err, time.Since(r.began))
	}
}

// frame builds a request's reply where the site has a result. A panic is the error of this request alone.
func (r *round) frame(b *hotBatch, q *hotRequest) (frame []byte, err error, answered bool) { //nolint:revive // as [Hot].Result
	defer func() {
		if fault := recover(); fault != nil {
			r.fault(fault)
			frame, err, answered = nil, errInternal, true
		}
	}()
	if b.broken {
		return nil, errInternal, true
	}
	result, err, answered := b.Result(q.at)
	switch {
	case !answered || err != nil:
	case protocol.ReplyBytes(result) > keepBytes && !methods[q.name].changes:
		return nil, nil, false // an ordinary connection takes the budget first
	default:
		frame, err = r.enc.Reply(q.id, result)
	}
	return frame, err, answered
}

// Reply implements [loop.Round].
func (r *round) Reply(i int) (frame []byte, answered bool) {
	q := &r.requests[i]
	return r.replies[q.from:q.to], q.answered
}

// keepReplies bounds the memory that a round keeps for the replies of the next.
const keepReplies = 1 << 20

// Reset implements [loop.Round].
func (r *round) Reset() {
	clear(r.requests)
	clear(r.batches)
	r.requests, r.batches, r.replies = r.requests[:0], r.batches[:0], r.replies[:0]
	if cap(r.replies) > keepReplies {
		r.replies = nil
	}
	r.enc.Trim()
}

func (r *round) fault(fault any) {
	r.faults.Error().Interface("panic", fault).Bytes("stack", debug.Stack()).Msg("panic in a round of the event loop")
}

// noRound is the [loop.Round] where every request is answered on its own connection.
type noRound struct{}

func (noRound) Add(Peer, []byte) bool    { return false }
func (noRound) Answer(context.Context)   {}
func (noRound) Reply(int) ([]byte, bool) { return nil, false }
func (noRound) Reset()                   {}
