package pending

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Feed is the feed of a [Store] in memory.
type Feed struct {
	now          func() time.Time
	filling      string
	destinations *Destinations

	mu      sync.Mutex
	to      store.FeedSwitch
	erased  map[uint64]bool // numbers
	number  uint64
	events  []ticket.Event // by number
	changed chan struct{}  // closed and replaced by each event
}

var _ store.Feed = (*Feed)(nil)

func newFeed(now func() time.Time) *Feed {
	return &Feed{
		now: now, filling: rand.Text(), erased: map[uint64]bool{}, destinations: NewDestinations(now, 1), changed: make(chan struct{}),
	}
}

// Feed returns the store's feed.
func (s *Store) Feed() store.Feed { return s.feed }

// EventOf makes the event of a mutation that the store is about to make under a revision, for the function that
// [Store.ApplyLogged] calls; no other caller may call EventOf. Number and Recorded are still zero. A deletion of a deleted ticket
// is no change: Previous is then the revision.
func (s *Store) EventOf(m *store.Mutation, revision ticket.Revision) ticket.Event {
	e := s.tickets[m.ID]
	event := ticket.Event{
		Kind: kinds[m.Kind], Ticket: m.ID, Revision: revision, Complete: m.Kind == store.Create,
		At: time.UnixMicro(int64(m.Dated())), By: strings.Clone(m.By), Via: strings.Clone(m.Via),
	}
	if e != nil {
		event.Previous = e.revision
	}
	for _, f := range m.Fields {
		if len(f.Value.Text()) > store.MaxFeedValue {
			event.Omitted = append(event.Omitted, f.Name)
		} else {
			event.Fields = append(event.Fields, ticket.Field{Name: f.Name, Value: f.Value.Clone()})
		}
		if e == nil || e.gone {
			continue
		}
		at, there := slices.BinarySearchFunc(e.fields, f.Name, func(f field, name string) int { return cmp.Compare(f.name, name) })
		switch {
		case there && len(e.fields[at].value.Text()) <= store.MaxFeedValue:
			event.Was = append(event.Was, ticket.Field{Name: f.Name, Value: e.fields[at].value})
		case !there && e.full:
			event.Was = append(event.Was, ticket.Field{Name: f.Name})
		}
	}
	return event
}

var kinds = map[store.Kind]ticket.EventKind{
	store.Create: ticket.EventCreated, store.Begin: ticket.EventCreated,
	store.Set: ticket.EventUpdated, store.Delete: ticket.EventDeleted,
}

// tell adds the event of a mutation that the store is about to make. A deletion of a deleted ticket is no change.
func (s *Store) tell(m *store.Mutation, revision ticket.Revision) {
	if !s.feed.on() {
		return
	}
	if event := s.EventOf(m, revision); event.Previous != revision {
		s.feed.add(event)
	}
}

// on says whether the feed is on.
func (f *Feed) on() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.to.On
}

