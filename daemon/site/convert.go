package site

import (
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

func idsOf(wire []int64) []ticket.ID {
	ids := make([]ticket.ID, len(wire))
	for i, id := range wire {
		ids[i] = ticket.ID(id)
	}
	return ids
}

// toWire makes a whole ticket of a record: columns that it does not name are NULL, integer columns are integers.
func toWire(d *table.Definition, r *store.Record) *protocol.Ticket {
	t := &protocol.Ticket{
		ID: int64(r.ID), Revision: int64(r.Revision), Fields: make([]protocol.Field, 0, len(d.Columns)), Stale: r.Behind,
	}
	for _, f := range r.Fields {
		if _, column := d.Position(f.Name); !column && f.Value.IsNull() {
			continue // a field without a column that was set to nil is no field any more, wherever the ticket is
		}
		t.Fields = append(t.Fields, protocol.Field{Name: f.Name, Value: wireValue(d, f)})
	}
	for i := range d.Columns {
		if name := d.Columns[i].Field; !named(r.Fields, name) {
			t.Fields = append(t.Fields, protocol.Field{Name: name})
		}
	}
	return t
}

func named(fields ticket.Fields, name string) bool {
	_, there := fields.Get(name)
	return there
}

// wireValue is a field's value as it travels: an integer column's as an integer.
func wireValue(d *table.Definition, f ticket.Field) ticket.Value {
	if d.IsInteger(f.Name) {
		return f.Value.AsInt()
	}
	return f.Value
}

// asHeld makes records of a store of rows: one that ticketd has never written has the revision 0, which there means "not held".
func asHeld(rows []store.Record) []store.Record {
	for i := range rows {
		rows[i].Revision = max(rows[i].Revision, unwritten)
	}
	return rows
}
