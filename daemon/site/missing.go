package site

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

const (
	// missingFor is how long a ticket that MySQL does not have counts as missing. A write through this daemon ends the time at once,
	// and a write through a different daemon is in Redis, which is asked first: only a row inserted in SQL is seen late.
	missingFor = time.Second
	// maxMissing bounds the tickets that are remembered; the oldest are forgotten first.
	maxMissing = 10_000
	// writeCounters is the number of counters that tell writes apart, see [missing.before].
	writeCounters = 256
)

// missing remembers briefly which tickets no place holds, so that repeated reads of such a ticket cost no query.
type missing struct {
	writes [writeCounters]atomic.Uint64

	mu    sync.Mutex
	until map[ticket.ID]time.Time
	order []missed // of until, oldest first; some may have been forgotten or renewed since
}

type missed struct {
	id    ticket.ID
	until time.Time
}

func newMissing() *missing { return &missing{until: make(map[ticket.ID]time.Time)} }

// before returns the ticket's write counter before the places are asked. If the counter differs at [missing.add], a write came
// between. Tickets share counters, so a write to a different ticket may look the same, which costs an extra query.
func (m *missing) before(id ticket.ID) uint64 { return m.counter(id).Load() }

func (m *missing) counter(id ticket.ID) *atomic.Uint64 { return &m.writes[id%writeCounters] }

// has says whether the ticket is known to be missing.
func (m *missing) has(id ticket.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, there := m.until[id]
	return there && time.Now().Before(until)
}

// add remembers that neither the store nor MySQL had the ticket, asked in this order after the call of before.
func (m *missing) add(id ticket.ID, before uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counter(id).Load() != before {
		return
	}
	now := time.Now()
	for len(m.order) > 0 && (len(m.order) >= maxMissing || !now.Before(m.order[0].until)) {
		if oldest := m.order[0]; m.until[oldest.id].Equal(oldest.until) {
			delete(m.until, oldest.id)
		}
		m.order = m.order[1:]
	}
	entry := missed{id: id, until: now.Add(missingFor)}
	m.until[id] = entry.until
	m.order = append(m.order, entry)
}

// written must be called after each write, also after a write with an unknown outcome.
func (m *missing) written(id ticket.ID) {
	m.counter(id).Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.until, id)
}
