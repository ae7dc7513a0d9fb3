package pending

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/graves"
	"github.com/ticketd/ticketd/store/requests"
)

// Options of a store.
type Options struct {
	// Now is the clock by which request ids are forgotten; nil means [time.Now].
	Now func() time.Time
	// MaxDirty bounds the dirty tickets; beyond MaxDirty a change of a clean ticket fails with [store.ErrFull]. 0: no bound.
	MaxDirty int
	// Quota is a second bound on the dirty tickets, with [store.ErrQuota]. 0: no bound.
	Quota int
	// MaxClean bounds the clean tickets; the least recently used tickets are forgotten first. 0 means 10,000.
	MaxClean int
	// MaxRequests bounds the remembered request ids; beyond MaxRequests a change with a new request id fails with [store.ErrFull],
	// until a remembered id expires. 0 means [MaxRequests].
	MaxRequests int
}

// MaxRequests is the default of [Options].MaxRequests.
const MaxRequests = 4_000_000

// Store keeps tickets in memory. Store is safe for concurrent use; the zero value is not usable, see [New].
type Store struct {
	opts Options

	mu       sync.Mutex
	tickets  map[ticket.ID]*entry
	names    map[string]string // a single copy of each field name
	highest  ticket.Revision   // the highest revision assigned or seen
	dirty    chain[entry]      // by pin
	clean    chain[entry]      // by use, the latest last
	byDue    order[*entry]     // the queued entries
	bySince  order[*entry]     // the queued entries
	dead     map[ticket.ID]*entry
	requests requests.Table
	weight   int64 // of the dirty entries

	graves    graves.Set // the tombstones
	engraved  map[uint64]*grave
	bySegment chain[grave] // of the log

	feed *Feed
}

var _ store.Store = (*Store)(nil)

// New makes an empty store with the defaults.
func New() *Store { return NewWith(Options{}) }

// NewWith makes an empty store.
func NewWith(o Options) *Store {
	o.MaxClean = cmp.Or(o.MaxClean, 10_000)
	o.MaxRequests = cmp.Or(o.MaxRequests, MaxRequests)
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{opts: o, tickets: map[ticket.ID]*entry{}, names: map[string]string{}, dead: map[ticket.ID]*entry{}}
	entryLinks := func(e *entry) *links[entry] { return &e.links }
	s.dirty.links, s.clean.links = entryLinks, entryLinks
	s.byDue = order[*entry]{less: dueBefore, place: func(e *entry) *int { return &e.byDue }}
	s.bySince = order[*entry]{
		less:  func(a, b *entry) bool { return a.since < b.since },
		place: func(e *entry) *int { return &e.bySince },
	}
	s.engraved = map[uint64]*grave{}
	s.feed = newFeed(o.Now)
	s.bySegment.links = func(g *grave) *links[grave] { return &g.links }
	return s
}

func dueBefore(a, b *entry) bool {
	return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id)) < 0
}

// Get implements [store.Tickets].
func (s *Store) Get(_ context.Context, ids []ticket.ID) ([]store.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := make([]store.Record, len(ids))
	for i, id := range ids {
		records[i].ID = id
		if e := s.tickets[id]; e != nil {
			fields, changed := e.changedFirst()
			records[i] = store.Record{
				ID: id, Revision: e.revision, Full: e.full, Deleted: e.gone, Dirty: e.dirty(), Had: e.had, Created: e.created, Born: e.born,
				Fields: fields, Changed: changed,
			}
			if e.dirty() {
				records[i].Since = time.UnixMicro(e.since)
			}
			s.used(e)
		}
	}
	return records, nil
}

// Fill implements [store.Tickets].
func (s *Store) Fill(_ context.Context, rows []store.Record, bases []ticket.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rows {
		s.fill(&rows[i], bases[i])
	}
	return nil
}

