package journal

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/wal"
)

// feed is the feed of a site without Redis: a reader of the journal's own records. A cursor's place is a position in the log, and
// the journal's id is the filling. Events are read only when they are as durable as the sync mode promises.
type feed struct {
	s            *Store
	destinations *pending.Destinations

	mu       sync.Mutex // taken after Store.mu
	to       store.FeedSwitch
	number   uint64 // of the newest event
	readable uint64 // up to this number events are durable
	keep     time.Duration
	erased   map[ticket.ID]uint64  // replaced, never changed
	holds    map[uint64]*feedRange // the segments with events
	// noted is the segment of the newest kindFeed, letters the first segment with letters; 0: none.
	noted, letters uint64
	changed        chan struct{} // closed and replaced when events have become readable
}

// feedRange is what the feed has in a segment.
type feedRange struct {
	first          uint64 // number
	oldest, newest time.Time
}

var _ store.Feed = (*feed)(nil)

func newFeed(s *Store) *feed {
	return &feed{
		s: s, destinations: pending.NewDestinations(s.opts.Now, 1), holds: map[uint64]*feedRange{}, changed: make(chan struct{}),
	}
}

// replay takes up a record of the log.
func (f *feed) replay(r *entry, at wal.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.kind {
	case kindTold, kindEvent:
		f.hold(&r.event, at)
	case kindFeed:
		f.to, f.number, f.erased, f.noted = r.feed.to, max(f.number, r.feed.number), r.feed.erased, at.Segment
		for name := range f.destinations.All() {
			if _, stays := r.feed.cursors[name]; !stays {
				f.destinations.Forget(name)
			}
		}
		for name, cursor := range r.feed.cursors {
			of := r.feed.rights[name]
			f.destinations.Put(name, cursor, of.owner, of.until)
		}
	case kindFeedLetter:
		f.destinations.PutLetter(r.destination, &r.letter)
		f.letters = cmp.Or(f.letters, at.Segment)
	case kindFeedDropped:
		f.destinations.DropLetters(r.destination, r.keys)
	default:
	}
	f.readable = f.number
}

// hold records which segment has an event. The caller holds the lock.
func (f *feed) hold(e *ticket.Event, at wal.Position) {
	f.number = max(f.number, e.Number)
	of := f.holds[at.Segment]
	if of == nil {
		of = &feedRange{first: e.Number, oldest: e.Recorded}
		f.holds[at.Segment] = of
	}
	of.newest = e.Recorded
}

func (f *feed) on() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.to.On
}

func (f *feed) newest() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.number
}

// tell makes a mutation's record tell its event. The caller holds Store.mu.
func (f *feed) tell(r *entry, e ticket.Event) {
	if e.Previous == e.Revision { // deleted once more: no change
		return
	}
	r.kind, r.event = kindTold, ticket.Event{
		Number: f.newest() + 1, Previous: e.Previous, Was: e.Was, Recorded: f.s.opts.Now(),
	}
}

// appended notes a record that is in the log.
func (f *feed) appended(r *entry, at wal.Position) {
	if r.kind == kindTold || r.kind == kindEvent {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.hold(&r.event, at)
	}
}

// append writes events that are no mutations, if the feed is on. The caller holds Store.mu.
func (f *feed) append(events []ticket.Event) error {
	if !f.on() {
		return nil
	}
	for i := range events {
		r := entry{kind: kindEvent, event: events[i]}
		r.event.Partition, r.event.Number, r.event.Recorded = 0, f.newest()+1, f.s.opts.Now()
		at, err := f.s.log.Append(r.encode())
		if err != nil {
			return err
		}
		f.appended(&r, at)
	}
	return nil
}

// restated tells tickets whose revisions were lifted. The caller holds Store.mu. An event that finds no room is lost: the next
// event of the ticket has another revision as its previous one.
func (f *feed) restated(states []pending.State, by ticket.Revision) {
	events := make([]ticket.Event, len(states))
	for i := range states {
		s := &states[i]
		events[i] = ticket.Event{
			Kind: ticket.EventRestated, Ticket: s.ID, Revision: s.Revision, From: s.Revision - by, Previous: s.Revision - by,
			At: f.s.opts.Now(),
		}
	}
	_ = f.append(events)
}

// made wakes the readers once the events so far are durable.
func (f *feed) made(ctx context.Context) { _ = f.durable(ctx) }

