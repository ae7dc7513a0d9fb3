package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Definition is the live table's description of itself. A Definition comes from the database or from JSON and does not change
// afterwards, so it is safe for concurrent use. A Definition made by hand needs [Definition.Prepare].
type Definition struct {
	Table    string `json:"table"`
	Key      string `json:"key"`      // the column that holds the ticket's id
	Revision string `json:"revision"` // the column that holds the ticket's revision
	// Side is the table beside this one that holds the tickets' revisions and deletions, for a table that ticketd did not
	// make. Empty where the revision is a column of the table itself.
	Side  string `json:"side,omitempty"`
	Extra string `json:"extra,omitempty"` // the JSON column for fields without a column; empty without such a column
	// DeletedAt, CreatedAt and UpdatedAt name the fields of these meanings; empty if the table has no such column.
	DeletedAt string `json:"deleted_at,omitempty"`
	CreatedAt string `json:"created_at,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty"`
	// Columns are the columns that hold ticket fields, in the table's order: all but key, revision and extra.
	Columns []Column `json:"columns"`

	byField  map[string]int
	required []int
	computes bool
}

// Prepare builds the look-ups. It returns an error if the definition contradicts itself.
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

// UnmarshalJSON reads a definition from JSON and prepares the definition.
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

// Required returns the positions of the columns that every inserted row needs. The caller must not change the slice.
func (d *Definition) Required() []int { return d.required }

// Computes says that the table fills in columns that only the database can know (generated columns, expressions as defaults):
// the result of [Definition.Complete] is then not yet the whole ticket.
func (d *Definition) Computes() bool { return d.computes }

// IsInteger says whether reads return the field as an integer. False for a field without a column.
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

// The widest limits of either database.
const (
	mostBits      = 64
	mostPrecision = 255 // of FLOAT(M,D); DECIMAL has at most 65
	mostBinary    = 255 // bytes; more is VARBINARY
	mostBytes     = 1<<32 - 1
	mostMembers   = 64 // of a SET
	mostDepth     = 1000
)

// valid refuses limits that no table has: a definition on disk may be damaged, and the rules rely on valid limits.
func (c *Column) valid() error {
	least := 0
	if c.Kind == Integer || c.Kind == Bit {
		least = 1
	}
	for _, limit := range []struct {
		name           string
		n, least, most int
	}{
		{"bits", c.Bits, least, mostBits},
		{"precision", c.Precision, 0, mostPrecision},
		{"scale", c.Scale, 0, max(c.Precision, 0)},
		{"max_chars", c.MaxChars, 0, mostBytes},
		{"max_bytes", c.MaxBytes, 0, c.mostBytes()},
		{"digits", c.Digits, 0, microDigits},
		{"depth", c.Depth, 0, mostDepth},
		{"characters without an end", utf8.RuneCountInString(c.Characters) % 2, 0, 0},
	} {
		if limit.n < limit.least || limit.n > limit.most {
			return fmt.Errorf("%s is %d, not %d to %d", limit.name, limit.n, limit.least, limit.most)
		}
	}
	if c.Kind == Float && c.Bits != 32 && c.Bits != 64 {
		return fmt.Errorf("a float of %d bits", c.Bits)
	}
	if c.Kind == Set && len(c.Members) > mostMembers {
		return fmt.Errorf("a set of %d members, more than %d", len(c.Members), mostMembers)
	}
	return nil
}

// mostBytes is the most bytes that a value may hold or be filled up to.
func (c *Column) mostBytes() int {
	if c.Kind == Binary {
		return mostBinary
	}
	return mostBytes
}
