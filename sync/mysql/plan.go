package mysql

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// row is a change, laid out for the statements of its group.
type row struct {
	id       ticket.ID
	revision ticket.Revision
	values   []any // by the group's columns, then the patch of the extra column if the group has a patch
	born     []any // the time of creation, if the group has its column
	at       int   // the index among the changes
	size     int   // bytes of its values in a statement
	buried   bool  // the ticket was deleted: no row is ever inserted
	deletion bool
	floor    ticket.Revision // see [floorOf]
}

// floorGrain is the unit to which floors are rounded down, so that creates of one flush share a statement.
const floorGrain = time.Second

// floorOf returns, for [store.Claim].Created, the revision below which a row that a create meets belongs to another ticket; zero
// if the change is no create. A row that SQL or another plugin has inserted is at 0. Revisions ahead of the clock are not
// rounded, as they lie close together: a second of such revisions may hold minutes of work.
func floorOf(created, now ticket.Revision) ticket.Revision {
	switch {
	case created == 0:
		return 0
	case created > now:
		return created
	}
	grain := ticket.Revision(floorGrain.Microseconds())
	return max(1, created/grain*grain)
}

// group is the changes that share a statement.
type group struct {
	columns []int // positions in the definition, ascending
	extra   bool
	removal []string // paths to remove from the extra column, including paths of columns, see [mayFollow]
	// born is the position of the column for the time of creation, which only an INSERT sets; -1: none.
	born int
	// floor keeps the changes away from rows below it, see [floorOf].
	floor ticket.Revision
	// alive keeps the changes away from rows with a mark of a deletion.
	alive bool
	// insertable says that these columns alone can form a new row.
	insertable bool
	// gone says that the rows have vanished and that the store does not hold the whole tickets: no row may be inserted.
	gone bool
	rows []row
}

// plan sorts changes into groups and deletions.
type plan struct {
	definition *table.Definition
	groups     []*group
	deletions  []row
	byShape    map[string]*group
	now        ticket.Revision        // by the host's clock
	gone       map[ticket.ID]vanished // tickets whose rows have vanished, see [write.gone]
	// of the change under way:
	cells []cell
	shape []byte
}

// cell is a value with its column.
type cell struct {
	column int
	value  ticket.Value
}

// add lays out a change. If the table has no column for a field, add returns the field's name and adds nothing.
func (p *plan) add(index int, c *store.Claim) (unplaced string) {
	d := p.definition
	r := row{id: c.ID, revision: c.Revision, at: index, deletion: c.Deleted, floor: floorOf(c.Created, p.now)}
	if c.Deleted && d.DeletedAt == "" {
		p.deletions = append(p.deletions, r)
		return ""
	}
	p.cells = p.cells[:0]
	var patch extraPatch
	held, gone := p.gone[c.ID]
	fields := c.Fields
	if held.whole {
		gone, fields = false, whole(d, c, held.rest)
	}
	for _, f := range fields {
		if column, ok := d.Position(f.Name); ok {
			p.cells = append(p.cells, cell{column, f.Value})
			continue
		}
		if d.Extra == "" {
			return f.Name
		}
		patch.add(f)
	}
	slices.SortFunc(p.cells, func(a, b cell) int { return cmp.Compare(a.column, b.column) })
	born, at := -1, ticket.Null
	if !c.Deleted {
		born, at = d.Born(fields, c.Since)
	}
	g := p.group(&patch, &group{born: born, floor: r.floor, alive: p.needsLife(c), gone: gone})
	if born >= 0 {
		r.born = []any{argument(&d.Columns[born], at)}
	}
	r.values = make([]any, 0, len(p.cells)+1)
	for _, c := range p.cells {
		r.values = append(r.values, argument(&d.Columns[c.column], c.value))
	}
	if g.extra {
		r.values = append(r.values, patch.text())
	}
	r.size = sizeOf(r.values) + sizeOf(r.born)
	g.rows = append(g.rows, r)
	return ""
}

