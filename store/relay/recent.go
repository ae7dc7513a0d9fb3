package relay

import (
	"cmp"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/graves"
)

// maxRecent bounds how many requests and how many deletions' revisions are remembered here, about 150 bytes each. The next store
// remembers them all: this is for what comes while it cannot be asked, or is not to wait for it.
const maxRecent = 65536

// recent remembers the latest requests' outcomes, each for as long as it asks for, all deletions that were seen, and the revisions
// of the latest of them.
type recent struct {
	now      func() time.Time
	requests bounded[string, remembered]
	deleted  bounded[ticket.ID, ticket.Revision]
	graves   graves.Set
}

type remembered struct {
	outcome store.Outcome
	until   time.Time
}

func newRecent(now func() time.Time) *recent {
	return &recent{now: now, requests: newBounded[string, remembered](), deleted: newBounded[ticket.ID, ticket.Revision]()}
}

// add remembers what a mutation came to.
func (r *recent) add(m *store.Mutation, outcome store.Outcome) {
	if m.RequestID != "" {
		r.requests.put(m.RequestID, remembered{outcome, r.now().Add(cmp.Or(m.Remember, store.RequestMemory))})
	}
	if m.Kind == store.Delete {
		r.graves.Add(m.ID)
		r.deleted.put(m.ID, max(r.deleted.values[m.ID], outcome.Revision)) // one that is stuck comes again
	}
}

// saw notes that the next store has a deletion. Its revision there may be above the acknowledged one, where it did not hold the
// ticket, and who has seen it must not be told a lower one.
func (r *recent) saw(id ticket.ID, revision ticket.Revision) {
	r.graves.Add(id)
	if known, there := r.deleted.values[id]; there && known < revision {
		r.deleted.values[id] = revision
	}
}

// forget notes that a ticket was not deleted after all.
func (r *recent) forget(id ticket.ID) {
	r.graves.Remove(id)
	r.deleted.remove(id)
}

// find returns the outcome of a request; false where it is not remembered.
func (r *recent) find(requestID string) (store.Outcome, bool) {
	if requestID == "" {
		return store.Outcome{}, false
	}
	known, there := r.requests.values[requestID]
	return known.outcome, there && r.now().Before(known.until)
}

// bounded is a map that forgets its oldest entries beyond maxRecent.
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
	if len(b.order) > maxRecent {
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
