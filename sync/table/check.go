package table

import (
	"strings"
	"unicode/utf8"

	"github.com/ticketd/ticketd/internal/ticket"
)

// maxNameChars bounds the name of a field without a column, in characters: as long as a column's name may be.
const maxNameChars = 64

// deletedAt is the field that marks a deletion in ticketd's own table. It is refused in tables without it, too: there a deletion
// removes the row, and the field would be one of the extra fields that says nothing.
const deletedAt = "deleted_at"

// Check refuses, with a [*FieldError], the first field that the table would refuse, and rewrites in place the values
// that the database would hold as another text. The fields are returned for convenience; nothing is allocated for
// values that stay as they are.
func (d *Definition) Check(fields ticket.Fields) (ticket.Fields, error) {
	for i := range fields {
		f := &fields[i]
		if f.Name != "" && f.Name == d.DeletedAt {
			return nil, &FieldError{Field: f.Name, Rule: RuleReserved, Reason: "it is the mark of a deletion: use delete"}
		}
		n, known := d.byField[f.Name]
		if !known || strings.HasPrefix(f.Name, "_") {
			if err := d.checkExtra(f); err != nil {
				return nil, err
			}
			continue
		}
		v, err := d.Columns[n].check(f.Value)
		if err != nil {
			return nil, err
		}
		f.Value = v
	}
	return fields, nil
}

// checkExtra judges a field without a column.
func (d *Definition) checkExtra(f *ticket.Field) error {
	refuse := func(rule Rule, reason string) error {
		return &FieldError{Field: f.Name, Rule: rule, Reason: reason}
	}
	switch {
	case strings.HasPrefix(f.Name, "_"):
		return refuse(RuleReserved, "names that begin with _ are reserved")
	case strings.EqualFold(f.Name, d.Key):
		return refuse(RuleReserved, "it is the ticket's id, which is not set as a field")
	case strings.EqualFold(f.Name, d.Revision):
		return refuse(RuleReserved, "it is the ticket's revision, which is not set as a field")
	case d.Extra != "" && strings.EqualFold(f.Name, d.Extra):
		return refuse(RuleReserved, "it is the column that holds fields without a column; set those by their names")
	case d.DeletedAt == "" && strings.EqualFold(f.Name, deletedAt):
		return refuse(RuleReserved, "it is the mark of a deletion: use delete")
	case d.Extra == "":
		return refuse(RuleUnknown, "the table "+d.Table+" has no such column")
	}
	if field, near := d.nearMiss(f.Name); near {
		return refuse(RuleUnknown, "no such field; did you mean "+field+"?")
	}
	if !utf8.ValidString(f.Name) || f.Name == "" || utf8.RuneCountInString(f.Name) > maxNameChars {
		return &FieldError{Rule: RuleFormat, Reason: "a field's name is 1 to 64 characters of UTF-8"}
	}
	if !utf8.ValidString(f.Value.Text()) {
		return refuse(RuleEncoding, "not valid UTF-8")
	}
	return nil
}

// check judges a value for the column and returns it as the database will hold it.
func (c *Column) check(v ticket.Value) (ticket.Value, error) {
	if c.Generated {
		return c.refuse(RuleComputed, "the table computes this column itself")
	}
	if v.IsNull() {
		if !c.Nullable {
			return c.refuse(RuleNull, "NULL, and the column is NOT NULL")
		}
		return v, nil
	}
	switch c.Kind {
	case Integer, Bit:
		return c.checkInteger(v)
	case Decimal:
		return c.checkDecimal(v)
	case Float:
		return c.checkFloat(v)
	case Char, Varchar:
		return c.checkChars(v)
	case Text:
		return c.checkText(v)
	case Binary, Varbinary, Blob:
		return c.checkBytes(v)
	case Date, Datetime, Timestamp, Time, Year:
		return c.checkTemporal(v)
	case Enum, Set:
		return c.checkMembers(v)
	case JSON:
		return c.checkJSON(v)
	default:
		return c.checkOther(v)
	}
}
