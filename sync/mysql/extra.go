package mysql

import (
	"slices"
	"strings"
	"sync"

	"github.com/ticketd/ticketd/internal/ticket"
	phpclient "github.com/ticketd/ticketd/php-client"
	"github.com/ticketd/ticketd/sync/table"
)

// extraPatch collects the fields of a change that have no column. Set fields become a JSON merge patch (RFC 7396), removed
// fields a list of paths for JSON_REMOVE: an inserted row must not hold nulls, and MariaDB's JSON_MERGE_PATCH keeps keys that a
// patch sets to null if the order of several such keys differs from the document's.
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

// removal returns the paths of removed fields, in order.
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

// schema is the table of the schema file.
var schema = sync.OnceValue(func() shape { return shapeOf(phpclient.Schema) })

// later are the columns that the schema file got after its first version: an older table has their fields in the extra column
// until it is migrated.
var later = []string{"customer_name", "customer_email"}

// mayFollow says that a column's field may have been in the extra column before the table had the column. While the column is
// NULL, the field is read from the extra column; a change of the column removes the field from the extra column, so that an
// older value never comes back, even if the column is dropped.
func mayFollow(d *table.Definition, column int) bool {
	name := d.Columns[column].Name
	return d.Side != "" || !schema().hasColumn(name) || slices.Contains(later, strings.ToLower(name))
}

// appendJSON writes a JSON string in a form that is readable in the database: letters stay letters.
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
