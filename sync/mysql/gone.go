package mysql

import (
	"context"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// A change carries only the fields that changed, so that inserted alone it makes a row without the rest of its ticket. That is
// right for an id that no ticket had. Where the store has confirmed fields of the ticket, the row has vanished: another program
// deleted it, or MySQL was restored or failed over to a time before it. Then the ticket is written whole where the store holds it
// whole, and is a dead letter where not.

// vanished is what the store holds of a ticket whose row has vanished.
type vanished struct {
	// rest are the fields beside those that changed; whole says that they and the changes are the whole ticket.
	rest  ticket.Fields
	whole bool
	// unread says that the store did not answer: the change is not written, and is claimed again.
	unread bool
}

// gone returns the tickets that had a row, as the store knows, and have none. A batch costs one look-up by key, before any
// statement writes: MySQL does not tell an inserted row from an updated row, and other clients would see the inserted row.
func (w *write) gone(ctx context.Context, d *table.Definition, changes []store.Claim) (map[ticket.ID]vanished, error) {
	gone := make(map[ticket.ID]vanished)
	rows := make([]row, 0, len(changes))
	for i := range changes {
		if changes[i].Follows() {
			rows = append(rows, row{id: changes[i].ID})
			gone[changes[i].ID] = vanished{}
		}
	}
	for part := range slices.Chunk(rows, w.db.config.MaxRows) {
		there, err := w.present(ctx, w.db.pool, d, pointers(part))
		if err != nil {
			return nil, w.db.failure("look for rows", err)
		}
		for id := range there {
			delete(gone, id)
		}
	}
	for i := range changes {
		c := &changes[i]
		if _, is := gone[c.ID]; is {
			rest, whole, err := c.Rest(ctx)
			gone[c.ID] = vanished{rest, whole, err != nil}
		}
	}
	return gone, nil
}

// whole returns all fields of a ticket that the store holds whole, as a row that is inserted must have them. What the database
// computes is left to it, and so is a column that the copy lacks and may be older than; the mark of a deletion is the change's
// alone.
func whole(d *table.Definition, c *store.Claim, rest ticket.Fields) ticket.Fields {
	fields := slices.Clone(c.All)
	for _, f := range rest {
		column, there := d.Position(f.Name)
		switch {
		case !there && d.Extra == "", there && d.Columns[column].Generated, f.Name == d.DeletedAt:
		default:
			fields = fields.With(f.Name, f.Value)
		}
	}
	for i := range d.Columns {
		column := &d.Columns[i]
		if column.Generated || column.Field == d.DeletedAt || strings.HasPrefix(column.Field, "_") {
			continue
		}
		if _, given := fields.Get(column.Field); !given && column.AbsentIsNull() {
			fields = append(fields, ticket.Field{Name: column.Field, Value: ticket.Null})
		}
	}
	return fields
}

// absent says, as the server would, why a change that inserts no row is not made where there is none.
func (g *group) absent() *driver.MySQLError {
	if g.gone {
		return &driver.MySQLError{
			Number: errVanished,
			Message: "the row does not exist any more: another program deleted it, or MySQL is a copy from before it; ticketd does " +
				"not hold the ticket's other fields: insert the row and retry the dead letter, or drop it, which gives the change up",
		}
	}
	return &driver.MySQLError{
		Number:  errNoDefault,
		Message: "the row does not exist, and the change leaves out columns that are NOT NULL without a default",
	}
}
