package mysql

import (
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// conditions are the parts of a WHERE; all parts must hold.
type conditions struct {
	parts []string
	args  []any
}

func (w *conditions) add(part string, args ...any) {
	w.parts = append(w.parts, part)
	w.args = append(w.args, args...)
}

func (w *conditions) text() string {
	if len(w.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.parts, " AND ")
}

// conditionsOf checks a selection against the table. The error is a [*table.FieldError].
func conditionsOf(d *table.Definition, s *ticket.Selection) (*conditions, error) {
	where := &conditions{}
	where.add(isTicket(d.Key))
	for i := range s.Where {
		if err := where.filter(d, &s.Where[i]); err != nil {
			return nil, err
		}
	}
	if err := where.period(d, "created_at", d.CreatedAt, s.Created); err != nil {
		return nil, err
	}
	if err := where.period(d, "updated_at", d.UpdatedAt, s.Updated); err != nil {
		return nil, err
	}
	for i := range s.Contains {
		if err := where.contained(d, &s.Contains[i]); err != nil {
			return nil, err
		}
	}
	if d.Side != "" && !s.Deleted {
		where.add("COALESCE(" + sideDeleted + ",0)=0")
	}
	if d.DeletedAt != "" && !s.Deleted {
		i, _ := d.Position(d.DeletedAt)
		where.add(present(&d.Columns[i]))
	}
	return where, nil
}

func (w *conditions) filter(d *table.Definition, f *ticket.Filter) error {
	c, err := asked(d, f.Field)
	if err != nil {
		return err
	}
	name := quote(c.Name)
	var values []any
	var either []string
	for _, v := range f.Values {
		if v.IsNull() {
			either = []string{name + " IS NULL"}
			continue
		}
		value, err := operand(c, v)
		if err != nil {
			return err
		}
		values = append(values, value)
	}
	if len(values) > 0 {
		either = append(either, name+" IN ("+strings.Repeat("?,", len(values)-1)+"?)")
	}
	w.add("("+strings.Join(either, " OR ")+")", values...)
	return nil
}

// period adds a condition on the time of the given meaning, in the table's field for that meaning.
func (w *conditions) period(d *table.Definition, meaning, field string, p ticket.Period) error {
	if p.Open() {
		return nil
	}
	if field == "" {
		return &table.FieldError{Field: meaning, Rule: table.RuleUnknown, Reason: "the table has no such column"}
	}
	c, err := asked(d, field)
	if err != nil {
		return err
	}
	for _, end := range []struct {
		value ticket.Value
		is    string
	}{{p.From, " >= ?"}, {p.Before, " < ?"}} {
		if end.value.IsNull() {
			continue
		}
		value, err := operand(c, end.value)
		if err != nil {
			return err
		}
		w.add(quote(c.Name)+end.is, value)
	}
	return nil
}

func (w *conditions) contained(d *table.Definition, c *ticket.Field) error {
	column, err := asked(d, c.Name)
	if err != nil {
		return err
	}
	switch column.Kind {
	case table.Char, table.Varchar, table.Text:
		// LOCATE has no wildcards, so the text needs no escapes.
		w.add("LOCATE(?,"+quote(column.Name)+")>0", c.Value.Text())
		return nil
	default:
		return &table.FieldError{Field: c.Name, Rule: table.RuleFormat, Reason: "only columns of text can be searched"}
	}
}

// asked returns the column of a field that can select tickets.
func asked(d *table.Definition, field string) (*table.Column, error) {
	i, there := d.Position(field)
	switch {
	case !there:
		return nil, &table.FieldError{
			Field: field, Rule: table.RuleUnknown, Reason: "the table has no such column; only columns can be asked for",
		}
	case d.Columns[i].Kind == table.JSON:
		return nil, &table.FieldError{Field: field, Rule: table.RuleFormat, Reason: "a JSON column cannot be asked for"}
	}
	return &d.Columns[i], nil
}

// operand returns the driver's argument for a comparison with a column. The value passes package table's checks, which write the
// value as the database does: so the comparison has the column's type, and a value that no row can have is an error with a
// reason.
func operand(c *table.Column, v ticket.Value) (any, error) {
	readable := *c
	readable.Generated = false // a generated column cannot be written, but can be selected by
	one := table.Definition{Table: "t", Key: "k", Revision: "r", Columns: []table.Column{readable}}
	if err := one.Prepare(); err != nil {
		return nil, err
	}
	checked, err := one.Check(ticket.Fields{{Name: c.Field, Value: v}})
	if err != nil {
		return nil, err
	}
	text := checked[0].Value.Text()
	if c.Kind == table.Float && c.Bits == 32 { // the column holds another number than the text: 0.1
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return float64(float32(f)), nil
		}
	}
	if c.Kind == table.Integer { // a number: the database would compare a text as a floating-point number
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, nil
		}
	}
	return argument(c, checked[0].Value), nil
}

// present returns the condition that a row carries no mark of a soft delete, as [unmarked] does for a value that was read.
func present(c *table.Column) string {
	name := quote(c.Name)
	switch c.Kind {
	case table.Integer, table.Decimal, table.Float, table.Bit:
		return "(" + name + " IS NULL OR " + name + "=0)"
	default:
		return "(" + name + " IS NULL OR CAST(" + name + " AS CHAR) NOT REGEXP '[^0:. -]')"
	}
}