func (s *Store) fill(row *store.Record, base ticket.Revision) {
	e := s.tickets[row.ID]
	switch {
	case e == nil && base == 0:
		e = s.entry(row.ID)
	case e == nil || e.revision != base:
		return
	case e.dirty(), row.Revision < base: // Only a row of the same revision is known to have what was acked.
		return
	}
	e.revision = max(base, row.Revision)
	s.highest = max(s.highest, e.revision)
	e.full, e.gone = true, e.gone || row.Deleted
	e.fields = e.fields[:0]
	for _, f := range row.Fields {
		e.set(field{name: s.name(f.Name), value: f.Value})
	}
	if e.gone {
		s.graves.Add(e.id)
	} else {
		s.graves.Remove(e.id)
	}
	s.settle(e)
}

// entry returns the entry of a ticket, or makes an entry, which is in no index before settle.
func (s *Store) entry(id ticket.ID) *entry {
	e := s.tickets[id]
	if e == nil {
		e = &entry{id: id}
		s.tickets[id] = e
	}
	return e
}

// name returns the copy of a field name that all tickets share.
func (s *Store) name(name string) string {
	if known, is := s.names[name]; is {
		return known
	}
	name = strings.Clone(name) // the name may be a part of a request, which must not stay in memory
	if len(s.names) < maxNames {
		s.names[name] = name
	}
	return name
}

// maxNames bounds the shared names, far above the number of any table's columns.
const maxNames = 10_000

// settle updates the indexes for an entry that has changed.
func (s *Store) settle(e *entry) {
	dirty := e.dirty()
	if dirty && e.letter == nil {
		s.byDue.put(e)
		s.bySince.put(e)
	} else {
		s.byDue.remove(e)
		s.bySince.remove(e)
	}
	if dirty && e.letter != nil {
		s.dead[e.id] = e
	} else {
		delete(s.dead, e.id)
	}
	home := &s.clean
	if dirty {
		home = &s.dirty
	}
	if e.home != home || !dirty {
		s.move(e, home)
	}
	s.weigh(e, dirty)
	if s.clean.length > s.opts.MaxClean {
		s.forget(s.clean.first)
	}
}

// move puts an entry at the end of a chain.
func (s *Store) move(e *entry, home *chain[entry]) {
	if e.home != nil {
		e.home.remove(e)
	}
	e.home = home
	home.push(e)
}

// used records that a ticket was read.
func (s *Store) used(e *entry) {
	if e.home == &s.clean {
		s.move(e, &s.clean)
	}
}

// forget removes a ticket from the store and all indexes.
func (s *Store) forget(e *entry) {
	s.byDue.remove(e)
	s.bySince.remove(e)
	delete(s.dead, e.id)
	s.weigh(e, false)
	e.home.remove(e)
	delete(s.tickets, e.id)
}

// weigh counts the bytes that the dirty tickets need in a log.
func (s *Store) weigh(e *entry, dirty bool) {
	weight := int64(0)
	if dirty {
		weight = entryWeight
		for _, f := range e.fields {
			weight += int64(fieldWeight + len(f.name) + len(f.value.Text()))
		}
		if e.letter != nil {
			weight += int64(letterWeight + len(e.letter.Reason))
		}
	}
	s.weight += weight - e.weight
	e.weight = weight
}

// The bytes that a log needs beside the texts. If these numbers were an eighth too small, a nearly full log would be rewritten
// for ever; the larger the numbers, the more of the log counts as needed.
const (
	entryWeight   = 52
	fieldWeight   = 12
	letterWeight  = 40
	requestWeight = 46
)

// changedFirst returns all fields, by name, those with a pending change first, and the number of these.
func (e *entry) changedFirst() (fields ticket.Fields, changed int) {
	fields = e.values((*field).dirty)
	changed = len(fields)
	if changed == len(e.fields) {
		return fields, changed
	}
	for i := range e.fields {
		if f := &e.fields[i]; f.clean() {
			fields = append(fields, ticket.Field{Name: f.name, Value: f.value})
		}
	}
	return fields, changed
}
