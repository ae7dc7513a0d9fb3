package memory

import (
	"cmp"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Request is a remembered request id and what became of the request.
type Request struct {
	ID       string
	Ticket   ticket.ID
	Revision ticket.Revision
	// Expires is when it is forgotten.
	Expires time.Time
}

// request says how a mutation's request id is remembered.
func (s *Store) request(m *store.Mutation, outcome store.Outcome) Request {
	return Request{ID: m.RequestID, Ticket: outcome.ID, Revision: outcome.Revision, Expires: s.opts.Now().Add(Memory(m))}
}

// Memory is how long a mutation's request id is remembered.
func Memory(m *store.Mutation) time.Duration {
	return min(cmp.Or(m.Remember, store.RequestMemory), store.RequestMemory)
}

// requests remembers request ids.
type requests struct {
	most      int
	byID      map[string]*remembered
	byExpiry  order[*remembered]
	bySegment chain[remembered]
	weight    int64
}

type remembered struct {
	Request
	links    links[remembered]
	byExpiry int
	pin      uint64
}

func (r *requests) init(most int) {
	r.most, r.byID = most, map[string]*remembered{}
	r.bySegment.links = func(m *remembered) *links[remembered] { return &m.links }
	r.byExpiry = order[*remembered]{
		less:  func(a, b *remembered) bool { return a.Expires.Before(b.Expires) },
		place: func(m *remembered) *int { return &m.byExpiry },
	}
}

// remember adds a request and forgets those whose time is over.
func (r *requests) remember(now time.Time, request Request, segment uint64) {
	if old := r.byID[request.ID]; old != nil {
		r.forget(old)
	}
	for {
		first, some := r.byExpiry.first()
		if !some || (first.Expires.After(now) && len(r.byID) < r.most) {
			break
		}
		r.forget(first)
	}
	m := &remembered{Request: request, pin: segment}
	r.byID[request.ID] = m
	r.byExpiry.put(m)
	r.bySegment.push(m)
	r.weight += int64(requestWeight + len(request.ID))
}

func (r *requests) find(now time.Time, id string) *remembered {
	m := r.byID[id]
	if m == nil || !m.Expires.After(now) {
		return nil
	}
	return m
}

func (r *requests) forget(m *remembered) {
	delete(r.byID, m.ID)
	r.byExpiry.remove(m)
	r.bySegment.remove(m)
	r.weight -= int64(requestWeight + len(m.ID))
}
