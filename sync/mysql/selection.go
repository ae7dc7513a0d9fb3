package mysql

import (
	"slices"
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
	c, err := compared(d, f.Field)
	if err != nil {
		return err
	}
	if !f.Is.TakesList() {
		return w.bound(d, c, f)
	}
	var values []any
	var null bool
	for _, v := range f.Values {
		if v.IsNull() {
			null = true
			continue
		}
		value, err := operand(c, v)
		if err != nil {
			return err
		}
		values = append(values, value)
	}
	w.add(among(expression(d, c), f.Is == ticket.NotEqual, null, len(values)), values...)
	return nil
}

// among is the condition that an expression has one of n values, or NULL if null; or that the expression has none of the values.
// The two are each other's complement: NOT IN alone would find no NULL.
func among(expression string, negated, null bool, n int) string {
	is, in, joint := " IS NULL", " IN (", " OR "
	if negated {
		in = " NOT IN ("
	}
	if negated && null {
		is, joint = " IS NOT NULL", " AND "
	}
	var parts []string
	if negated || null {
		parts = append(parts, expression+is)
	}
	if n > 0 {
		parts = append(parts, expression+in+strings.Repeat("?,", n-1)+"?)")
	}
	return "(" + strings.Join(parts, joint) + ")"
}

// bound adds the condition that a field is on one side of a value.
func (w *conditions) bound(d *table.Definition, c *table.Column, f *ticket.Filter) error {
	v := f.Values[0]
	if v.IsNull() {
		return &table.FieldError{Field: f.Field, Rule: table.RuleFormat, Reason: "no value is above or below NULL"}
	}
	value, err := operand(c, v)
	if err != nil {
		return err
	}
	left := expression(d, c)
	switch c.Kind {
	case table.Integer:
		// Above the revision of a row that ticketd has not written, the column itself is compared: it has an index.
		low, is := value.(int64)
		if c == &revisionColumn && (!is || low > 1) && (f.Is == ticket.Above || f.Is == ticket.AtLeast) {
			left = revisionOf(d)
		}
	case table.Enum: // as tickets are sorted, by the order of the members
		text, _ := value.(string)
		left, value = left+"+0", slices.Index(c.Members, text)+1
	case table.Decimal, table.Float, table.Bit, table.Char, table.Varchar,
		table.Date, table.Datetime, table.Timestamp, table.Time, table.Year:
	default:
		return &table.FieldError{
			Field: f.Field, Rule: table.RuleFormat, Reason: "a column of this type has no order: " + string(c.Kind),
		}
	}
	w.add(left+" "+string(f.Is)+" ?", value)
	return nil
}

// What a filter can compare besides fields: the ticket's id and revision, whatever their columns are called.
var (
	idColumn       = table.Column{Field: "ticket_id", Name: "ticket_id", Kind: table.Integer, Bits: 64, Unsigned: true}
	revisionColumn = table.Column{Field: "revision", Name: "revision", Kind: table.Integer, Bits: 64, Unsigned: true}
)

// compared returns the column that a filter compares. A field has precedence over the names for id and revision.
func compared(d *table.Definition, field string) (*table.Column, error) {
	_, taken := d.Position(field)
	switch {
	case taken:
	case field == idColumn.Field:
		return &idColumn, nil
	case field == revisionColumn.Field:
		return &revisionColumn, nil
	}
	return asked(d, field)
}

// expression is what a filter on the column compares.
func expression(d *table.Definition, c *table.Column) string {
	switch c {
	case &idColumn:
		return quote(d.Key)
	case &revisionColumn: // as reads show it
		return "GREATEST(COALESCE(" + revisionOf(d) + ",0),1)"
	default:
		return quote(c.Name)
	}
}

// revisionOf is the expression for a row's revision in [source]; NULL or 0 if ticketd has not written the row.
func revisionOf(d *table.Definition) string {
	if d.Side != "" {
		return sideRevision
	}
	return quote(d.Revision)
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