// add appends events, if the feed is on.
func (f *Feed) add(events ...ticket.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.to.On || len(events) == 0 {
		return
	}
	for i := range events {
		f.number++
		events[i].Partition, events[i].Number, events[i].Recorded = 0, f.number, f.now()
		f.events = append(f.events, events[i])
	}
	if most := cmp.Or(f.to.MaxEvents, store.DefaultFeedEvents); int64(len(f.events)) > most {
		f.events = slices.Delete(f.events, 0, len(f.events)-int(most))
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// Partitions implements [store.FeedReader].
func (f *Feed) Partitions() int { return 1 }

// Events implements [store.FeedReader].
func (f *Feed) Events(_ context.Context, _ int, after store.Cursor, limit int) (store.FeedPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page, number := store.FeedPage{Next: after}, after.Number()
	first := sort.Search(len(f.events), func(i int) bool { return f.events[i].Number > number })
	switch {
	case after == "":
		first = 0
	case after.Filling() != f.filling || number > f.number:
		first = 0
		page.Add(store.ResetEvent(0, f.now()), f.cursor(f.oldest()-1))
	case f.lost(number+1, f.next(first)) > 0:
		gap := store.GapEvent(0, number+1, f.next(first)-1, f.now())
		gap.Lost = f.lost(number+1, f.next(first))
		page.Add(gap, f.cursor(gap.Last))
	}
	for i := first; i < len(f.events) && len(page.Events) < limit; i++ {
		page.Add(&f.events[i], f.cursor(f.events[i].Number))
	}
	return page, nil
}

// next is the number of the i-th event, or of the event to come.
func (f *Feed) next(i int) uint64 {
	if i == len(f.events) {
		return f.number + 1
	}
	return f.events[i].Number
}

// lost counts the numbers from first up to end that are not of erased events.
func (f *Feed) lost(first, end uint64) (n uint64) {
	for ; first < end; first++ {
		if !f.erased[first] {
			n++
		}
	}
	return n
}

// oldest is the number of the oldest event, or of the next event while the feed has none.
func (f *Feed) oldest() uint64 {
	if len(f.events) == 0 {
		return f.number + 1
	}
	return f.events[0].Number
}

func (f *Feed) cursor(number uint64) store.Cursor { return store.NewCursor(f.filling, number, "0") }

// End implements [store.FeedReader].
func (f *Feed) End(context.Context, int) (store.Cursor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cursor(f.number), nil
}

// Since implements [store.FeedReader].
func (f *Feed) Since(_ context.Context, _ int, at time.Time) (store.Cursor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.events {
		if !f.events[i].Recorded.Before(at) {
			return f.cursor(f.events[i].Number - 1), nil
		}
	}
	return f.cursor(f.number), nil
}

// Wait implements [store.FeedReader].
func (f *Feed) Wait(ctx context.Context, after []store.Cursor) error {
	f.mu.Lock()
	changed, end := f.changed, f.cursor(f.number)
	f.mu.Unlock()
	if c := after[0]; end.Number() > 0 && (c.Filling() != end.Filling() || !c.Reached(end)) {
		return nil
	}
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Switch implements [store.FeedKeeper].
func (f *Feed) Switch(_ context.Context, to store.FeedSwitch) error {
	f.mu.Lock()
	resumed := to.On && !f.to.On && f.number > 0
	f.to = to
	f.mu.Unlock()
	if resumed {
		f.add(*store.ResumedEvent(0, f.now()))
	}
	return nil
}

// Append implements [store.FeedKeeper].
func (f *Feed) Append(_ context.Context, events []ticket.Event) error {
	f.add(slices.Clone(events)...)
	return nil
}

// Trim implements [store.FeedKeeper].
func (f *Feed) Trim(_ context.Context, keep time.Duration) error {
	slowest, some := f.destinations.Slowest(f.filling, 0)
	if !some {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.now().Add(-keep)
	f.events = slices.DeleteFunc(f.events, func(e ticket.Event) bool {
		return e.Number <= slowest.Number() && e.Recorded.Before(before)
	})
	return nil
}

// Erase implements [store.FeedKeeper].
func (f *Feed) Erase(_ context.Context, ids []ticket.ID) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.events)
	f.events = slices.DeleteFunc(f.events, func(e ticket.Event) bool {
		erased := slices.Contains(ids, e.Ticket) && e.Kind != ticket.EventErased
		if erased {
			f.erased[e.Number] = true
		}
		return erased
	})
	return before - len(f.events), nil
}

// Usage implements [store.FeedKeeper].
func (f *Feed) Usage(context.Context) (store.FeedUsage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	usage := store.FeedUsage{On: f.to.On, Events: int64(len(f.events))}
	for i := range f.events {
		for _, field := range f.events[i].Fields {
			usage.Bytes += int64(len(field.Name) + len(field.Value.Text()))
		}
	}
	if len(f.events) > 0 {
		usage.Oldest = f.events[0].Recorded
	}
	return usage, nil
}

// Own implements [store.FeedCouriers].
func (f *Feed) Own(_ context.Context, destination, token string, lease time.Duration) (map[int]store.Cursor, error) {
	return f.destinations.Own(destination, token, lease)
}

// Advance implements [store.FeedCouriers].
func (f *Feed) Advance(_ context.Context, destination, token string, partition int, upTo store.Cursor) error {
	_, err := f.destinations.Advance(destination, token, partition, upTo)
	return err
}

// Release implements [store.FeedCouriers].
func (f *Feed) Release(_ context.Context, destination, token string) error {
	f.destinations.Release(destination, token)
	return nil
}

// Rewind implements [store.FeedCouriers].
func (f *Feed) Rewind(_ context.Context, destination string, to []store.Cursor) error {
	return f.destinations.Set(destination, to)
}

// Destinations implements [store.FeedCouriers].
func (f *Feed) Destinations(context.Context) (map[string]store.Destination, error) {
	return f.destinations.All(), nil
}

// Forget implements [store.FeedCouriers].
func (f *Feed) Forget(_ context.Context, destination string) error {
	f.destinations.Forget(destination)
	return nil
}

// AddLetter implements [store.FeedLetters].
func (f *Feed) AddLetter(_ context.Context, destination string, letter *store.FeedLetter) error {
	return f.destinations.AddLetter(destination, letter)
}

// FeedLetters implements [store.FeedLetters].
func (f *Feed) FeedLetters(_ context.Context, destination string, after uint64, limit int) ([]store.FeedLetter, error) {
	return f.destinations.Letters(destination, after, limit), nil
}

// DropLetters implements [store.FeedLetters].
func (f *Feed) DropLetters(_ context.Context, destination string, keys []uint64) (int, error) {
	return f.destinations.DropLetters(destination, keys), nil
}
