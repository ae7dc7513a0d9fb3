package site

import (
	"context"
	"fmt"
	"sync"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// A ticket that fits no frame can never be read again, so a change that makes a ticket too large is refused. The check must know
// the ticket's size, but a change must not wait for MySQL. So the daemon remembers an upper bound on the size of each ticket that
// was changed lately. If the bound does not decide, the daemon looks at the ticket: in the store if the ticket is not remembered,
// and in MySQL as well before a large change of a ticket that the store does not hold whole.
const (
	// tinyChange is a change, in bytes, that needs no look: even a tiny change of each column does not reach the bound.
	tinyChange = 1 << 10
	// largeChange is a change, in bytes, that justifies a look at MySQL.
	largeChange = 64 << 10
	// maxSizes bounds the tickets that are remembered.
	maxSizes = 10_000
)

// extent is the size of a ticket.
type extent struct{ bytes, fields int }

func extentOf(fields ticket.Fields) (e extent) {
	for i := range fields {
		e.bytes += len(fields[i].Name) + len(fields[i].Value.Text())
	}
	e.fields = len(fields)
	return e
}

func (e extent) plus(other extent) extent {
	return extent{e.bytes + other.bytes, e.fields + other.fields}
}

func (e extent) fits() bool {
	return e.bytes <= protocol.MaxTicketBytes && e.fields <= protocol.MaxTicketFields
}

// sizes are upper bounds on the sizes of tickets: the size at the last look, plus all later changes.
type sizes struct {
	mu    sync.Mutex
	known map[ticket.ID]extent
}

// grow raises a ticket's bound if the ticket certainly fits afterwards. known: sizes has a bound for the ticket.
func (s *sizes) grow(id ticket.ID, by extent) (fits, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.known[id]
	if e = e.plus(by); !known || !e.fits() {
		return false, known
	}
	s.known[id] = e
	return true, true
}

func (s *sizes) put(id ticket.ID, e extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSizes {
		s.known = make(map[ticket.ID]extent)
	}
	s.known[id] = e
}

// refuseOutgrown refuses the sets of the batch that would make a ticket too large. A ticket that cannot be looked at is changed
// unchecked.
func (b *Batch) refuseOutgrown(ctx context.Context) {
	d, err := b.site.known()
	var pending map[ticket.ID]ticket.Fields // of this batch
	if len(b.changes) > 1 {
		pending = make(map[ticket.ID]ticket.Fields)
	}
	for i := range b.changes {
		c := &b.changes[i]
		if c.Kind != store.Set || c.outcome.Err != nil {
			continue
		}
		if c.outcome.Err = err; err == nil {
			c.outcome.Err = b.grow(ctx, d, &c.Mutation, pending)
		}
		if c.outcome.Err == nil && pending != nil {
			pending[c.ID] = merged(pending[c.ID], c.Fields)
		}
	}
}

func (b *Batch) grow(ctx context.Context, d *table.Definition, m *store.Mutation, pending map[ticket.ID]ticket.Fields) error {
	by := extentOf(m.Fields)
	if !by.fits() {
		return tooLarge(m.Fields, by)
	}
	if b.fits(d, m) {
		return nil
	}
	record, seen := b.sizable(ctx, d, m.ID, by.bytes > largeChange)
	if !seen {
		return nil
	}
	held := merged(record, pending[m.ID])
	before, after := extentOf(held), extentOf(merged(held, m.Fields))
	if !after.fits() && (after.bytes > before.bytes || after.fields > before.fields) { // a ticket that is too large may shrink
		return tooLarge(m.Fields, after)
	}
	b.site.sizes.put(m.ID, after)
	return nil
}

// fits says that a set certainly does not make the ticket too large, without a look at the ticket.
func (b *Batch) fits(d *table.Definition, m *store.Mutation) bool {
	by := extentOf(m.Fields)
	fits, known := b.site.sizes.grow(m.ID, by)
	return fits || !known && by.bytes <= tinyChange && onlyColumns(d, m.Fields)
}

// sizable returns the fields of a ticket, as far as known without a long wait.
func (b *Batch) sizable(ctx context.Context, d *table.Definition, id ticket.ID, whole bool) (ticket.Fields, bool) {
	records, err := b.site.Store.Get(ctx, []ticket.ID{id})
	if err != nil || records[0].Err != nil {
		return nil, false
	}
	r := &records[0]
	if whole && !settled(d, r) {
		if found, err := b.site.lookUpInHalf(ctx, id); err == nil {
			r = &found
		}
	}
	return r.Fields, true
}

// merged returns a copy of a ticket's fields after a change.
func merged(fields, changed ticket.Fields) ticket.Fields {
	at := make(map[string]int, len(fields)+len(changed))
	all := make(ticket.Fields, 0, len(fields)+len(changed))
	for _, part := range []ticket.Fields{fields, changed} {
		for _, f := range part {
			if i, there := at[f.Name]; there {
				all[i] = f
				continue
			}
			at[f.Name] = len(all)
			all = append(all, f)
		}
	}
	return all
}

func onlyColumns(d *table.Definition, fields ticket.Fields) bool {
	for i := range fields {
		if _, column := d.Position(fields[i].Name); !column {
			return false
		}
	}
	return true
}

// tooLarge refuses a change by the name of the bound and a field: the longest field, or the first if the ticket has too many
// fields.
func tooLarge(fields ticket.Fields, e extent) error {
	to := fields[0]
	if e.fields > protocol.MaxTicketFields {
		return &table.FieldError{Field: to.Name, Rule: table.RuleLength, Reason: fmt.Sprintf(
			"the ticket would have %d fields, and ticket_fields allows %d", e.fields, protocol.MaxTicketFields)}
	}
	for _, f := range fields {
		if len(f.Value.Text()) > len(to.Value.Text()) {
			to = f
		}
	}
	return &table.FieldError{Field: to.Name, Rule: table.RuleLength, Reason: fmt.Sprintf(
		"the ticket would have %d bytes, and ticket_bytes allows %d: shorten this or another field", e.bytes, protocol.MaxTicketBytes)}
}
