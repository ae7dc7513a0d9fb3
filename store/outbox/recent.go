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

// The next store remembers all requests and the revisions of all deletions. The outbox remembers the latest for changes that come
// while the next store is unreachable, or that must not wait for the next store. Beyond these bounds the outbox forgets the
// oldest.
const (
	// maxRequests bounds the requests, about 75 bytes each.
	maxRequests = 262_144
	// maxDeleted bounds the revisions of deletions, about 50 bytes each.
	maxDeleted = 65_536
)

// recent remembers the outcomes of the latest requests, each for the time that the request asks for, all deletions that were
// seen, and the revisions of the latest deletions.
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

// add remembers the outcome of a mutation.
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
		r.deleted.put(m.ID, max(r.deleted.values[m.ID], outcome.Revision)) // a stuck deletion comes again
	}
}

// saw records that the next store has a deletion. The deletion's revision in the next store may be above the acknowledged
// revision if the next store did not hold the ticket, and a client that has seen the higher revision must not get the lower.
func (r *recent) saw(id ticket.ID, revision ticket.Revision) {
	r.bury(id)
	if known, there := r.deleted.values[id]; there && known < revision {
		r.deleted.values[id] = revision
	}
}

// bury records that a ticket was deleted.
func (r *recent) bury(id ticket.ID) {
	r.graves.Add(id)
	r.burials++
}

// revived records that the next store shows no deletion of a ticket whose deletion was known here. An answer that may be older
// than a deletion does not count: burials is the count from before the next store was asked.
func (r *recent) revived(id ticket.ID, burials uint64) {
	if r.burials == burials && r.graves.Has(id) {
		r.forget(id)
	}
}

// forget records that a ticket is not deleted after all.
func (r *recent) forget(id ticket.ID) {
	r.graves.Remove(id)
	r.deleted.remove(id)
}

// find returns the outcome of a mutation with a remembered request id: the first request's outcome or [store.ErrReused]; false if
// the id is not remembered.
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

// bounded is a map that forgets the oldest entries beyond maxDeleted.
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

// remove forgets a value; the linear search is fine, as removals are rare.
func (b *bounded[K, V]) remove(key K) {
	if _, known := b.values[key]; known {
		delete(b.values, key)
		b.order = slices.DeleteFunc(b.order, func(k K) bool { return k == key })
	}
}