// durable waits until the records so far are durable, and wakes the readers.
func (f *feed) durable(ctx context.Context) error {
	f.s.mu.Lock()
	number, end := f.newest(), f.s.log.End()
	f.s.mu.Unlock()
	err := f.s.log.Commit(ctx, end)
	if err == nil {
		f.readableTo(number)
	}
	return err
}

// readableTo wakes the readers: events up to a number are durable.
func (f *feed) readableTo(number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number <= f.readable {
		return
	}
	f.readable = number
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) cursor(number uint64, at wal.Position) store.Cursor {
	return store.NewCursor(f.s.ID(), number, fmt.Sprintf("%d-%d", at.Segment, at.Offset))
}

// position reads a cursor's place.
func position(c store.Cursor) (at wal.Position, ok bool) {
	segment, offset, _ := strings.Cut(c.Place(), "-")
	s, err := strconv.ParseUint(segment, 10, 64)
	o, also := strconv.ParseInt(offset, 10, 64)
	return wal.Position{Segment: s, Offset: o}, err == nil && also == nil && o >= 0
}

// Partitions implements [store.FeedReader].
func (f *feed) Partitions() int { return 1 }

// Events implements [store.FeedReader].
func (f *feed) Events(_ context.Context, _ int, after store.Cursor, limit int) (store.FeedPage, error) {
	f.mu.Lock()
	newest, readable, erased := f.number, f.readable, f.erased
	f.mu.Unlock()
	at, ok := position(after)
	if after != "" && !ok {
		return store.FeedPage{}, store.ErrCursor
	}
	p := pager{
		f: f, page: store.FeedPage{Next: after}, limit: limit, erased: erased,
		last: after.Number(), knows: after != "", behind: at,
	}
	if after != "" && (after.Filling() != f.s.ID() || p.last > newest) {
		p.reset()
	}
	err := f.read(p.behind, p.take)
	if err == nil && after != "" && p.last < readable && len(p.page.Events) == 0 { // the segments are gone
		p.gap(readable, wal.Position{})
	}
	return p.page, wrap("feed", err)
}

// pager makes a page of the events that it takes, oldest first.
type pager struct {
	f      *feed
	page   store.FeedPage
	limit  int
	erased map[ticket.ID]uint64

	last   uint64       // number of the event before
	knows  bool         // last is known: another number than the next is a gap
	behind wal.Position // end of the event before
}

// reset begins the page again at the log's begin: the cursor is of another filling.
func (p *pager) reset() {
	p.last, p.knows, p.behind = 0, false, wal.Position{}
	p.page.Add(store.ResetEvent(0, p.f.s.opts.Now()), p.f.cursor(0, p.behind))
}

// gap says that the events from last on up to a number are lost.
func (p *pager) gap(to uint64, at wal.Position) {
	p.page.Add(store.GapEvent(0, p.last+1, to, p.f.s.opts.Now()), p.f.cursor(to, at))
}

// take adds an event, or passes over it; false: the page is full.
func (p *pager) take(e *ticket.Event, end wal.Position) bool {
	switch {
	case len(p.page.Events) >= p.limit:
		return false
	case e.Number <= p.last:
		return true
	case p.knows && e.Number > p.last+1:
		p.gap(e.Number-1, p.behind)
	}
	p.last, p.knows, p.behind = e.Number, true, end
	if p.erased[e.Ticket] >= e.Number && e.Kind != ticket.EventErased {
		p.page.Next = p.f.cursor(e.Number, end)
		if n := len(p.page.Cursors); n > 0 {
			p.page.Cursors[n-1] = p.page.Next
		}
	} else if len(p.page.Events) < p.limit {
		p.page.Add(e, p.f.cursor(e.Number, end))
	}
	return true
}

// read calls each for the events behind a position, oldest first.
func (f *feed) read(from wal.Position, each func(e *ticket.Event, end wal.Position) bool) error {
	return f.s.log.Read(from, func(end wal.Position, payload []byte) bool {
		if k := kind(payload[min(1, len(payload)-1)]); k != kindTold && k != kindEvent {
			return true
		}
		r, err := decode(payload)
		if err != nil { // Open has read the record
			return true
		}
		e, is := r.told()
		return !is || each(&e, end)
	})
}

// End implements [store.FeedReader].
func (f *feed) End(context.Context, int) (store.Cursor, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	return f.cursor(f.newest(), f.s.log.End()), nil
}

