package pending

import (
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/requests"
)

// State is a dirty ticket's whole state, which a log writes once more before the log removes a segment.
type State struct {
	ID         ticket.ID
	Revision   ticket.Revision
	Full, Gone bool
	Had        bool // the next place had the ticket, which Full and clean fields do not show any more
	// Deleted is the revision that deleted the ticket, if the next place does not have this deletion yet.
	Deleted ticket.Revision
	// Born is the revision at which a mutation made the entry, Created the revision of a create that the next place does not have
	// yet; zero: no such mutation.
	Born, Created ticket.Revision
	Since, Due    time.Time
	Letter        *ticket.Letter // nil: not a dead letter
	Fields        []FieldState
}

// FieldState is a field of a State.
type FieldState struct {
	Name  string
	Value ticket.Value
	// Changed is the revision that changed the field, if the next place does not have this change yet; otherwise zero.
	Changed ticket.Revision
}

func (e *entry) state() State {
	s := State{
		ID: e.id, Revision: e.revision, Full: e.full, Gone: e.gone, Had: e.had, Deleted: e.deleted, Born: e.born, Created: e.created,
		Since: time.UnixMicro(e.since), Due: time.UnixMicro(e.due), Letter: e.letter, Fields: make([]FieldState, len(e.fields)),
	}
	for i, f := range e.fields {
		s.Fields[i] = FieldState{Name: f.name, Value: f.value, Changed: f.changed}
	}
	return s
}

// Replay makes a mutation with a known outcome, read from a log. The request id is remembered until expires.
func (s *Store) Replay(m *store.Mutation, outcome store.Outcome, expires time.Time, segment uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.make(m, outcome.Revision, segment)
	if m.RequestID != "" {
		s.remember(m, outcome, expires, segment)
	}
}

// Restore replaces a dirty ticket's state. Fields of a known ticket that the new state does not name stay, so that a large state
// may come in parts.
func (s *Store) Restore(state *State, segment uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(state.ID)
	e.revision, e.full, e.gone, e.deleted = state.Revision, state.Full, state.Gone, state.Deleted
	e.born, e.created, e.had = state.Born, state.Created, state.Had
	if e.gone {
		s.bury(e.id, segment)
	}
	e.since, e.due, e.letter = state.Since.UnixMicro(), state.Due.UnixMicro(), state.Letter
	for _, f := range state.Fields {
		e.set(field{name: s.name(f.Name), value: f.Value, changed: f.Changed})
	}
	s.highest = max(s.highest, e.revision)
	s.settle(e)
	s.pin(e, segment)
}

// Remember puts remembered requests back that were read from a log.
func (s *Store) Remember(remembered []requests.Request, segment uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range remembered {
		s.requests.Put(s.opts.Now(), r, segment)
	}
}

// Needs is the content that a segment of a log is needed for.
type Needs struct {
	States   []State
	Requests []requests.Request
	Graves   []Grave
}

// Oldest returns the content that a log's oldest needed segment is needed for: up to limit dirty tickets, but few large tickets,
// up to limit remembered requests, and up to limit buckets of tombstones. segment is the number of that segment; some is false if
// no segment is needed.
func (s *Store) Oldest(limit int) (needs Needs, segment uint64, some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if segment, some = s.needed(); !some {
		return Needs{}, 0, false
	}
	var states []State
	bytes := int64(0)
	for e := s.dirty.first; e != nil && e.pin == segment && len(states) < limit && bytes < maxOldest; e = e.links.after {
		states = append(states, e.state())
		bytes += e.weight
	}
	return Needs{states, s.requests.In(segment, limit), s.oldestGraves(segment, limit)}, segment, true
}

// maxOldest is how many bytes of tickets Oldest collects before it stops.
const maxOldest = 1 << 20

// Needed returns the number of the first segment that is still needed, or false if no segment is needed.
func (s *Store) Needed() (segment uint64, some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.needed()
}

func (s *Store) needed() (segment uint64, some bool) {
	s.requests.Expire(s.opts.Now())
	if e := s.dirty.first; e != nil {
		segment, some = e.pin, true
	}
	if first, remembered := s.requests.Needed(); remembered && (!some || first < segment) {
		segment, some = first, true
	}
	if g := s.bySegment.first; g != nil && (!some || g.pin < segment) {
		segment, some = g.pin, true
	}
	return segment, some
}

// Moved records that the content that Oldest returned has been written to a later segment. Moved skips tickets that have changed
// since.
func (s *Store) Moved(needs Needs, segment uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.movedGraves(needs.Graves, segment)
	for i := range needs.States {
		state := &needs.States[i]
		if e := s.tickets[state.ID]; e != nil && e.home == &s.dirty && e.revision == state.Revision {
			s.pin(e, segment)
		}
	}
	s.requests.Moved(needs.Requests, segment)
}

// pin moves a dirty ticket to a later segment. Segment numbers only grow, so the chain stays ordered by segment.
func (s *Store) pin(e *entry, segment uint64) {
	if e.home == &s.dirty {
		e.pin = segment
		s.move(e, &s.dirty)
	}
}

// Size are the store's counts for a log.
type Size struct {
	// Dirty counts the dirty tickets, dead letters included; Requests the remembered requests.
	Dirty, Requests int
	// Buried counts the tombstones.
	Buried int
	// Bytes is about how many bytes tickets, requests and tombstones take in a log.
	Bytes int64
	// Highest is the highest revision assigned or seen.
	Highest ticket.Revision
}

// Size returns the store's counts.
func (s *Store) Size() Size {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Size{
		Dirty: s.dirty.length, Requests: s.requests.Len(), Buried: s.graves.Count(), Highest: s.highest,
		Bytes: s.weight + requestWeight*int64(s.requests.Len()) + int64(len(s.engraved))*graveWeight,
	}
}

// Raise makes every later revision greater than floor.
func (s *Store) Raise(floor ticket.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.highest = max(s.highest, floor)
}

// Lift raises the revisions of all pending changes from revision from on above floor, in the same order; later changes get higher
// revisions still. Lift returns the tickets with new revisions.
func (s *Store) Lift(from, floor ticket.Revision) []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if floor < from {
		return nil
	}
	by := floor + 1 - from
	s.highest = max(s.highest+by, floor)
	lift := func(r *ticket.Revision) {
		if *r >= from {
			*r += by
		}
	}
	var lifted []State
	for e := s.dirty.first; e != nil; e = e.links.after {
		if e.revision < from {
			continue
		}
		lift(&e.revision)
		lift(&e.deleted)
		lift(&e.born)
		lift(&e.created)
		for i := range e.fields {
			lift(&e.fields[i].changed)
		}
		lifted = append(lifted, e.state())
	}
	return lifted
}

// oldestGraves returns up to limit buckets whose tombstones a segment is needed for.
func (s *Store) oldestGraves(segment uint64, limit int) []Grave {
	var buckets []Grave
	for g := s.bySegment.first; g != nil && g.pin == segment && len(buckets) < limit; g = g.links.after {
		buckets = append(buckets, Grave{g.number, s.graves.Bitmap(g.number)})
	}
	return buckets
}

// movedGraves records that the buckets that oldestGraves returned are in a later segment.
func (s *Store) movedGraves(buckets []Grave, segment uint64) {
	for i := range buckets {
		if g := s.engraved[buckets[i].Number]; g != nil {
			s.bySegment.remove(g)
			g.pin = segment
			s.bySegment.push(g)
		}
	}
}