// needsLife says whether a change must not touch a row with a mark of a deletion. A change that sets the mark itself deletes or
// restores; a create only carries the column's default and does not.
func (p *plan) needsLife(c *store.Claim) bool {
	if p.definition.DeletedAt == "" {
		return false
	}
	mark, sets := c.Fields.Get(p.definition.DeletedAt)
	return !sets || c.Created > 0 && (mark.IsNull() || unmarked(mark.Text()))
}

// group returns the group for the cells, the patch and the properties of like, or makes a new group of like.
func (p *plan) group(patch *extraPatch, like *group) *group {
	removal := patch.removal()
	for _, c := range p.cells {
		if p.definition.Extra != "" && mayFollow(p.definition, c.column) {
			removal = append(removal, extraPath(p.definition.Columns[c.column].Field))
		}
	}
	p.shape = binary.BigEndian.AppendUint64(p.shape[:0], uint64(like.floor)) //nolint:gosec // it is not negative
	for _, is := range []bool{like.alive, like.gone} {
		if is {
			p.shape = append(p.shape, 1)
		} else {
			p.shape = append(p.shape, 0)
		}
	}
	p.shape = binary.BigEndian.AppendUint16(p.shape, uint16(like.born+1)) //nolint:gosec // a table has at most 4096 columns
	for _, c := range p.cells {
		p.shape = binary.BigEndian.AppendUint16(p.shape, uint16(c.column)) //nolint:gosec // a table has at most 4096 columns
	}
	if patch.any() {
		const noColumn = 1<<16 - 1
		p.shape = binary.BigEndian.AppendUint16(p.shape, noColumn)
		p.shape = append(p.shape, strings.Join(removal, ",")...)
	}
	if g := p.byShape[string(p.shape)]; g != nil {
		return g
	}
	g := like
	g.extra, g.removal, g.columns = patch.any(), removal, make([]int, len(p.cells))
	for i, c := range p.cells {
		g.columns[i] = c.column
	}
	g.insertable = !g.gone && !slices.ContainsFunc(p.definition.Required(), func(required int) bool {
		_, given := slices.BinarySearch(g.columns, required)
		return !given && required != g.born
	})
	p.byShape[string(p.shape)] = g
	p.groups = append(p.groups, g)
	return g
}

// sorted sorts rows by primary key, the order in which all daemons lock rows.
func sorted(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	return rows
}

// batches cuts rows into parts of at most maxRows rows and maxBytes bytes of values. A larger row is a part of its own.
func batches(rows []row, maxRows, maxBytes int) [][]row {
	var parts [][]row
	start, size := 0, 0
	for i := range rows {
		if i > start && (i-start >= maxRows || size+rows[i].size > maxBytes) {
			parts = append(parts, rows[start:i])
			start, size = i, 0
		}
		size += rows[i].size
	}
	if start < len(rows) {
		parts = append(parts, rows[start:])
	}
	return parts
}

// argument returns the driver's argument for a value of the column.
func argument(c *table.Column, v ticket.Value) any {
	if v.IsNull() {
		return nil
	}
	switch c.Kind {
	case table.Bit: // the driver sends a text as bytes
		n, err := strconv.ParseUint(v.Text(), 10, 64)
		if err != nil {
			return v.Text()
		}
		return n
	case table.Binary, table.Varbinary, table.Blob:
		return []byte(v.Text()) // the driver marks the value as binary, so that it need not be UTF-8
	default:
		return v.Text()
	}
}

const (
	rowOverhead   = len("(,),") + 2*20 // two numbers: key and revision
	valueOverhead = len("_binary'',")
)

// sizeOf returns the largest number of bytes that the values of a row take in a statement, escapes included.
func sizeOf(values []any) int {
	size := rowOverhead
	for _, v := range values {
		size += valueOverhead
		switch v := v.(type) {
		case string:
			size += escapedSize(v)
		case []byte:
			size += escapedSize(v)
		case uint64:
			size += 20
		}
	}
	return size
}

func escapedSize[T string | []byte](s T) int {
	size := len(s)
	for i := range len(s) {
		switch s[i] {
		case 0, '\n', '\r', 0x1a, '\'', '"', '\\':
			size++
		}
	}
	return size
}
