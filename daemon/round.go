package daemon

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
)

// Hot is a batch of small requests of several clients of a site. A request joins the batch only if the site needs neither MySQL
// nor more than a single call of the store for the request. A Hot serves a single goroutine: additions, Run, answers.
type Hot interface {
	// Create, Set, SetMany, Get, GetMany and Waiting add a request, which gets the next number from 0. false: the request cannot
	// join the batch, and the batch is unchanged.
	Create(p *protocol.CreateParams) bool
	Set(p *protocol.SetParams) bool
	SetMany(p *protocol.SetManyParams) bool
	Get(p *protocol.GetParams) bool
	GetMany(p *protocol.GetManyParams) bool
	Waiting(p *protocol.WaitingParams) bool
	// Run makes the changes and reads the tickets, in a call of the store each.
	Run(ctx context.Context)
	// Answer returns the outcome of a request.
	Answer(i int) Answer
}

// Answer is the outcome of a request in a batch.
type Answer struct {
	Result protocol.Result
	Err    error
	// Left says that the store alone could not answer and has made no change for the request: the site must be called for the
	// request in the ordinary way.
	Left bool
}

// hotSite is a site that answers small requests in batches.
type hotSite interface {
	Site
	// Hot returns an empty batch; nil while the site is not served.
	Hot() Hot
}

// Meter counts requests. The site is empty for a request that found no site; the method comes from outside.
type Meter interface {
	Count(site string, m protocol.Method, err error, took time.Duration)
}

// round is the [loop.Round] of a dispatcher.
type round struct {
	d        *Dispatcher
	faults   zerolog.Logger
	began    time.Time
	limit    time.Duration // for the most impatient client
	requests []hotRequest
	batches  []hotBatch
	// torn: an addition has failed half-way, so no batch may run; ordinary connections serve the requests.
	torn    bool
	enc     protocol.Encoder
	replies []byte // all frames, in the order of the requests
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

// hotBatch is the part of a round for a site.
type hotBatch struct {
	Hot

	site   Site
	name   string // the site's, for the meter
	size   int
	reads  bool
	closed bool // the spool must be ingested first: no request is answered
	broken bool // a panic: each request is answered internal
}

// Add implements [loop.Round].
func (r *round) Add(peer Peer, payload []byte) (added bool) {
	defer func() {
		if fault := recover(); fault != nil {
			r.fault(fault)
			r.torn, added = true, false // an ordinary connection meets and answers the fault
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
	limit := r.d.limit(params)
	if limit < minLimit {
		return false // the other clients of the round would have as little time
	}
	at, ok := r.batch(site)
	if !ok || !m.hot.add(r.batches[at].Hot, params) {
		return false
	}
	if len(r.requests) == 0 || limit < r.limit {
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
	r.batches = append(r.batches, hotBatch{Hot: b, site: site, name: labelOf(site)})
	return len(r.batches) - 1, true
}

// Answer implements [loop.Round]. Answer looks at the spool once for each site, after the last request was read: only the changes
// that wait in the spool then are older than some request of the round.
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
	if b.closed = r.torn || spool != nil && (!spool.Settled(b.site) || b.reads && spool.Behind(b.site)); !b.closed {
		b.Run(ctx)
	}
}

// encode builds a request's reply.
func (r *round) encode(ctx context.Context, q *hotRequest) {
	b := &r.batches[q.batch]
	if b.closed {
		return
	}
	frame, err := r.frame(b, q)
	if errors.Is(err, errLeft) {
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
		r.d.meter.Count(b.name, q.name, err, time.Since(r.began))
	}
}

// minLimit is the least time that a request of a round may have: a round ends with its most impatient client's time. A client
// that waits for less has an ordinary connection.
const minLimit = 500 * time.Millisecond

// errLeft: an ordinary connection must serve the request.
var errLeft = errors.New("the request is left to an ordinary connection")

// frame builds a request's reply if the site has a result. A panic is the error of this request alone.
func (r *round) frame(b *hotBatch, q *hotRequest) (frame []byte, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			r.fault(fault)
			frame, err = nil, errInternal
		}
	}()
	if b.broken {
		return nil, errInternal
	}
	a := b.Answer(q.at)
	switch {
	case a.Left:
		return nil, errLeft
	case a.Err != nil:
		return nil, a.Err
	case protocol.ReplyBytes(a.Result) > keepBytes && !methods[q.name].changes:
		return nil, errLeft // an ordinary connection takes the budget first
	}
	return r.enc.Reply(q.id, a.Result)
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
	r.torn = false
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

// noRound is the [loop.Round] of a server that answers every request on the client's own connection.
type noRound struct{}

func (noRound) Add(Peer, []byte) bool    { return false }
func (noRound) Answer(context.Context)   {}
func (noRound) Reply(int) ([]byte, bool) { return nil, false }
func (noRound) Reset()                   {}