// Since implements [store.FeedReader].
func (f *feed) Since(ctx context.Context, p int, at time.Time) (store.Cursor, error) {
	var behind wal.Position
	var found store.Cursor
	err := f.read(wal.Position{}, func(e *ticket.Event, end wal.Position) bool {
		if !e.Recorded.Before(at) {
			found = f.cursor(e.Number-1, behind)
			return false
		}
		behind = end
		return true
	})
	if err != nil || found != "" {
		return found, wrap("feed", err)
	}
	return f.End(ctx, p)
}

// Wait implements [store.FeedReader].
func (f *feed) Wait(ctx context.Context, after []store.Cursor) error {
	f.mu.Lock()
	changed, readable := f.changed, f.readable
	f.mu.Unlock()
	if c := after[0]; readable > 0 && (c.Filling() != f.s.ID() || c.Number() < readable) {
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
func (f *feed) Switch(ctx context.Context, to store.FeedSwitch) error {
	f.mu.Lock()
	same, resumed := f.to == to, to.On && !f.to.On && f.number > 0
	f.to = to
	f.mu.Unlock()
	if same {
		return nil
	}
	_ = f.note()
	if resumed {
		return f.Append(ctx, []ticket.Event{*store.ResumedEvent(0, f.s.opts.Now())})
	}
	return nil
}

// note writes the feed's switch, cursors and lasting rights. Without the record of a cursor events come twice.
func (f *feed) note() error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	r := entry{kind: kindFeed, feed: f.state()}
	at, err := f.s.log.Append(r.encode())
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noted = at.Segment
	return nil
}

// record is note for what an operator has asked for: a restart must not undo what was reported as done.
func (f *feed) record(ctx context.Context) error {
	err := f.note()
	if err == nil {
		err = f.durable(ctx)
	}
	return wrap("feed", err)
}

func (f *feed) state() feedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := feedState{
		to: f.to, number: f.number, erased: f.erased, cursors: map[string]store.Cursor{}, rights: map[string]right{},
	}
	for name, d := range f.destinations.All() {
		s.cursors[name] = d.Cursors[0]
		if d.Until.Sub(f.s.opts.Now()) > lasting {
			s.rights[name] = right{d.Owner, d.Until}
		}
	}
	return s
}

// Append implements [store.FeedKeeper].
func (f *feed) Append(ctx context.Context, events []ticket.Event) error {
	f.s.mu.Lock()
	err := f.append(events)
	f.s.mu.Unlock()
	if made := f.durable(ctx); err == nil {
		err = made
	}
	return wrap("feed", err)
}

// Trim implements [store.FeedKeeper]: the cleaning of the log removes segments.
func (f *feed) Trim(_ context.Context, keep time.Duration) error {
	f.mu.Lock()
	f.keep = keep
	f.mu.Unlock()
	f.s.wake()
	return nil
}

// Erase implements [store.FeedKeeper].
func (f *feed) Erase(ctx context.Context, ids []ticket.ID) (int, error) {
	f.mu.Lock()
	known, newest := f.erased, f.number
	f.mu.Unlock()
	erased := 0
	found := map[ticket.ID]uint64{}
	err := f.read(wal.Position{}, func(e *ticket.Event, _ wal.Position) bool {
		if slices.Contains(ids, e.Ticket) && e.Kind != ticket.EventErased && e.Number > known[e.Ticket] && e.Number <= newest {
			found[e.Ticket] = e.Number
			erased++
		}
		return true
	})
	if err != nil || len(found) == 0 {
		return 0, wrap("feed", err)
	}
	f.mu.Lock()
	all := maps.Clone(f.erased)
	if all == nil {
		all = map[ticket.ID]uint64{}
	}
	maps.Copy(all, found)
	f.erased = all
	f.mu.Unlock()
	if err := f.record(ctx); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.erased = known // the next try finds the events
		return 0, err
	}
	return erased, nil
}

// Usage implements [store.FeedKeeper]. Bytes are those of the segments that have events.
func (f *feed) Usage(context.Context) (store.FeedUsage, error) {
	log := f.s.log.Stats()
	f.mu.Lock()
	defer f.mu.Unlock()
	usage := store.FeedUsage{On: f.to.On}
	for _, s := range log.Segments {
		of := f.holds[s.Number]
		if of == nil {
			continue
		}
		if usage.Oldest.IsZero() {
			usage.Oldest, usage.Events = of.oldest, int64(f.number-of.first+1) //nolint:gosec // a count
		}
		usage.Bytes += s.Bytes
	}
	return usage, nil
}
