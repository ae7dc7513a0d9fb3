package journal

import (
	"maps"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/flat"
)

// feedState is what the journal keeps of its feed beside the events.
type feedState struct {
	to      store.FeedSwitch
	number  uint64 // of the newest event
	cursors map[string]store.Cursor
	// rights are those that last: the pauses of operators.
	rights map[string]right
	// erased are the numbers up to which tickets' events were erased.
	erased map[ticket.ID]uint64
}

// right is a right to serve a destination.
type right struct {
	owner string
	until time.Time
}

// ofFeed writes the content of a record of the feed.
func (w *writer) ofFeed(r *entry) {
	switch r.kind {
	case kindTold:
		w.mutation(r)
		w.told(&r.event)
	case kindEvent:
		w.texts(flat.Whole(&r.event))
	case kindFeed:
		w.feed(&r.feed)
	case kindFeedLetter:
		w.Text(r.destination)
		w.feedLetter(&r.letter)
	case kindFeedDropped:
		w.Text(r.destination)
		w.Count(len(r.keys))
		for _, key := range r.keys {
			w.Int(int64(key)) //nolint:gosec // a count
		}
	default:
	}
}

// ofFeed reads the content of a record of the feed; false for an unknown kind.
func (r reader) ofFeed(rec *entry) bool {
	switch rec.kind {
	case kindTold:
		r.mutation(rec)
		r.told(&rec.event)
	case kindEvent:
		rec.event = flat.Event(r.texts())
	case kindFeed:
		r.feed(&rec.feed)
	case kindFeedLetter:
		rec.destination, rec.letter = r.Text(), r.feedLetter()
	case kindFeedDropped:
		rec.destination = r.Text()
		for range r.Count(1) {
			rec.keys = append(rec.keys, uint64(max(r.Int(), 0)))
		}
	default:
		return false
	}
	return true
}

// told writes what an event has beside its mutation.
func (w *writer) told(e *ticket.Event) {
	w.Int(int64(e.Number)) //nolint:gosec // a count
	w.Int(int64(e.Previous))
	w.Time(e.Recorded)
	w.Count(len(e.Was))
	for _, f := range e.Was {
		w.Text(f.Name)
		w.Value(f.Value)
	}
}

func (r reader) told(e *ticket.Event) {
	e.Number, e.Previous, e.Recorded = uint64(max(r.Int(), 0)), r.Revision(), r.Time()
	for range r.Count(2) {
		e.Was = append(e.Was, ticket.Field{Name: r.Text(), Value: r.Value()})
	}
}

func (w *writer) texts(texts []string) {
	w.Count(len(texts))
	for _, text := range texts {
		w.Text(text)
	}
}

func (r reader) texts() (texts []string) {
	for range r.Count(1) {
		texts = append(texts, r.Text())
	}
	return texts
}

func (w *writer) feed(s *feedState) {
	w.Bool(s.to.On)
	w.Int(s.to.MaxEvents)
	w.Int(s.to.MaxBytes)
	w.Int(int64(s.number)) //nolint:gosec // a count
	w.Count(len(s.cursors))
	for _, name := range slices.Sorted(maps.Keys(s.cursors)) {
		w.Text(name)
		w.Text(string(s.cursors[name]))
	}
	w.Count(len(s.erased))
	for _, id := range slices.Sorted(maps.Keys(s.erased)) {
		w.Int(int64(id))
		w.Int(int64(s.erased[id])) //nolint:gosec // a count
	}
	w.Count(len(s.rights))
	for _, name := range slices.Sorted(maps.Keys(s.rights)) {
		w.Text(name)
		w.Text(s.rights[name].owner)
		w.Time(s.rights[name].until)
	}
}

func (r reader) feed(s *feedState) {
	s.to = store.FeedSwitch{On: r.Bool(), MaxEvents: r.Int(), MaxBytes: r.Int()}
	s.number = uint64(max(r.Int(), 0))
	s.cursors, s.erased = map[string]store.Cursor{}, map[ticket.ID]uint64{}
	for range r.Count(2) {
		name := r.Text()
		s.cursors[name] = store.Cursor(r.Text())
	}
	for range r.Count(2) {
		id := r.ID()
		s.erased[id] = uint64(max(r.Int(), 0))
	}
	s.rights = map[string]right{}
	if r.Left() == 0 { // written before the journal kept rights
		return
	}
	for range r.Count(3) {
		name := r.Text()
		s.rights[name] = right{r.Text(), r.Time()}
	}
}

func (w *writer) feedLetter(l *store.FeedLetter) {
	w.Int(int64(l.Key)) //nolint:gosec // a count
	w.texts(flat.Whole(&l.Event))
	w.Text(l.Reason)
	w.Text(string(l.Answer))
	w.Int(int64(l.Tries))
	w.Time(l.At)
	w.Bool(!l.Since.IsZero())
	if !l.Since.IsZero() {
		w.Time(l.Since)
	}
	w.Bool(l.Held)
}

func (r reader) feedLetter() (l store.FeedLetter) {
	l.Key = uint64(max(r.Int(), 0))
	l.Event = flat.Event(r.texts())
	l.Reason, l.Answer, l.Tries, l.At = r.Text(), []byte(r.Text()), int(r.Int()), r.Time()
	if r.Bool() {
		l.Since = r.Time()
	}
	l.Held = r.Bool()
	return l
}

// told is the event of a record, and false for a record without one.
func (r *entry) told() (ticket.Event, bool) {
	switch r.kind {
	case kindEvent:
		return r.event, true
	case kindTold:
	default:
		return ticket.Event{}, false
	}
	m, e := &r.mutation, r.event
	e.Kind = eventKinds[m.Kind]
	e.Ticket, e.Revision, e.Complete, e.By, e.Via = m.ID, r.revision, m.Kind == store.Create, m.By, m.Via
	e.At = time.UnixMicro(int64(m.Dated()))
	for _, f := range m.Fields {
		if len(f.Value.Text()) > store.MaxFeedValue {
			e.Omitted = append(e.Omitted, f.Name)
		} else {
			e.Fields = append(e.Fields, f)
		}
	}
	return e, true
}

var eventKinds = map[store.Kind]ticket.EventKind{
	store.Create: ticket.EventCreated, store.Begin: ticket.EventCreated,
	store.Set: ticket.EventUpdated, store.Delete: ticket.EventDeleted,
}
