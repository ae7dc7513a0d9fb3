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

// maxHot bounds the tickets of one request, and the tickets that one batch reads: each may be as large as ticket_bytes allows,
// and a batch holds all of them at once.
const maxHot = 16

// hot is a batch of small requests of several clients. The store alone must be able to answer a request; other requests are left
// to the ordinary way: a field for which the table may have been altered, a size that needs a look-up, a ticket that the store
// does not hold whole, an id that is taken.
type hot struct {
	batch    *Batch
	table    *table.Definition
	requests []hotRequest
	ids      []ticket.ID // all reads
	records  []store.Record
	failed   error // the store did not make the changes
	// earlyFailed is the same for the changes that the host's journal acknowledges.
	earlyFailed error
	unread      bool // the store did not show the tickets
}

// hotRequest is the place of a request's changes or tickets in the batch.
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

// change accepts the request that has just added n changes to the batch, unless a change was refused: the ordinary way finds out
// why, and may read the table's definition again.
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
		return false // a condition waits until no change of the ticket is in a journal
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
		return false // the look-up for a pair would repeat the other pairs
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
	if len(h.ids) >= maxHot {
		return false
	}
	h.ids = append(h.ids, ticket.ID(p.ID))
	h.requests = append(h.requests, hotRequest{protocol.MethodGet, len(h.ids) - 1, 1})
	return true
}

// GetMany implements [daemon.Hot].
func (h *hot) GetMany(p *protocol.GetManyParams) bool {
	if len(h.ids)+len(p.IDs) > maxHot {
		return false
	}
	h.requests = append(h.requests, hotRequest{protocol.MethodGetMany, len(h.ids), len(p.IDs)})
	h.ids = append(h.ids, idsOf(p.IDs)...)
	return true
}

// Waiting implements [daemon.Hot].
func (h *hot) Waiting(p *protocol.WaitingParams) bool {
	if len(h.ids)+len(p.IDs) > maxHot {
		return false
	}
	h.requests = append(h.requests, hotRequest{protocol.MethodWaiting, len(h.ids), len(p.IDs)})
	h.ids = append(h.ids, idsOf(p.IDs)...)
	return true
}

// Run implements [daemon.Hot]. The changes come before the reads: a client that sends a change and a read sees the change.
func (h *hot) Run(ctx context.Context) {
	b := h.batch
	for i := range b.changes {
		if c := &b.changes[i]; c.numbered {
			b.name(ctx, c)
		}
	}
	var early, direct []int
	for _, i := range b.open() {
		if b.changes[i].Early {
			early = append(early, i)
		} else {
			direct = append(direct, i)
		}
	}
	h.earlyFailed = b.make(ctx, early) // first: a change that the journal acknowledges does not wait for Redis
	h.failed = b.make(ctx, direct)
	for _, r := range h.requests {
		if r.method == protocol.MethodSetMany { // MySQL is asked at once about a pair that a tombstone alone refuses
			b.lookAgain(ctx, r.at, r.at+r.n)
		}
	}
	if len(h.ids) == 0 {
		return
	}
	var err error
	h.records, err = b.site.get(ctx, h.ids)
	h.unread = err != nil
}

// left leaves a request to the ordinary way.
var left = daemon.Answer{Left: true}

// Answer implements [daemon.Hot].
func (h *hot) Answer(i int) daemon.Answer {
	r := h.requests[i]
	switch r.method {
	case protocol.MethodCreate:
		return h.created(r.at)
	case protocol.MethodSet:
		return h.set(r.at)
	case protocol.MethodSetMany:
		return h.setMany(r)
	case protocol.MethodGet:
		return h.got(r)
	case protocol.MethodWaiting:
		return h.waiting(r)
	default:
		return h.gotMany(r)
	}
}

func (h *hot) created(at int) daemon.Answer {
	outcome, err := h.batch.Result(at)
	switch {
	case needsMore(&outcome):
		return left
	case err != nil:
		return daemon.Answer{Err: answerChange(err)}
	}
	return daemon.Answer{Result: &protocol.CreateResult{ID: int64(outcome.ID), Revision: int64(outcome.Revision)}}
}

func (h *hot) set(at int) daemon.Answer {
	outcome, err := h.batch.Result(at)
	switch {
	case needsMore(&outcome):
		return left
	case err != nil:
		return daemon.Answer{Err: answerSet(err)}
	}
	return daemon.Answer{Result: &protocol.RevisionResult{Revision: int64(outcome.Revision)}}
}

// needsMore says that the ordinary way may reach a different answer, by a new id or by a look at MySQL.
func needsMore(o *store.Outcome) bool { return restsOnAbsence(o) || errors.Is(o.Err, store.ErrTaken) }

// setMany always answers: the ordinary way would repeat the pairs that were made.
func (h *hot) setMany(r hotRequest) daemon.Answer {
	failed := h.failed
	if r.n > 0 && h.batch.changes[r.at].Early { // all pairs of a request are acknowledged alike
		failed = h.earlyFailed
	}
	if failed != nil {
		return daemon.Answer{Err: answerChange(failed)}
	}
	outcomes := make([]protocol.SetOutcome, r.n)
	for i := range outcomes {
		outcome, err := h.batch.Result(r.at + i)
		outcomes[i] = protocol.SetOutcome{Revision: int64(outcome.Revision), Err: refusal(err)}
	}
	return daemon.Answer{Result: &protocol.SetManyResult{Outcomes: outcomes}}
}

// shown returns the tickets of a request; false if MySQL must be asked for a ticket.
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

func (h *hot) got(r hotRequest) daemon.Answer {
	records, whole := h.shown(r)
	switch {
	case !whole:
		return left
	case records[0].Deleted:
		return daemon.Answer{Err: answer(errNoTicket)}
	}
	return daemon.Answer{Result: toWire(h.table, &records[0])}
}

func (h *hot) gotMany(r hotRequest) daemon.Answer {
	records, whole := h.shown(r)
	if !whole {
		return left
	}
	return daemon.Answer{Result: manyOf(h.table, records)}
}

func (h *hot) waiting(r hotRequest) daemon.Answer {
	if h.unread {
		return left
	}
	return daemon.Answer{Result: h.batch.site.waitingOf(h.records[r.at : r.at+r.n])}
}
