package mysql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/sync/table"
)

// statements writes the SQL of a group. Every name comes from the table's definition and is quoted.
type statements struct {
	table, key, revision, extra string
	columns                     []string // quoted
	born                        string   // quoted; empty without such a column
	group                       *group
	mark                        *table.Column // of a soft delete; nil if the table has no such column
	beside                      bool          // the revision is in the side table
}

func newStatements(d *table.Definition, g *group) *statements {
	s := &statements{
		table: quote(d.Table), key: quote(d.Key), revision: quote(d.Revision), extra: quote(d.Extra), group: g,
		beside:  d.Side != "",
		columns: make([]string, len(g.columns)),
	}
	for i, column := range g.columns {
		s.columns[i] = quote(d.Columns[column].Name)
	}
	if g.born >= 0 {
		s.born = quote(d.Columns[g.born].Name)
	}
	if i, there := d.Position(d.DeletedAt); there {
		s.mark = &d.Columns[i]
	}
	return s
}

// limits are the conditions on the existing row besides its revision: a create must not touch rows of other tickets, and only a
// deletion may touch rows with a mark of a deletion.
func (s *statements) limits() string {
	var limits string
	if s.group.floor > 0 {
		limits = " AND " + s.revision + ">=" + strconv.FormatInt(int64(s.group.floor), 10)
	}
	if s.group.alive {
		limits += " AND " + present(s.mark)
	}
	return limits
}

// head and tail enclose the rows of an upsert:
//
//	INSERT INTO `t` (`id`,`rev`,`a`) VALUES (?,IF(LAST_INSERT_ID(all)=0,0,?),?),(?,?,?),… ON DUPLICATE KEY UPDATE
//	  `a`=IF(VALUES(`id`)=`id` AND VALUES(`rev`)>`rev`,VALUES(`a`),`a`),
//	  `rev`=IF(VALUES(`id`)=`id` AND VALUES(`rev`)>`rev`,VALUES(`rev`),IF(LAST_INSERT_ID(some)=0,0,`rev`))
//
// The guard compares the ids because a row may also collide with another ticket's row in another unique index, and must not
// change that row. The guard continues with [statements.limits]. The SQL uses VALUES() and not a row alias, which MariaDB lacks.
//
// LAST_INSERT_ID(mark), which is never 0, leaves a mark in the server's answer: all at the beginning of the statement, some when
// the guard keeps a row from being written. If the answer is all, the revisions need not be read back. Any other influence on
// that answer (a trigger, another column that counts by itself) makes a third answer, and the revisions are read.
func (s *statements) head() string {
	if s.beside {
		return s.besideHead()
	}
	return s.insertInto(s.key, s.revision)
}

func (s *statements) tail() string {
	if s.beside {
		return s.besideTail()
	}
	guard := "VALUES(" + s.key + ")=" + s.key + " AND VALUES(" + s.revision + ")>" + s.revision + s.limits()
	return s.onDuplicate(guard) + s.revision + "=IF(" + guard + ",VALUES(" + s.revision + ")," +
		"IF(LAST_INSERT_ID(" + someMark + ")=0,0," + s.revision + "))"
}

// The marks are no ticket's ids. The driver returns the first mark as [allWritten].
const (
	allMark    = "18446744073709551614" // 2^64-2
	someMark   = "18446744073709551615"
	allWritten = -2
)

// insertInto begins an INSERT: the columns that are named, then those of the group.
func (s *statements) insertInto(first ...string) string {
	columns := slices.Concat(first, s.columns)
	if s.group.extra {
		columns = append(columns, s.extra)
	}
	if s.born != "" {
		columns = append(columns, s.born)
	}
	return "INSERT INTO " + s.table + " (" + strings.Join(columns, ",") + ") VALUES "
}

// onDuplicate assigns the columns of the group if the guard holds. The text ends with a comma: the caller adds the last
// assignment.
func (s *statements) onDuplicate(guard string) string {
	var b strings.Builder
	b.WriteString(" ON DUPLICATE KEY UPDATE ")
	for _, c := range s.columns {
		b.WriteString(c + "=IF(" + guard + ",VALUES(" + c + ")," + c + "),")
	}
	if extra := s.withExtra("VALUES(" + s.extra + ")"); extra != "" {
		b.WriteString(s.extra + "=IF(" + guard + "," + extra + "," + s.extra + "),")
	}
	return b.String()
}

// merged is the extra column with a patch merged into it; a placeholder follows for each path to remove.
func (s *statements) merged(patch string) string {
	expression := "JSON_MERGE_PATCH(COALESCE(" + s.extra + ",'{}')," + patch + ")"
	if n := len(s.group.removal); n > 0 {
		expression = "JSON_REMOVE(" + expression + strings.Repeat(",?", n) + ")"
	}
	return expression
}

// appendRemoval adds the arguments of the paths to remove.
func (s *statements) appendRemoval(args []any) []any {
	for _, path := range s.group.removal {
		args = append(args, path)
	}
	return args
}

// upsert returns the statement for the rows and its arguments.
func (s *statements) upsert(head, tail string, rows []row) (query string, args []any) {
	return s.insert(head, tail, rows, "?,IF(LAST_INSERT_ID("+allMark+")=0,0,?)", "?,?", func(args []any, r *row) []any {
		return append(args, int64(r.id), int64(r.revision))
	})
}

