package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Definition is what the live table says of itself. It is made by reading the database or from JSON, and is not changed
// afterwards: it may be used by any number of goroutines. A Definition made by hand needs [Definition.Prepare].
type Definition struct {
	Table    string `json:"table"`
	Key      string `json:"key"`      // the column that holds the ticket's id
	Revision string `json:"revision"` // the column that holds the ticket's revision
	// Side is the table beside this one that holds the tickets' revisions and deletions, for a table that ticketd did not
	// make. Empty where the revision is a column of the table itself.
	Side  string `json:"side,omitempty"`
	Extra string `json:"extra,omitempty"` // the JSON column for fields without a column, where there is one
	// DeletedAt, CreatedAt and UpdatedAt name the fields of these meanings; empty where the table has no such column.
	DeletedAt string `json:"deleted_at,omitempty"`
	CreatedAt string `json:"created_at,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty"`
	// Columns are those that hold ticket fields, in the table's order: all but key, revision and extra.
	Columns []Column `json:"columns"`

	byField  map[string]int
	required []int
	computes bool
}

// Prepare builds the look-ups. It fails where the definition contradicts itself.
func (d *Definition) Prepare() error {
	if d.Table == "" || d.Key == "" || d.Revision == "" {
		return errors.New("table definition: table, key and revision must be named")
	}
	d.byField = make(map[string]int, len(d.Columns))
	d.required, d.computes = nil, false
	for i := range d.Columns {
		c := &d.Columns[i]
		if err := c.valid(); err != nil {
			return fmt.Errorf("table definition: column %q of %s: %w", c.Name, d.Table, err)
		}
		if _, twice := d.byField[c.Field]; twice {
			return fmt.Errorf("table definition: two columns of %s hold the field %q; change the column map", d.Table, c.Field)
		}
		d.byField[c.Field] = i
		c.ranges = []rune(c.Characters)
		if c.Required() {
			d.required = append(d.required, i)
		}
		d.computes = d.computes || c.Generated || c.Default.Source == Server
	}
	for _, field := range []string{d.DeletedAt, d.CreatedAt, d.UpdatedAt} {
		if _, ok := d.byField[field]; field != "" && !ok {
			return fmt.Errorf("table definition: no column of %s holds the field %q", d.Table, field)
		}
	}
	return nil
}

// UnmarshalJSON reads a definition that was kept as JSON and prepares it.
func (d *Definition) UnmarshalJSON(data []byte) error {
	type plain Definition
	if err := json.Unmarshal(data, (*plain)(d)); err != nil {
		return fmt.Errorf("table definition: %w", err)
	}
	return d.Prepare()
}

// Position returns where in Columns the field's column is, or false for a field without a column of its own.
func (d *Definition) Position(field string) (int, bool) {
	i, ok := d.byField[field]
	return i, ok
}

// Required returns the positions of the columns without which no row can be inserted. The caller does not change them.
func (d *Definition) Required() []int { return d.required }

// Computes says that the table fills in columns which only the database can know (generated columns, expressions as
// defaults): what [Definition.Complete] returns is then not yet the whole ticket.
func (d *Definition) Computes() bool { return d.computes }

// IsInteger says whether the field is read as an integer. False for a field without a column.
func (d *Definition) IsInteger(field string) bool {
	i, ok := d.byField[field]
	if !ok {
		return false
	}
	switch d.Columns[i].Kind {
	case Integer, Bit, Year:
		return true
	default:
		return false
	}
}

// nearMiss returns what an unknown field's name collides with but for the case of its letters. Column names do not
// distinguish case and Redis does, so that "Status" would become a second, silent status.
func (d *Definition) nearMiss(name string) (string, bool) {
	for i := range d.Columns {
		if strings.EqualFold(d.Columns[i].Field, name) {
			return d.Columns[i].Field, true
		}
	}
	return "", false
}
