package site

import (
	"strconv"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/table"
)

// spare is room for the fields that the daemon adds itself.
const spare = 2

func fromWire(wire []protocol.Field) ticket.Fields {
	fields := make(ticket.Fields, len(wire), len(wire)+spare)
	for i, f := range wire {
		fields[i] = ticket.Field{Name: f.Name, Value: valueOf(f.Value)}
	}
	return fields
}

func valueOf(wire protocol.Value) ticket.Value {
	if wire.IsNull() {
		return ticket.Null
	}
	return ticket.Text(wire.Text())
}

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

func wireValue(d *table.Definition, f ticket.Field) protocol.Value {
	if f.Value.IsNull() {
		return protocol.Null
	}
	text := f.Value.Text()
	if d.IsInteger(f.Name) {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return protocol.Int(n)
		}
	}
	return protocol.Text(text)
}

// fromRows makes records of rows. A row that ticketd has never written has the revision 0, which in a record means "not held".
func fromRows(rows []mysql.Row) []store.Record {
	records := make([]store.Record, len(rows))
	for i := range rows {
		records[i] = fromRow(&rows[i])
	}
	return records
}

func fromRow(r *mysql.Row) store.Record {
	return store.Record{ID: r.ID, Revision: max(r.Revision, unwritten), Full: true, Deleted: r.Deleted, Fields: r.Fields}
}
