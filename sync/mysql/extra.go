package mysql

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/ticketd/ticketd/internal/ticket"
	phpclient "github.com/ticketd/ticketd/php-client"
	"github.com/ticketd/ticketd/sync/table"
)

// extraPatch collects the fields of one change that have no column. What is set becomes a JSON merge patch (RFC 7396), what is
// removed a list of paths for JSON_REMOVE: an inserted row must not hold nulls, and MariaDB's JSON_MERGE_PATCH leaves keys that a
// patch sets to null where several come in another order than the document has them.
type extraPatch struct {
	set     []byte // members of a JSON object, separated by commas
	removed []string
}

func (p *extraPatch) add(f ticket.Field) {
	if f.Value.IsNull() {
		p.removed = append(p.removed, f.Name)
		return
	}
	if len(p.set) > 0 {
		p.set = append(p.set, ',')
	}
	p.set = appendJSON(p.set, f.Name)
	p.set = append(p.set, ':')
	p.set = appendJSON(p.set, f.Value.Text())
}

func (p *extraPatch) any() bool { return len(p.set) > 0 || len(p.removed) > 0 }

func (p *extraPatch) text() string { return "{" + string(p.set) + "}" }

// removal is the paths of what is removed, in order.
func (p *extraPatch) removal() []string {
	slices.Sort(p.removed)
	paths := make([]string, len(p.removed))
	for i, name := range p.removed {
		paths[i] = extraPath(name)
	}
	return paths
}

// extraPath is the path of a field in the extra column.
func extraPath(field string) string { return string(appendJSON([]byte("$."), field)) }

// schema is the table as ticketd makes it.
var schema = sync.OnceValue(func() shape { return shapeOf(phpclient.Schema) })

// mayFollow says that the field of a column may have been in the extra column before the table had the column. While the column
// is NULL the field is read from there; a change of the column removes it there, so that an older value never comes back, also
// where the column is dropped.
func mayFollow(d *table.Definition, column int) bool {
	return d.Side != "" || !schema().hasColumn(d.Columns[column].Name)
}

// withExtra returns the assignment of the extra column with the patch, as the server sees it; empty where the group leaves the
// column alone. A text that is no JSON has no field to remove.
func (s *statements) withExtra(patch string) string {
	switch n := len(s.group.removal); {
	case s.group.extra:
		return s.merged(patch)
	case n > 0:
		return "IF(JSON_VALID(" + s.extra + "),JSON_REMOVE(" + s.extra + strings.Repeat(",?", n) + ")," + s.extra + ")"
	default:
		return ""
	}
}

// appendJSON writes a JSON string as people want to read it in the database: letters as they are.
func appendJSON(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xF])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// unpackExtra adds the members of the extra column to the fields: strings as their text, anything that was put there
// by other means as its JSON, nulls not at all. A name that a column has already given is passed over, unless the column is NULL
// and takes the value, see [mayFollow]. What is no JSON object was not put there by ticketd and holds no fields: one row edited
// by hand must not make a whole list unreadable.
func unpackExtra(d *table.Definition, fields ticket.Fields, extra []byte) ticket.Fields {
	var members map[string]json.RawMessage
	if len(extra) == 0 || json.Unmarshal(extra, &members) != nil {
		return fields
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		raw := members[name]
		held, taken := fields.Get(name)
		if taken && !held.IsNull() || strings.HasPrefix(name, "_") || bytes.Equal(raw, []byte("null")) {
			continue
		}
		text := string(raw)
		if raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
			continue
		}
		f := ticket.Field{Name: name, Value: ticket.Text(text)}
		if !taken {
			fields = append(fields, f)
		} else if column, _ := d.Position(name); mayFollow(d, column) && name != d.DeletedAt {
			if checked, err := d.Check(ticket.Fields{f}); err == nil {
				fields = fields.With(name, checked[0].Value)
			}
		}
	}
	return fields
}
