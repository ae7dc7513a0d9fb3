package site

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

const (
	// missingFor is how long a ticket that MySQL does not have is taken for missing. A write through this daemon ends it
	// at once, and another daemon's is in Redis, which is asked first; so only a row that somebody inserts in SQL is seen
	// late.
	missingFor = time.Second
	// maxMissing bounds how many are remembered; beyond it the oldest are forgotten.
	maxMissing = 10_000
	// writeCounters is how many counters tell writes apart, see [missing.before].
	writeCounters = 256
)

// missing remembers briefly which tickets no place holds, so that a page that asks for one again and again costs MySQL
// nothing.
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

// before is asked before the places are: what [missing.add] is told must be the same, or a write came between. The
// tickets share the counters, so that a write to another one may do so too; that costs one more query.
func (m *missing) before(id ticket.ID) uint64 { return m.counter(id).Load() }

func (m *missing) counter(id ticket.ID) *atomic.Uint64 { return &m.writes[id%writeCounters] }

// has says whether the ticket is known to be missing.
func (m *missing) has(id ticket.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, there := m.until[id]
	return there && time.Now().Before(until)
}

// add remembers that neither the store nor MySQL had the ticket, asked in this order after before.
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

// written is told after each write, one of which it is not known whether it was made among them.
func (m *missing) written(id ticket.ID) {
	m.counter(id).Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.until, id)
}
