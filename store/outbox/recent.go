package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/graves"
	"github.com/ticketd/ticketd/store/requests"
)

// The next store remembers all requests and the revisions of all deletions: what is remembered here is for what comes while the
// next store cannot be asked, or is not to be waited for. Beyond these bounds the oldest is forgotten.
const (
	// maxRequests bounds the requests, about 75 bytes each.
	maxRequests = 262_144
	// maxDeleted bounds the revisions of deletions, about 50 bytes each.
	maxDeleted = 65_536
)

// recent remembers the latest requests' outcomes, each for as long as it asks for, all deletions that were seen, and the
// revisions of the latest of them.
type recent struct {
	now      func() time.Time
	requests requests.Table
	deleted  bounded[ticket.ID, ticket.Revision]
	graves   graves.Set
	burials  uint64 // how often a deletion was noted
}

func newRecent(now func() time.Time) *recent {
	return &recent{now: now, deleted: newBounded[ticket.ID, ticket.Revision]()}
}

// add remembers what a mutation came to.
func (r *recent) add(m *store.Mutation, outcome store.Outcome) {
	if m.RequestID != "" {
		now := r.now()
		r.requests.Put(now, requests.Request{
			Key: requests.KeyOf(m.RequestID), Digest: requests.DigestOf(m.Digest), Ticket: outcome.ID, Revision: outcome.Revision,
			Expires: now.Add(cmp.Or(m.Remember, store.RequestMemory)),
		}, 0)
		if r.requests.Len() > maxRequests {
			r.requests.ForgetFirst()
		}
	}
	if m.Kind == store.Delete {
		r.bury(m.ID)
		r.deleted.put(m.ID, max(r.deleted.values[m.ID], outcome.Revision)) // one that is stuck comes again
	}
}

// saw notes that the next store has a deletion. Its revision there may be above the acknowledged one, where it did not hold the
// ticket, and who has seen it must not be told a lower one.
func (r *recent) saw(id ticket.ID, revision ticket.Revision) {
	r.bury(id)
	if known, there := r.deleted.values[id]; there && known < revision {
		r.deleted.values[id] = revision
	}
}

// bury notes that a ticket was deleted.
func (r *recent) bury(id ticket.ID) {
	r.graves.Add(id)
	r.burials++
}

// revived notes that the next store shows a living ticket, or none, where a deletion was known here. An answer that may be from
// before a deletion says nothing: burials is what it was when the next store was asked.
func (r *recent) revived(id ticket.ID, burials uint64) {
	if r.burials == burials && r.graves.Has(id) {
		r.forget(id)
	}
}

// forget notes that a ticket was not deleted after all.
func (r *recent) forget(id ticket.ID) {
	r.graves.Remove(id)
	r.deleted.remove(id)
}

// find returns the outcome of a mutation whose request id is remembered, that of the first request or [store.ErrReused]; false
// where it is not remembered.
func (r *recent) find(m *store.Mutation) (store.Outcome, bool) {
	if m.RequestID == "" {
		return store.Outcome{}, false
	}
	first, there := r.requests.Find(r.now(), requests.KeyOf(m.RequestID))
	if there && !first.RepeatedBy(m.Digest) {
		return store.Outcome{ID: m.ID, Err: store.ErrReused}, true
	}
	return store.Outcome{ID: first.Ticket, Revision: first.Revision}, there
}

// bounded is a map that forgets its oldest entries beyond maxDeleted.
type bounded[K comparable, V any] struct {
	values map[K]V
	order  []K
}

func newBounded[K comparable, V any]() bounded[K, V] { return bounded[K, V]{values: make(map[K]V)} }

func (b *bounded[K, V]) put(key K, value V) {
	if _, known := b.values[key]; !known {
		b.order = append(b.order, key)
	}
	b.values[key] = value
	if len(b.order) > maxDeleted {
		delete(b.values, b.order[0])
		b.order = b.order[1:]
	}
}

// remove forgets a value; it is rare.
func (b *bounded[K, V]) remove(key K) {
	if _, known := b.values[key]; known {
		delete(b.values, key)
		b.order = slices.DeleteFunc(b.order, func(k K) bool { return k == key })
	}
}
