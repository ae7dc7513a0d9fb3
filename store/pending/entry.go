package pending

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// entry is a ticket. Times are in µs since 1970.
type entry struct {
	id       ticket.ID
	revision ticket.Revision
	fields   []field         // by name
	deleted  ticket.Revision // the revision that deleted the ticket, while the next place does not have the deletion
	born     ticket.Revision // when the mutation that made the entry was accepted, by the clocks; 0: a row did
	made     bool            // a create made the ticket, at born
	created  ticket.Revision // see [store.Claim].Created, while the next place does not have the create
	since    int64
	due      int64
	letter   *ticket.Letter
	full     bool
	gone     bool
	had      bool // the next place had the ticket, which clean fields or full do not show any more

	// Where the entry is in the store's indexes.
	home           *chain[entry]
	links          links[entry]
	byDue, bySince int
	pin            uint64
	weight         int64
}

// field is a field of a ticket. A NULL value was set to NULL or read as NULL.
type field struct {
	name    string
	value   ticket.Value
	changed ticket.Revision // the revision that last changed the field, while the next place does not have it; 0: clean
}

func (f *field) dirty() bool { return f.changed != 0 }

func (f *field) clean() bool { return f.changed == 0 }

func (e *entry) dirty() bool {
	return e.deleted != 0 || slices.ContainsFunc(e.fields, func(f field) bool { return f.changed != 0 })
}

// set changes a field.
func (e *entry) set(f field) {
	at, there := slices.BinarySearchFunc(e.fields, f.name, func(f field, name string) int { return cmp.Compare(f.name, name) })
	if there {
		e.fields[at] = f
	} else {
		e.fields = slices.Insert(e.fields, at, f)
	}
}

// revive ends a dead letter.
func (e *entry) revive() {
	e.had = e.had || (e.letter != nil && e.letter.Code == ticket.RowVanished)
	e.letter = nil
}

// bury forgets all changes before a deletion: no place may receive these changes any more.
func (e *entry) bury(revision ticket.Revision) {
	e.gone, e.deleted, e.full = true, revision, false
	clear(e.fields)
	e.fields = e.fields[:0]
}

// values returns the fields that which selects, by name.
func (e *entry) values(which func(*field) bool) ticket.Fields {
	values := make(ticket.Fields, 0, len(e.fields))
	for i := range e.fields {
		if f := &e.fields[i]; which(f) {
			values = append(values, ticket.Field{Name: f.name, Value: f.value})
		}
	}
	return values
}

func (e *entry) claim() store.Claim {
	if e.deleted != 0 { // an earlier version kept the changes from before the deletion
		e.fields = slices.DeleteFunc(e.fields, func(f field) bool { return f.changed < e.deleted })
	}
	changed, clean, full := e.values((*field).dirty), e.values((*field).clean), e.full
	return store.Claim{
		ID: e.id, Revision: e.revision, Newest: e.revision, Deleted: e.deleted != 0, Created: e.created,
		Due: time.UnixMicro(e.due), Since: time.UnixMicro(e.since), Fields: changed, All: changed,
		Confirmed: full || e.had || len(clean) > 0,
		Rest:      func(context.Context) (ticket.Fields, bool, error) { return clean, full, nil },
	}
}

// sinceOf is when a change was made, to the millisecond, as in all stores.
func sinceOf(proposed ticket.Revision) int64 { return int64(proposed) / 1000 * 1000 }
