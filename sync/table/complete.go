package table

import (
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Complete makes the fields of a create, which [Definition.Check] has passed, the whole ticket: a column that was not
// given gets the table's default, CURRENT_TIMESTAMP is now, and the times of creation and last change are now whatever
// their default says. Columns that only the database can fill in stay out, see [Definition.Computes]. The error is a
// [*FieldError] for a NOT NULL column that has no default and was not given.
func (d *Definition) Complete(fields ticket.Fields, now time.Time) (ticket.Fields, error) {
	whole := make(ticket.Fields, len(fields), len(fields)+len(d.Columns))
	copy(whole, fields)
	for i := range d.Columns {
		c := &d.Columns[i]
		if _, given := fields.Get(c.Field); given || c.Generated {
			continue
		}
		v, known := c.initial(now)
		if c.Field == d.CreatedAt || c.Field == d.UpdatedAt {
			v, known = c.stamp(now), true
		}
		if !known && c.Required() {
			_, err := c.refuse(RuleRequired, "missing; the column is NOT NULL and has no default")
			return nil, err
		}
		if known {
			whole = append(whole, ticket.Field{Name: c.Field, Value: v})
		}
	}
	return whole, nil
}

// initial returns what the column holds when a create leaves it out, where that is known here.
func (c *Column) initial(now time.Time) (ticket.Value, bool) {
	switch c.Default.Source {
	case Literal:
		return ticket.Text(c.Default.Text), true
	case NullValue:
		return ticket.Null, true
	case Now:
		return c.stamp(now), true
	default:
		return ticket.Null, false
	}
}

// Touch sets the time of the last change where the table has that column and the caller did not give it.
func (d *Definition) Touch(fields ticket.Fields, now time.Time) ticket.Fields {
	if d.UpdatedAt == "" {
		return fields
	}
	if _, given := fields.Get(d.UpdatedAt); given {
		return fields
	}
	return append(fields, ticket.Field{Name: d.UpdatedAt, Value: d.Columns[d.byField[d.UpdatedAt]].stamp(now)})
}

// SoftDelete returns the fields that mark a ticket as deleted; false where the table has no column for that, so that
// the row itself has to go.
func (d *Definition) SoftDelete(now time.Time) (ticket.Fields, bool) {
	if d.DeletedAt == "" {
		return nil, false
	}
	stamp := d.Columns[d.byField[d.DeletedAt]].stamp(now)
	return d.Touch(ticket.Fields{{Name: d.DeletedAt, Value: stamp}}, now), true
}

// stamp writes a moment as the column holds it: in the database's form, UTC, or as seconds since 1970 in a numeric
// column.
func (c *Column) stamp(now time.Time) ticket.Value {
	switch c.Kind {
	case Integer, Decimal, Float, Bit:
		v, err := c.check(ticket.Text(strconv.FormatInt(now.Unix(), 10)))
		if err != nil { // too narrow for a time; 1 still says "it happened"
			return ticket.Text("1")
		}
		return v
	default:
		return ticket.Text(c.formatTime(now))
	}
}
