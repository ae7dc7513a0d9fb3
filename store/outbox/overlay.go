package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// overlay holds the pending changes in the journal by ticket, for reads that cannot wait until the next store has these changes.
type overlay struct{ tickets map[ticket.ID]*waiting }

// waiting are a ticket's pending changes.
type waiting struct {
	entries  int
	arrived  int             // entries that were removed again
	last     uint64          // the sequence number of the newest entry
	born     ticket.Revision // when the first pending entry was accepted, by the clocks
	since    time.Time       // when that entry came to this host
	revision ticket.Revision
	created  ticket.Revision // of a pending create, as in [store.Claim]; zero without a create
	made     ticket.Revision // when that create was acknowledged, by the clocks
	full     bool            // made by a pending create
	stuck    error           // why the next store does not take the changes; nil if not stuck
	gone     ticket.Revision // the revision that deletes the ticket, or zero
	changes  []change
}

// change is the newest value of a field.
type change struct {
	field    ticket.Field
	revision ticket.Revision
	yields   bool // a default, see [store.Mutation]
}

func newOverlay() *overlay {
	return &overlay{tickets: make(map[ticket.ID]*waiting)}
}

// add adds an entry to the pending changes of its ticket.
func (o *overlay) add(e *entry) {
	m := &e.mutation
	w := o.tickets[m.ID]
	if w == nil {
		w = &waiting{born: m.Dated(), since: changedAt(m).Truncate(time.Millisecond)}
		o.tickets[m.ID] = w
	}
	w.entries++
	w.last, w.revision = e.sequence, e.revision
	switch m.Kind {
	case store.Create:
		w.full = true
	case store.Delete:
		w.gone = e.revision
	case store.Set, store.Begin:
	}
	if m.Kind.Creates() && w.created == 0 {
		w.created, w.made = m.Since(true), m.Dated()
	}
	given := len(m.Fields) - m.Defaults
	for i, f := range m.Fields {
		if yields := i >= given; !yields || !w.has(f.Name) {
			w.put(change{f, e.revision, yields})
		}
	}
}

func (w *waiting) has(field string) bool {
	return slices.ContainsFunc(w.changes, func(c change) bool { return c.field.Name == field })
}

func (w *waiting) put(c change) {
	for i := range w.changes {
		if w.changes[i].field.Name == c.field.Name {
			w.changes[i] = c
			return
		}
	}
	w.changes = append(w.changes, c)
}

// remove removes the oldest entry of its ticket, which has arrived. The changes of later entries stay.
func (o *overlay) remove(e *entry) {
	w := o.tickets[e.mutation.ID]
	w.arrived++
	if w.entries--; w.entries == 0 {
		delete(o.tickets, e.mutation.ID)
		return
	}
	if e.mutation.Kind.Creates() {
		w.full, w.created, w.made = false, 0, 0 // the next store has the create
	}
	kept := w.changes[:0]
	for _, c := range w.changes {
		if c.revision > e.revision {
			kept = append(kept, c)
		}
	}
	clear(w.changes[len(kept):])
	w.changes = kept
}

// over puts the pending changes over a record of the next store. The next store may still make other changes below the revision
// that the record gets, so the record is Behind. With a pending create or deletion the next store has no other changes to make,
// and the record is not Behind.
func (w *waiting) over(r *store.Record) {
	if w.created != 0 && r.Held() && r.Born <= w.created { // a different ticket, so that the create will get a new id
		*r = store.Record{ID: r.ID, Err: r.Err}
	}
	whole := r.Full
	r.Behind = true
	if w.full { // the ticket did not exist before the create
		r.Full, r.Behind = true, false
	}
	if w.gone != 0 {
		r.Deleted, r.Behind = true, false
	}
	for _, c := range w.changes {
		if _, held := r.Fields.Get(c.field.Name); c.yields && (held || whole) {
			continue
		}
		r.Change(c.field)
	}
	if r.Created == 0 {
		r.Created = w.created
	}
	if !r.Dirty || r.Since.IsZero() {
		r.Since = w.since
	}
	r.Revision = max(r.Revision, w.revision)
	r.Dirty, r.Queued = true, true
}

// changedAt is when a change came to this host.
func changedAt(m *store.Mutation) time.Time { return time.UnixMicro(int64(cmp.Or(m.At, m.Proposed))) }
