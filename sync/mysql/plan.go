package mysql

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// row is one change, laid out for the statements of its group.
type row struct {
	id       ticket.ID
	revision ticket.Revision
	values   []any // by the group's columns, then the patch of the extra column where the group has one
	born     []any // the time of creation, where the group has it
	at       int   // which of the changes it is
	size     int   // bytes that its values take in a statement
	buried   bool  // the ticket was deleted: whatever else comes, no row is inserted
	deletion bool
	floor    ticket.Revision // see [floorOf]
}

// floorGrain is what floors are rounded down to, so that creates of one flush share a statement.
const floorGrain = time.Second

// floorOf returns below which revision a row that a create meets belongs to another ticket, for [store.Claim].Created; zero
// where the change is no create. A row that SQL or another plugin has inserted is at 0. Revisions that are ahead of the clock lie
// so close together that nothing is rounded: in one second of them may be what ticketd did in minutes.
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

// group is the changes that the same statement can carry.
type group struct {
	columns []int // positions in the definition, ascending
	extra   bool
	removal []string // paths of what is removed from the extra column, those of columns among them, see [mayFollow]
	// born is the position of the column for the time of creation, which is inserted with a new row and never updated; -1: none.
	born int
	// floor keeps the changes away from rows below it, see [floorOf].
	floor ticket.Revision
	// alive keeps the changes away from rows that are marked as deleted.
	alive bool
	// insertable says that a row can be inserted with these columns alone.
	insertable bool
	// gone says that the rows have vanished, and the store does not hold the tickets whole: none may be inserted.
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
	// of the change that is being laid out:
	cells []cell
	shape []byte
}

// cell is one value on its way to its column.
type cell struct {
	column int
	value  ticket.Value
}

func newPlan(d *table.Definition) *plan {
	return &plan{definition: d, byShape: make(map[string]*group), now: ticket.Revision(time.Now().UnixMicro())}
}

// add lays out one change. It returns the name of a field that the table has no place for, in which case nothing was
// added.
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

// needsLife says whether a change is to keep away from a row that is marked as deleted. One that sets the mark itself deletes,
// or takes that back; a create brings the column's default with it and does neither.
func (p *plan) needsLife(c *store.Claim) bool {
	if p.definition.DeletedAt == "" {
		return false
	}
	mark, sets := c.Fields.Get(p.definition.DeletedAt)
	return !sets || c.Created > 0 && (mark.IsNull() || unmarked(mark.Text()))
}

// group finds the group for the cells, the patch and what like says, or makes it of like.
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

// sorted brings rows into the order of the primary key, in which all daemons lock them.
func sorted(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	return rows
}

// batches cuts rows so that none of the parts has more than maxRows rows or maxBytes bytes of values. A row that is
// larger on its own is a part of its own.
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
