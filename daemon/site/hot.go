package site

import (
	"context"
	"errors"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// maxHot is how many tickets one request of a [hot] batch may name.
const maxHot = 16

// hot is a batch of small requests of several clients, which the store alone can answer. What it cannot answer it leaves to the
// ordinary way of the same request: a field that the table may have been altered for, a size that must be looked up, a ticket that
// the store does not hold whole, an id that turns out to be taken.
type hot struct {
	batch    *Batch
	table    *table.Definition
	requests []hotRequest
	ids      []ticket.ID // of all reads
	records  []store.Record
	failed   error // of the store's, for the changes
	unread   bool  // the store did not show the tickets
}

// hotRequest is where a request's changes or tickets stand among those of the batch.
type hotRequest struct {
	method protocol.Method
	at, n  int
}

// Hot implements the event loop's batches, see [daemon.Hot].
func (g Gate) Hot() daemon.Hot {
	d := g.Database.Definition()
	if d == nil || g.closed() != nil {
		return nil
	}
	return &hot{batch: g.Batch(1), table: d}
}

// change takes up the request that has just added n changes to the batch, unless some were refused: then the ordinary way says why,
// after it has read the table's definition again where that may be the reason.
func (h *hot) change(m protocol.Method, n int) bool {
	at := len(h.batch.changes) - n
	for i := at; i < len(h.batch.changes); i++ {
		if c := &h.batch.changes[i]; c.outcome.Err != nil || !h.batch.fits(h.table, &c.Mutation) {
			h.batch.changes = h.batch.changes[:at]
			return false
		}
	}
	h.requests = append(h.requests, hotRequest{m, at, n})
	return true
}

// Create implements [daemon.Hot].
func (h *hot) Create(p *protocol.CreateParams) bool {
	if p.ID != 0 {
		return false // MySQL is asked for an id that a client names
	}
	c, err := h.batch.create(h.table, p)
	h.batch.add(c, &p.Change, askedCreate(p), err)
	return h.change(protocol.MethodCreate, 1)
}

// Set implements [daemon.Hot].
func (h *hot) Set(p *protocol.SetParams) bool {
	if p.IfRevision != 0 {
		return false // a condition waits until nothing of the ticket is in a journal
	}
	h.addSet(p)
	return h.change(protocol.MethodSet, 1)
}

func (h *hot) addSet(p *protocol.SetParams) {
	c, err := h.batch.set(h.table, p)
	h.batch.add(c, &p.Change, askedSet(p), err)
}

// SetMany implements [daemon.Hot].
func (h *hot) SetMany(p *protocol.SetManyParams) bool {
	if len(p.Tickets) > maxHot || p.MustExist {
		return false // a pair whose ticket must be looked up would have the others made twice
	}
	for i := range p.Tickets {
		if p.Tickets[i].Err != nil {
			return false
		}
	}
	for i := range p.Tickets {
		h.addSet(pairOf(p, i))
	}
	return h.change(protocol.MethodSetMany, len(p.Tickets))
}

// Get implements [daemon.Hot].
func (h *hot) Get(p *protocol.GetParams) bool {
	h.ids = append(h.ids, ticket.ID(p.ID))
	h.requests = append(h.requests, hotRequest{protocol.MethodGet, len(h.ids) - 1, 1})
	return true
}

// GetMany implements [daemon.Hot].
func (h *hot) GetMany(p *protocol.GetManyParams) bool {
	if len(p.IDs) > maxHot {
		return false
	}
	h.requests = append(h.requests, hotRequest{protocol.MethodGetMany, len(h.ids), len(p.IDs)})
	h.ids = append(h.ids, idsOf(p.IDs)...)
	return true
}

// Answer implements [daemon.Hot]: the changes first, so that a client which has both under way is shown what it changed.
func (h *hot) Answer(ctx context.Context) {
	b := h.batch
	for i := range b.changes {
		if c := &b.changes[i]; c.numbered {
			b.name(ctx, c)
		}
	}
	h.failed = b.make(ctx, b.open())
	for _, r := range h.requests {
		if r.method == protocol.MethodSetMany { // where a tombstone alone refuses a pair, MySQL is asked at once
			b.lookAgain(ctx, r.at, r.at+r.n)
		}
	}
	if len(h.ids) == 0 {
		return
	}
	var err error
	h.records, err = b.site.Store.Get(ctx, h.ids)
	h.unread = err != nil
}

// Result implements [daemon.Hot].
func (h *hot) Result(i int) (protocol.Result, error, bool) { //nolint:revive // the error is the request's answer
	r := h.requests[i]
	switch r.method {
	case protocol.MethodCreate:
		return h.created(r.at)
	case protocol.MethodSet:
		return h.set(r.at)
	case protocol.MethodSetMany:
		return h.setMany(r)
	case protocol.MethodGet:
		return h.got(r.at)
	default:
		return h.gotMany(r)
	}
}

func (h *hot) created(at int) (protocol.Result, error, bool) { //nolint:revive // as Result
	outcome, err := h.batch.Result(at)
	switch {
	case needsMore(&outcome):
		return nil, nil, false
	case err != nil:
		return nil, answerChange(err), true
	}
	return &protocol.CreateResult{ID: int64(outcome.ID), Revision: int64(outcome.Revision)}, nil, true
}

func (h *hot) set(at int) (protocol.Result, error, bool) { //nolint:revive // as Result
	outcome, err := h.batch.Result(at)
	switch {
	case needsMore(&outcome):
		return nil, nil, false
	case err != nil:
		return nil, answerSet(err), true
	}
	return &protocol.RevisionResult{Revision: int64(outcome.Revision)}, nil, true
}

// needsMore says that the ordinary way of a refused change may come to another answer: another id, or a look at MySQL.
func needsMore(o *store.Outcome) bool {
	return restsOnAbsence(o) || errors.Is(o.Err, store.ErrTaken)
}

// setMany is answered here in any case: the ordinary way would make those of its pairs again that were made.
func (h *hot) setMany(r hotRequest) (protocol.Result, error, bool) { //nolint:revive // as Result
	if h.failed != nil {
		return nil, answerChange(h.failed), true
	}
	outcomes := make([]protocol.SetOutcome, r.n)
	for i := range outcomes {
		outcome, err := h.batch.Result(r.at + i)
		outcomes[i] = protocol.SetOutcome{Revision: int64(outcome.Revision), Err: refusal(err)}
	}
	return &protocol.SetManyResult{Outcomes: outcomes}, nil, true
}

// shown returns tickets that the store holds whole, or that were deleted; false where MySQL must be asked.
func (h *hot) shown(r hotRequest) (records []store.Record, whole bool) {
	if h.unread {
		return nil, false
	}
	records = h.records[r.at : r.at+r.n]
	for i := range records {
		if !settled(h.table, &records[i]) || records[i].Stray != nil || records[i].Err != nil {
			return nil, false
		}
	}
	return records, true
}

func (h *hot) got(at int) (protocol.Result, error, bool) { //nolint:revive // as Result
	records, whole := h.shown(hotRequest{at: at, n: 1})
	switch {
	case !whole:
		return nil, nil, false
	case records[0].Deleted:
		return nil, answer(errNoTicket), true
	}
	return toWire(h.table, &records[0]), nil, true
}

func (h *hot) gotMany(r hotRequest) (protocol.Result, error, bool) { //nolint:revive // as Result
	records, whole := h.shown(r)
	if !whole {
		return nil, nil, false
	}
	return manyOf(h.table, records), nil, true
}