// insert returns a statement for the rows and its arguments: lead appends the arguments in front of a row's values; first (in
// the first row) or other (in the other rows) are the placeholders of these arguments.
func (s *statements) insert(
	head, tail string, rows []row, first, other string, lead func(args []any, r *row) []any,
) (query string, args []any) {
	values := strings.Repeat(",?", len(rows[0].values)+len(rows[0].born)) + ")"
	first, other = "("+first+values, ",("+other+values
	args = make([]any, 0, len(rows)*(len(rows[0].values)+len(rows[0].born)+2)+len(s.group.removal))
	var b strings.Builder
	b.Grow(len(head) + len(first) + len(rows)*len(other) + len(tail))
	b.WriteString(head)
	for i := range rows {
		if i == 0 {
			b.WriteString(first)
		} else {
			b.WriteString(other)
		}
		args = append(append(lead(args, &rows[i]), rows[i].values...), rows[i].born...)
	}
	b.WriteString(tail)
	return b.String(), s.appendRemoval(args)
}

// update returns the guarded UPDATE of a row, which never inserts. The statement has a single row, so the guard can stand in the
// WHERE clause.
func (s *statements) update() string {
	var b strings.Builder
	b.WriteString("UPDATE " + s.table + " SET ")
	for _, c := range s.columns {
		b.WriteString(c + "=?,")
	}
	if extra := s.withExtra("?"); extra != "" {
		b.WriteString(s.extra + "=" + extra + ",")
	}
	b.WriteString(s.revision + "=? WHERE " + s.key + "=? AND " + s.revision + "<?" + s.limits())
	return b.String()
}

// keys returns the list of the rows' ids for IN (…).
func keys(rows []*row) (list string, args []any) {
	args = make([]any, len(rows))
	for i := range rows {
		args[i] = int64(rows[i].id)
	}
	return "(" + strings.Repeat("?,", len(rows)-1) + "?)", args
}

// besideHead and besideTail enclose the rows of an upsert without a revision:
//
//	INSERT INTO `t` (`id`,`a`) VALUES (IF(LAST_INSERT_ID(all)=0,0,?),?),(?,?),… ON DUPLICATE KEY UPDATE
//	  `a`=IF(VALUES(`id`)=`id`,VALUES(`a`),`a`),
//	  `id`=IF(VALUES(`id`)=`id`,`id`,IF(LAST_INSERT_ID(some)=0,0,`id`))
//
// The marks are the marks of [statements.head]: the answer is some if a row collided with another ticket's row in another unique
// index.
func (s *statements) besideHead() string { return s.insertInto(s.key) }

func (s *statements) besideTail() string {
	same := "VALUES(" + s.key + ")=" + s.key
	return s.onDuplicate(same+s.andPresent()) +
		s.key + "=IF(" + same + "," + s.key + ",IF(LAST_INSERT_ID(" + someMark + ")=0,0," + s.key + "))"
}

// andPresent continues a condition: the row carries no mark of a deletion. A group that assigns the mark itself has no such
// condition, as assignments run from left to right.
func (s *statements) andPresent() string {
	if s.mark == nil {
		return ""
	}
	if slices.Contains(s.columns, quote(s.mark.Name)) {
		return ""
	}
	return " AND " + present(s.mark)
}

// insertBeside returns the statement for the rows and its arguments, the removed paths last.
func (s *statements) insertBeside(head, tail string, rows []row) (query string, args []any) {
	return s.insert(head, tail, rows, "IF(LAST_INSERT_ID("+allMark+")=0,0,?)", "?", func(args []any, r *row) []any {
		return append(args, int64(r.id))
	})
}

// updateBeside returns the UPDATE of a row with its arguments; the query is empty if the group changes no column.
func (s *statements) updateBeside(r *row) (query string, args []any) {
	sets := make([]string, 0, len(s.columns)+1)
	for _, c := range s.columns {
		sets = append(sets, c+"=?")
	}
	if extra := s.withExtra("?"); extra != "" {
		sets = append(sets, s.extra+"="+extra)
	}
	if len(sets) == 0 {
		return "", nil
	}
	query = "UPDATE " + s.table + " SET " + strings.Join(sets, ",") + " WHERE " + s.key + "=?"
	if !r.deletion {
		query += s.andPresent()
	}
	args = append(make([]any, 0, len(r.values)+2), r.values...)
	return query, append(s.appendRemoval(args), int64(r.id))
}

// withExtra returns the assignment of the extra column with the patch, in the server's terms; empty if the group does not touch
// the column. A text that is no JSON has no field to remove.
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

// rowless returns the statements of the group without a row.
func (s *statements) rowless(d *table.Definition) []string {
	var sets []string
	names := append([]string{s.key}, s.columns...)
	if s.group.extra {
		names = append(names, s.extra)
	}
	if d.Side == "" {
		names = append(names, s.revision)
	}
	for _, name := range names[1:] {
		sets = append(sets, name+"="+name)
	}
	var all []string
	if len(sets) > 0 {
		all = append(all, "UPDATE "+s.table+" SET "+strings.Join(sets, ",")+" WHERE FALSE")
	}
	if s.group.insertable {
		if s.born != "" {
			names = append(names, s.born)
		}
		all = append(all, "INSERT INTO "+s.table+" ("+strings.Join(names, ",")+") SELECT NULL"+
			strings.Repeat(",NULL", len(names)-1)+" FROM DUAL WHERE FALSE")
	}
	return append(all, besides(d)...)
}
