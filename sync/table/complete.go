package table

import (
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Complete makes the fields of a create, which [Definition.Check] has passed, the whole ticket: a column that was not
// given gets the table's default, CURRENT_TIMESTAMP is now, and the times of creation and last change are now whatever
// their default says. Columns that only the database can fill in stay out, see [Definition.Computes]. The last ones, as many as
// defaults says, are the table's defaults alone. The error is a [*FieldError] for a NOT NULL column that has no default and was
// not given.
func (d *Definition) Complete(fields ticket.Fields, now time.Time) (whole ticket.Fields, defaults int, err error) {
	whole = make(ticket.Fields, len(fields), len(fields)+len(d.Columns))
	copy(whole, fields)
	whole = d.Touch(d.stamped(d.CreatedAt, whole, now), now)
	known := len(whole)
	for i := range d.Columns {
		c := &d.Columns[i]
		if _, given := whole[:known].Get(c.Field); given || c.Generated {
			continue
		}
		v, told := c.initial(now)
		if !told && c.Required() {
			_, err := c.refuse(RuleRequired, "missing; the column is NOT NULL and has no default")
			return nil, 0, err
		}
		if told {
			whole = append(whole, ticket.Field{Name: c.Field, Value: v})
		}
	}
	return whole, len(whole) - known, nil
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

// Born returns the time of creation of a ticket that its first change, no create, has made at since, and the column of it; -1
// where the table has none, or the fields have it. It is never later than the time of the last change among the fields, which
// another clock may have read.
func (d *Definition) Born(fields ticket.Fields, since time.Time) (column int, v ticket.Value) {
	column, there := d.Position(d.CreatedAt)
	_, given := fields.Get(d.CreatedAt)
	if d.CreatedAt == "" || !there || given || since.IsZero() || d.Columns[column].Generated {
		return -1, ticket.Null
	}
	c := &d.Columns[column]
	v = c.stamp(since)
	changed, is := fields.Get(d.UpdatedAt)
	if at, known := d.Position(d.UpdatedAt); is && known && d.Columns[at].Kind == c.Kind && len(changed.Text()) == len(v.Text()) &&
		changed.Text() < v.Text() {
		v = changed
	}
	return column, v
}

// Touch sets the time of the last change where the table has that column and the caller did not give it.
func (d *Definition) Touch(fields ticket.Fields, now time.Time) ticket.Fields {
	return d.stamped(d.UpdatedAt, fields, now)
}

// stamped sets the field of a time where the table has it and the caller did not give it.
func (d *Definition) stamped(field string, fields ticket.Fields, now time.Time) ticket.Fields {
	if field == "" {
		return fields
	}
	if _, given := fields.Get(field); given {
		return fields
	}
	return append(fields, ticket.Field{Name: field, Value: d.Columns[d.byField[field]].stamp(now)})
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

// formatTime writes a time as the column holds it.
func (c *Column) formatTime(t time.Time) string { return string(c.appendTime(nil, t.UTC())) }
