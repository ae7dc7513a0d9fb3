package feed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const destination = "crm"

// memory is a feed with one partition, as a store keeps it.
type memory struct {
	mu      sync.Mutex
	events  []ticket.Event
	first   uint64 // number of the oldest event that is kept
	cursor  store.Cursor
	owner   string
	until   time.Time
	fail    error
	letters []store.FeedLetter
	full    bool // of letters
	most    int  // letters; 0: no bound
	keys    uint64
	changed chan struct{} // closed at the next change of the cursor or the letters
	// reads counts the reads at the instant; spins says that there were too many.
	instant time.Time
	reads   int
	spins   bool
}

func newMemory() *memory { return &memory{first: 1, changed: make(chan struct{})} }

func at(n uint64) store.Cursor { return store.NewCursor("a", n, "x") }

// write appends an update of a ticket and returns its revision.
func (m *memory) write(id ticket.ID) ticket.Revision {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := uint64(1)
	if len(m.events) > 0 {
		n = m.events[len(m.events)-1].Number + 1
	}
	m.events = append(m.events, ticket.Event{
		Kind: ticket.EventUpdated, Number: n, Ticket: id, Revision: ticket.Revision(n), At: time.Now(), Recorded: time.Now(),
	})
	return ticket.Revision(n)
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memory) note() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// wait waits until a condition on the memory holds.
func (m *memory) wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(24 * 30 * time.Hour)
	for {
		m.mu.Lock()
		if holds() {
			m.mu.Unlock()
			return
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("it never came to: %s", what)
		}
	}
}

func (m *memory) Partitions() int { return 1 }

func (m *memory) Own(_ context.Context, _, token string, lease time.Duration) (map[int]store.Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case m.fail != nil:
		return nil, m.fail
	case m.owner != "" && m.owner != token && now.Before(m.until):
		return nil, fmt.Errorf("own: %w", store.ErrNotOwner)
	}
	m.owner, m.until = token, now.Add(lease)
	return map[int]store.Cursor{0: m.cursor}, nil
}

func (m *memory) Destinations(context.Context) (map[string]store.Destination, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return map[string]store.Destination{destination: {Owner: m.owner, Until: m.until}}, m.fail
}

func (m *memory) Release(_ context.Context, _, token string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owner == token {
		m.owner = ""
	}
	return nil
}

// spun counts a read, and says whether the reader spins: its clock would stand still.
func (m *memory) spun() bool {
	const most = 1000
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now != m.instant {
		m.instant, m.reads = now, 0
	}
	m.reads++
	m.spins = m.spins || m.reads > most
	return m.reads > most
}

func (m *memory) Events(_ context.Context, _ int, after store.Cursor, limit int) (store.FeedPage, error) {
	if m.spun() {
		time.Sleep(time.Minute)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	page := store.FeedPage{Next: after}
	if m.fail != nil {
		return page, m.fail
	}
	from := after.Number() + 1
	if after != "" && from < m.first {
		page.Add(store.GapEvent(0, from, m.first-1, time.Now()), at(m.first-1))
	}
	for i := range m.events {
		if e := &m.events[i]; e.Number >= max(from, m.first) && len(page.Events) < limit {
			page.Add(e, at(e.Number))
		}
	}
	return page, nil
}

func (m *memory) Advance(_ context.Context, _, token string, _ int, upTo store.Cursor) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owner != token {
		return fmt.Errorf("advance: %w", store.ErrNotOwner)
	}
	m.cursor = upTo
	m.note()
	return nil
}

func (m *memory) FeedLetters(_ context.Context, _ string, after uint64, limit int) ([]store.FeedLetter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []store.FeedLetter
	for _, l := range m.letters {
		if l.Key > after && len(found) < limit {
			found = append(found, l)
		}
	}
	return found, nil
}

func (m *memory) AddLetter(_ context.Context, _ string, l *store.FeedLetter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full || m.most > 0 && len(m.letters) >= m.most {
		return store.FullLetters(destination)
	}
	m.keys++
	l.Key = m.keys
	m.letters = append(m.letters, *l)
	m.note()
	return nil
}

func (m *memory) DropLetters(_ context.Context, _ string, keys []uint64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.letters)
	m.letters = slices.DeleteFunc(m.letters, func(l store.FeedLetter) bool { return slices.Contains(keys, l.Key) })
	m.note()
	return before - len(m.letters), nil
}

var _ feed.Source = (*memory)(nil)

// receiver is a destination that keeps what it confirmed.
type receiver struct {
	mu      sync.Mutex
	got     []ticket.Event // confirmed, in order
	calls   [][]ticket.Event
	when    []time.Time // of the calls
	answer  func(ticket.Event) feed.Verdict
	probe   func() error
	ordered bool
	takes   time.Duration
}

var errTry = errors.New("503")

func later() feed.Verdict { return feed.Verdict{Decision: feed.Later, Err: errTry} }
func refused() feed.Verdict {
	return feed.Verdict{Decision: feed.Refused, Err: errors.New("422"), Answer: []byte("no such field")}
}
func fine() feed.Verdict { return feed.Verdict{Decision: feed.Confirmed} }

func (r *receiver) Publish(ctx context.Context, events []ticket.Event) []feed.Verdict {
	if r.takes > 0 {
		select {
		case <-time.After(r.takes):
		case <-ctx.Done():
			return make([]feed.Verdict, len(events))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, slices.Clone(events))
	r.when = append(r.when, time.Now())
	verdicts := make([]feed.Verdict, len(events))
	for i, e := range events {
		verdicts[i] = fine()
		if r.answer != nil {
			verdicts[i] = r.answer(e)
		}
		if verdicts[i].Decision == feed.Confirmed {
			r.got = append(r.got, e)
		}
	}
	return verdicts
}

func (r *receiver) Ordered() bool { return r.ordered }

func (r *receiver) Probe(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.probe == nil {
		return nil
	}
	return r.probe()
}

func (*receiver) Close() error { return nil }

func (r *receiver) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// revisions are the confirmed revisions of a ticket, in order.
func (r *receiver) revisions(id ticket.ID) []ticket.Revision {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []ticket.Revision
	for i := range r.got {
		if r.got[i].Ticket == id {
			all = append(all, r.got[i].Revision)
		}
	}
	return all
}

// kinds are the kinds of what was confirmed.
func (r *receiver) kinds() []ticket.EventKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]ticket.EventKind, len(r.got))
	for i := range r.got {
		all[i] = r.got[i].Kind
	}
	return all
}

// start starts a courier that the test stops.
func start(t *testing.T, m *memory, r feed.Publisher, o feed.Options) *feed.Courier {
	t.Helper()
	o.Name = destination
	c := feed.New(m, r, o)
	c.Start(t.Context())
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if m.spins {
			t.Error("the courier reads the feed without a pause")
		}
	})
	return c
}
