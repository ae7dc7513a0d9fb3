package mysql

import (
	"slices"
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
