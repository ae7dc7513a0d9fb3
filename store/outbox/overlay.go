package outbox

import (
	"cmp"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// overlay is what waits in the journal, by ticket: what readers must see over the next store's state.
type overlay struct{ tickets map[ticket.ID]*waiting }

// waiting is one ticket's changes that wait.
type waiting struct {
	entries  int
	arrived  int             // entries that were taken away again
	last     uint64          // the sequence number of the newest entry
	born     ticket.Revision // when the first entry was accepted that made something wait, by the clocks
	since    time.Time       // when it came to this host
	revision ticket.Revision
	created  ticket.Revision // of a create that waits, as in [store.Claim]; zero where there is none
	made     ticket.Revision // when that create was acknowledged, by the clocks
	full     bool            // made by a create that waits
	stuck    error           // why the next store does not take its changes; nil where it does
	gone     ticket.Revision // the revision that deletes it, or zero
	changes  []change
}

// change is the newest value of one field.
type change struct {
	field    ticket.Field
	revision ticket.Revision
	yields   bool // a default, see [store.Mutation]
}

func newOverlay() *overlay {
	return &overlay{tickets: make(map[ticket.ID]*waiting)}
}

// add puts an entry over the ticket.
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

// remove takes the oldest entry of its ticket away: it has arrived. What later entries changed stays.
func (o *overlay) remove(e *entry) {
	w := o.tickets[e.mutation.ID]
	w.arrived++
	if w.entries--; w.entries == 0 {
		delete(o.tickets, e.mutation.ID)
		return
	}
	if e.mutation.Kind.Creates() {
		w.full, w.created, w.made = false, 0, 0 // the next store has it
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

// over puts what waits over a record of the next store. The next store may still make other changes below the revision that the
// record gets, so the record is behind, unless a create or a deletion waits: then there are no other changes.
func (w *waiting) over(r *store.Record) {
	if w.created != 0 && r.Held() && r.Born <= w.created { // another ticket, so that the create will get another id
		*r = store.Record{ID: r.ID, Err: r.Err}
	}
	whole := r.Full
	r.Behind = true
	if w.full { // what the next store seems to hold is from before the create, which is nothing
		r.Full, r.Behind = true, false
	}
	if w.gone != 0 {
		r.Deleted, r.Behind = true, false
	}
	for _, c := range w.changes {
		if _, held := r.Fields.Get(c.field.Name); c.yields && (held || whole) {
			continue
		}
		r.Fields = r.Fields.With(c.field.Name, c.field.Value)
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
