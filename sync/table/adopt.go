package table

import (
	"errors"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
)

// keyNames are names under which programs keep a ticket's id beside its fields.
var keyNames = []string{"id", "ticket_id"}

// Adopt converts another program's fields of a ticket, which are all text: Unix times become dates, and in a column that holds
// no text the empty text, which PHP writes for null and false, becomes NULL or the default. Adopt leaves out the ticket's own
// id. refused holds the fields that the table refuses.
func (d *Definition) Adopt(id ticket.ID, stray ticket.Fields) (taken ticket.Fields, refused []*FieldError) {
	for _, f := range stray {
		if d.isKey(f.Name) && f.Value.Text() == id.String() {
			continue
		}
		value, kept := d.adopted(f)
		if !kept {
			continue
		}
		if d.marks(f.Name) && unset(value) {
			continue // the mark of a deletion, which the hash does not have
		}
		checked, err := d.Check(ticket.Fields{{Name: f.Name, Value: value}})
		var field *FieldError
		switch {
		case d.marks(f.Name):
			refused = append(refused, &FieldError{
				Field: f.Name, Rule: RuleReserved, Reason: "the ticket is marked as deleted; delete it in ticketd, or take the mark away",
			})
		case errors.As(err, &field):
			refused = append(refused, &FieldError{Field: f.Name, Rule: field.Rule, Reason: field.Reason})
		default:
			taken = append(taken, checked...)
		}
	}
	return taken, refused
}

// marks says whether a field is the mark of a deletion, also in a table that keeps the mark elsewhere.
func (d *Definition) marks(name string) bool {
	_, column := d.byField[name]
	return name == d.DeletedAt || d.DeletedAt == "" && !column && strings.EqualFold(name, deletedAt)
}

// unset says whether a mark means no deletion: programs write null, an empty text or 0.
func unset(v ticket.Value) bool {
	text := strings.Trim(v.Text(), spaces)
	return v.IsNull() || text == "" || text == "0"
}

// isKey says whether a field is the ticket's id, which some programs also keep in the hash.
func (d *Definition) isKey(name string) bool {
	if strings.EqualFold(name, d.Key) {
		return true
	}
	_, column := d.byField[name]
	return !column && (name == keyNames[0] || name == keyNames[1])
}

// adopted returns a field's value in ticketd's form; false if the column's default replaces the value.
func (d *Definition) adopted(f ticket.Field) (value ticket.Value, kept bool) {
	n, known := d.byField[f.Name]
	if !known {
		return f.Value, true
	}
	c := &d.Columns[n]
	text := strings.Trim(f.Value.Text(), spaces)
	switch c.Kind {
	case Date, Datetime, Timestamp:
		if text == "0" {
			text = ""
		}
	case Integer, Decimal, Float, Bit, Time, Year, Enum, Set, JSON, UUID, INET4, INET6:
	default:
		return f.Value, true
	}
	switch {
	case text != "":
		return f.Value, true
	case c.Nullable:
		return ticket.Null, true
	default:
		return ticket.Null, false
	}
}
