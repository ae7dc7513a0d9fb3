package table

import (
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Complete turns the fields of a create, which [Definition.Check] has passed, into the whole ticket: a column that was not given
// gets the table's default, CURRENT_TIMESTAMP is now, and the times of creation and last change are now whatever their defaults.
// Columns that only the database can fill in stay out, see [Definition.Computes]. The last fields, as many as defaults says, are
// the table's defaults. The error is a [*FieldError] for a NOT NULL column that has no default and was not given.
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

// initial returns the column's value when a create leaves the column out; false if only the database knows the value.
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

// Born returns the time of creation, and its column, of a ticket that began at since with a change that is no create; the column
// is -1 if the table has no such column or the fields include the time. The time is never later than the time of the last change
// in the fields, which may come from another clock.
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

// Touch sets the time of the last change if the table has that column and the caller did not give the time.
func (d *Definition) Touch(fields ticket.Fields, now time.Time) ticket.Fields {
	return d.stamped(d.UpdatedAt, fields, now)
}

// stamped sets a time's field if the table has the field and the caller did not give the time.
func (d *Definition) stamped(field string, fields ticket.Fields, now time.Time) ticket.Fields {
	if field == "" {
		return fields
	}
	if _, given := fields.Get(field); given {
		return fields
	}
	return append(fields, ticket.Field{Name: field, Value: d.Columns[d.byField[field]].stamp(now)})
}

// SoftDelete returns the fields that mark a ticket as deleted; false if the table has no column for the mark, so that a deletion
// removes the row.
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
		if err != nil { // too narrow for a time; 1 still marks the event
			return ticket.Text("1")
		}
		return v
	default:
		return ticket.Text(c.formatTime(now))
	}
}

// formatTime writes a time as the column holds it.
func (c *Column) formatTime(t time.Time) string { return string(c.appendTime(nil, t.UTC())) }
