package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// Rows reads the tickets in one query, ordered by id; ids without a row are left out. A row that ticketd has never written has
// the revision 0. The fields are all fields of the table, including NULLs, then the fields of the extra column. Errors wrap
// [flush.ErrSinkDown] or [flush.ErrSinkPaused].
func (db *DB) Rows(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	const operation = "read tickets"
	if len(ids) == 0 {
		return nil, nil
	}
	d, err := db.known(ctx)
	if err != nil {
		return nil, err
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = int64(id)
	}
	query := "SELECT " + selected(d) + " FROM " + source(d) + " WHERE " + quote(d.Key) +
		" IN (" + strings.Repeat("?,", len(ids)-1) + "?) ORDER BY " + quote(d.Key)
	rows, err := db.pool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	defer rows.Close()
	scanner := db.newRowScanner(d)
	var all []store.Record
	for rows.Next() {
		row, err := scanner.scan(rows)
		if err != nil {
			return nil, db.failure(operation, err)
		}
		all = append(all, row)
	}
	return all, db.failure(operation, rows.Err())
}

// selected lists the columns that a row scanner expects.
func selected(d *table.Definition) string {
	var list strings.Builder
	if d.Side == "" {
		list.WriteString(quote(d.Key) + "," + quote(d.Revision))
	} else {
		list.WriteString(quote(d.Key) + ",COALESCE(" + sideRevision + ",0),COALESCE(" + sideDeleted + ",0)")
	}
	for i := range d.Columns {
		switch name := quote(d.Columns[i].Name); d.Columns[i].Kind {
		case table.Bit: // as a number, not as bytes
			list.WriteString("," + name + "+0")
		case table.Year: // in the server's form, not in the driver's
			list.WriteString(",CAST(" + name + " AS CHAR)")
		case table.Float: // as a double: the server writes a FLOAT with six digits, which are another number
			list.WriteString(",CAST(" + name + "+0e0 AS CHAR)")
		default:
			list.WriteString("," + name)
		}
	}
	if d.Extra != "" {
		list.WriteString("," + quote(d.Extra))
	}
	return list.String()
}

// rowScanner converts result rows to tickets.
type rowScanner struct {
	definition *table.Definition
	odd        *oddRows
	id         ticket.ID
	revision   revision
	deleted    bool // by the side table, if the table has one
	cells      []sql.RawBytes
	targets    []any
}

func (db *DB) newRowScanner(d *table.Definition) *rowScanner {
	n := len(d.Columns)
	if d.Extra != "" {
		n++
	}
	s := &rowScanner{definition: d, odd: &db.odd, cells: make([]sql.RawBytes, n), targets: make([]any, 0, n+3)}
	s.targets = append(s.targets, &s.id, &s.revision)
	if d.Side != "" {
		s.targets = append(s.targets, &s.deleted)
	}
	for i := range s.cells {
		s.targets = append(s.targets, &s.cells[i])
	}
	return s
}

func (s *rowScanner) scan(rows *sql.Rows) (store.Record, error) {
	if err := rows.Scan(s.targets...); err != nil {
		return store.Record{}, err
	}
	s.odd.saw(s.id, &s.revision)
	d := s.definition
	row := store.Record{
		ID: s.id, Revision: s.revision.Revision, Full: true, Deleted: s.deleted,
		Fields: make(ticket.Fields, 0, len(d.Columns)),
	}
	for i := range d.Columns {
		field, cell := d.Columns[i].Field, s.cells[i]
		if strings.HasPrefix(field, "_") { // reserved in the store
			continue
		}
		value := ticket.Null
		if cell != nil {
			value = ticket.Text(string(cell))
		}
		if c := &d.Columns[i]; c.Kind == table.Float && cell != nil {
			value = ticket.Text(c.FloatText(value.Text()))
		}
		if field == d.DeletedAt {
			row.Deleted = row.Deleted || !value.IsNull() && !unmarked(value.Text())
		}
		row.Fields = append(row.Fields, ticket.Field{Name: field, Value: value})
	}
	if d.Extra != "" {
		row.Fields = unpackExtra(d, row.Fields, s.cells[len(d.Columns)])
	}
	return row, nil
}

// unpackExtra adds the members of the extra column to the fields: strings as their text, other values, which another program
// wrote, as JSON, and no nulls. A column's field wins over a member of the same name, unless the column is NULL and takes the
// value, see [mayFollow]. Content that is not a JSON object is not ticketd's and holds no fields: a single row edited by hand
// must not make a whole list unreadable.
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

// unmarked says that the text has only zeros: 0, or a zero date, the value of a living ticket in tables without NULLs.
func unmarked(text string) bool { return strings.Trim(text, "0-: .") == "" }

// MaxRevision returns the highest revision in the table, zero for an empty table; numbers that are no revision do not count. The
// query is quick if the revision has an index, which ticketd migrate makes.
func (db *DB) MaxRevision(ctx context.Context) (ticket.Revision, error) {
	d, err := db.known(ctx)
	if err != nil {
		return 0, err
	}
	var n int64
	if d.Side == "" {
		n, err = db.highest(ctx, db.config.Table, db.config.Revision, int64(ticket.Ceiling)+1)
	} else {
		n, err = db.highest(ctx, d.Side, sideRevisionColumn, int64(ticket.Ceiling)+1)
	}
	return ticket.Revision(n), db.failure("read the highest revision", err)
}

// MaxID returns the highest ticket id in the table below [reach], zero without such an id.
func (db *DB) MaxID(ctx context.Context) (ticket.ID, error) {
	n, err := db.highest(ctx, db.config.Table, db.config.Key, int64(reach))
	if d := db.Definition(); err == nil && d != nil && d.Side != "" { // the id of a deleted row is not free
		var known int64
		known, err = db.highest(ctx, d.Side, "ticket_id", int64(reach))
		n = max(n, known)
	}
	return ticket.ID(max(n, 0)), db.failure("read the highest id", err)
}

func (db *DB) highest(ctx context.Context, table, column string, below int64) (n int64, err error) {
	err = db.pool.QueryRowContext(ctx, "SELECT COALESCE(MAX("+quote(column)+"),0) FROM "+quote(table)+
		" WHERE "+quote(column)+" < ?", below).Scan(&n)
	return n, err
}

// Page is a part of a selection, in an order.
type Page struct {
	// Sort is the field of the order; empty sorts by the ticket's id alone. Tickets with an equal field are sorted by id, in the
	// same direction. NULL is lower than every value.
	Sort       string
	Descending bool
	// After is the mark of the last ticket of the page before; nil for the first page.
	After *Mark
	// Limit is above zero.
	Limit int
	// Fits says of each row, in order, whether the page has room for the row. The page ends before the first row without room, but
	// has at least one row. Optional.
	Fits func(row *store.Record) bool
}

// Mark is a ticket's place in a sort. The place does not move when other tickets come and go.
type Mark struct {
	// Value is the value of the sort's expression, see [sorting]; NULL in a sort by id alone.
	Value ticket.Value
	ID    ticket.ID
}

// List reads one page of a selection. next is nil for the last page. Errors are a [*table.FieldError] for a request that the
// table cannot serve, or wrap [flush.ErrSinkDown] or [flush.ErrSinkPaused].
func (db *DB) List(ctx context.Context, s *ticket.Selection, p *Page) (tickets []store.Record, next *Mark, err error) {
	const operation = "list tickets"
	d, err := db.known(ctx)
	if err != nil {
		return nil, nil, err
	}
	by, err := sortingBy(d, p.Sort)
	if err != nil {
		return nil, nil, err
	}
	where, err := conditionsOf(d, s)
	if err == nil && p.After != nil {
		err = by.behind(where, p)
	}
	if err != nil {
		return nil, nil, err
	}
	query := bounded(ctx, selected(d)+","+by.expression) + " FROM " + source(d) + where.text() +
		by.order(p.Descending) + fmt.Sprintf(" LIMIT %d", p.Limit+1) // a row beyond the limit shows that another page follows
	rows, err := db.pool.QueryContext(ctx, query, where.args...)
	if err != nil {
		return nil, nil, db.failure(operation, err)
	}
	defer rows.Close()
	tickets, next, err = readPage(rows, db.newRowScanner(d), p)
	return tickets, next, db.failure(operation, err)
}

// readPage reads limit rows, or the rows that fit, and returns the mark of the last row if more rows follow.
func readPage(rows *sql.Rows, scanner *rowScanner, p *Page) (tickets []store.Record, next *Mark, err error) {
	var sorted sql.RawBytes
	scanner.targets = append(scanner.targets, &sorted)
	last := &Mark{}
	for rows.Next() {
		if len(tickets) == p.Limit {
			return tickets, last, nil
		}
		row, err := scanner.scan(rows)
		if err != nil {
			return nil, nil, err
		}
		if p.Fits != nil && !p.Fits(&row) && len(tickets) > 0 {
			return tickets, last, nil
		}
		tickets = append(tickets, row)
		*last = Mark{ID: row.ID}
		if sorted != nil {
			last.Value = ticket.Text(string(sorted))
		}
	}
	return tickets, nil, rows.Err()
}

// Count counts the tickets of a selection. The errors are those of [DB.List].
func (db *DB) Count(ctx context.Context, s *ticket.Selection) (int64, error) {
	d, err := db.known(ctx)
	if err != nil {
		return 0, err
	}
	where, err := conditionsOf(d, s)
	if err != nil {
		return 0, err
	}
	var n int64
	query := bounded(ctx, "COUNT(*)") + " FROM " + source(d) + where.text()
	err = db.pool.QueryRowContext(ctx, query, where.args...).Scan(&n)
	return n, db.failure("count tickets", err)
}

// CountBy counts the tickets of a selection for each value of a field, the largest number first, equal numbers by value. more
// says that the field has more values than limit. The errors are those of [DB.List].
func (db *DB) CountBy(
	ctx context.Context, s *ticket.Selection, field string, limit int,
) (groups []ticket.Group, more bool, err error) {
	const operation = "count tickets by a field"
	d, err := db.known(ctx)
	if err != nil {
		return nil, false, err
	}
	by, err := sortingBy(d, field)
	if err != nil {
		return nil, false, err
	}
	where, err := conditionsOf(d, s)
	if err != nil {
		return nil, false, err
	}
	query := bounded(ctx, "MIN("+quote(by.column.Name)+"),COUNT(*)") + " FROM " + source(d) + where.text() +
		" GROUP BY " + quote(by.column.Name) + fmt.Sprintf(" ORDER BY 2 DESC,1 LIMIT %d", limit+1)
	rows, err := db.pool.QueryContext(ctx, query, where.args...)
	if err != nil {
		return nil, false, db.failure(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		if len(groups) == limit {
			return groups, true, nil
		}
		var value sql.NullString
		var g ticket.Group
		if err := rows.Scan(&value, &g.Count); err != nil {
			return nil, false, db.failure(operation, err)
		}
		if value.Valid {
			g.Value = ticket.Text(value.String)
		}
		groups = append(groups, g)
	}
	return groups, false, db.failure(operation, rows.Err())
}

// bounded begins a SELECT that the server itself ends soon after ctx's deadline: a client that disconnects does not end a query
// that reads the whole table. MariaDB takes the first part and MySQL the second; each server skips the other part as a comment.
func bounded(ctx context.Context, columns string) string {
	deadline, set := ctx.Deadline()
	if !set {
		return "SELECT " + columns
	}
	const grace = time.Second // ctx's deadline ends the call first, with a clear error
	left := max(time.Until(deadline), 0) + grace
	return fmt.Sprintf("/*M! SET STATEMENT max_statement_time=%.3f FOR */ SELECT /*+ MAX_EXECUTION_TIME(%d) */ %s",
		left.Seconds(), left.Milliseconds(), columns)
}

// sorting is an ORDER BY with the condition that continues after a mark.
type sorting struct {
	column     *table.Column // nil: by id alone
	expression string        // NULL in a sort by id alone
	key        string
}

// sortingBy refuses fields for which the database's order may differ from the comparison with a mark.
func sortingBy(d *table.Definition, field string) (*sorting, error) {
	by := &sorting{expression: "NULL", key: quote(d.Key)}
	if field == "" {
		return by, nil
	}
	i, there := d.Position(field)
	if !there {
		return nil, &table.FieldError{Field: field, Rule: table.RuleUnknown, Reason: "the table has no such column"}
	}
	by.column = &d.Columns[i]
	by.expression = quote(by.column.Name)
	switch by.column.Kind {
	case table.Enum: // the database sorts by the members' order, but compares as text
		by.expression += "+0"
	case table.Integer, table.Char, table.Varchar, table.Date, table.Datetime, table.Timestamp:
	default:
		return nil, &table.FieldError{
			Field: field, Rule: table.RuleFormat, Reason: "a column of this type cannot be sorted by: " + string(by.column.Kind),
		}
	}
	return by, nil
}

func (by *sorting) order(descending bool) string {
	direction := ""
	if descending {
		direction = " DESC"
	}
	if by.column == nil {
		return " ORDER BY " + by.key + direction
	}
	return " ORDER BY " + by.expression + direction + "," + by.key + direction
}

// behind adds the condition that a row comes after the mark.
func (by *sorting) behind(where *conditions, p *Page) error {
	further := " > "
	if p.Descending {
		further = " < "
	}
	id := by.key + further + "?"
	null := by.expression + " IS NULL"
	switch {
	case by.column == nil:
		where.add(id, int64(p.After.ID))
	case p.After.Value.IsNull() && p.Descending:
		where.add(null+" AND "+id, int64(p.After.ID))
	case p.After.Value.IsNull():
		where.add("("+null+" AND "+id+" OR "+by.expression+" IS NOT NULL)", int64(p.After.ID))
	default:
		e, place, value, err := by.operand(p.After.Value)
		if err != nil {
			return err
		}
		strict := strings.TrimSpace(further)
		// The second part implies the first part; the optimizer makes a range of the first part.
		text := fmt.Sprintf("%s %s= %s AND (%s %s %s OR %s)", e, strict, place, e, strict, place, id)
		if p.Descending && by.column.Nullable {
			text = "(" + text + " OR " + null + ")"
		}
		where.add(text, value, value, int64(p.After.ID))
	}
	return nil
}

// operand returns the expression to compare with a mark's value, the placeholder of the value, and the value. Tables hold dates
// that package table refuses: of zeros, with a month or day that is zero, the 31st of February. The comparison uses numbers for
// such dates, as strict sessions take no literal of them, even in a comparison.
func (by *sorting) operand(v ticket.Value) (expression, place string, value any, err error) {
	c := *by.column
	if c.Kind == table.Enum {
		c = table.Column{Field: c.Field, Name: c.Name, Kind: table.Integer, Bits: 16, Unsigned: true}
	}
	value, err = operand(&c, v)
	dated := c.Kind == table.Date || c.Kind == table.Datetime || c.Kind == table.Timestamp
	if err != nil && dated && writtenDate.MatchString(v.Text()) {
		digits := strings.NewReplacer("-", "", ":", "", " ", "").Replace(v.Text())
		return by.expression + "+0", "CAST(? AS DECIMAL(20,6))", digits, nil
	}
	return by.expression, "?", value, err
}

// writtenDate is a date in the databases' form.
var writtenDate = regexp.MustCompile(`^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?$`)

// deletedWindow is how many rows a search for deleted tickets reads: no index helps, and a statement must not take longer as the
// table grows.
const deletedWindow = 50_000

// Deleted returns the deleted tickets among the next rows above after, in the order of their ids, and the last id of the
// searched range; more says that rows above that id exist. In a table without deleted_at the tombstones are the deleted tickets;
// a side table's marks count too. Errors wrap [flush.ErrSinkDown] or [flush.ErrSinkPaused].
func (db *DB) Deleted(ctx context.Context, after ticket.ID) (ids []ticket.ID, upTo ticket.ID, more bool, err error) {
	const operation = "read deleted tickets"
	d, err := db.known(ctx)
	if err != nil {
		return nil, 0, false, err
	}
	places := db.markings(d)
	window, marked := make([]string, len(places)), make([]string, len(places))
	var above, between []any
	for i, p := range places {
		window[i] = "(SELECT " + p.key + " AS id FROM " + p.table + " WHERE " + p.key + " > ? ORDER BY " + p.key + " LIMIT ?)"
		marked[i] = "SELECT " + p.key + " AS id FROM " + p.table + " WHERE " + p.key + " > ? AND " + p.key + " <= ?" + p.deleted
		above = append(above, int64(after), deletedWindow)
	}
	var last sql.NullInt64
	var n int
	err = db.pool.QueryRowContext(ctx, "SELECT MAX(id),COUNT(*) FROM (SELECT id FROM ("+strings.Join(window, " UNION ")+
		") AS ids ORDER BY id LIMIT ?) AS page", append(above, deletedWindow)...).Scan(&last, &n)
	if err != nil {
		return nil, 0, false, db.failure(operation, err)
	}
	if n == 0 {
		return nil, after, false, nil
	}
	for range places {
		between = append(between, int64(after), last.Int64)
	}
	rows, err := db.pool.QueryContext(ctx, strings.Join(marked, " UNION ")+" ORDER BY id", between...)
	if err != nil {
		return nil, 0, false, db.failure(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, 0, false, db.failure(operation, err)
		}
		if id > 0 { // ticket ids are above zero
			ids = append(ids, ticket.ID(id))
		}
	}
	return ids, ticket.ID(last.Int64), n == deletedWindow, db.failure(operation, rows.Err())
}

// marking describes a place of deleted tickets: a table, the column of the ticket's id, and a condition to append.
type marking struct{ table, key, deleted string }

// markings returns the places that record deleted tickets.
func (db *DB) markings(d *table.Definition) []marking {
	var all []marking
	if d.DeletedAt != "" {
		i, _ := d.Position(d.DeletedAt)
		all = append(all, marking{quote(d.Table), quote(d.Key), " AND NOT " + present(&d.Columns[i])})
	}
	switch {
	case d.Side != "":
		all = append(all, marking{quote(d.Side), "ticket_id", " AND deleted=1"})
	case d.DeletedAt == "":
		all = append(all, marking{db.tombstones(), "ticket_id", ""})
	}
	return all
}

// Born returns the latest time, as a revision, at which the table began to know tickets of these ids: the row's time of
// creation, or its last change if that is earlier. For a deleted ticket without a row, the time is the deletion's. Ids that the
// table does not know are left out.
func (db *DB) Born(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error) {
	const operation = "look up the age of tickets"
	d, err := db.known(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.Rows(ctx, ids)
	if err != nil {
		return nil, err
	}
	born := make(map[ticket.ID]ticket.Revision, len(ids))
	for i := range rows {
		born[rows[i].ID] = bornBy(d, &rows[i])
	}
	places := db.markings(d)
	if place := places[len(places)-1]; place.table != quote(d.Table) {
		var gone []*row
		for _, id := range ids {
			if born[id] == 0 {
				gone = append(gone, &row{id: id})
			}
		}
		if len(gone) == 0 {
			return born, nil
		}
		deleted, err := readRevisions(ctx, db.pool,
			"SELECT "+place.key+",revision FROM "+place.table+" WHERE "+place.key+" IN ", place.deleted, gone)
		if err != nil {
			return nil, db.failure(operation, err)
		}
		for id, revision := range deleted {
			born[id] = max(revision.Revision, 1)
		}
	}
	return born, nil
}

// bornBy returns the latest time at which a row's ticket began to exist. A row at revision 0 was inserted by another program,
// and a row without a time of creation may be of any age, whenever it was changed: the two count as old.
func bornBy(d *table.Definition, r *store.Record) ticket.Revision {
	const old = 1
	created, there := r.Fields.Get(d.CreatedAt)
	if !there || created.IsNull() {
		return old
	}
	at, err := time.Parse(time.DateTime, created.Text())
	if seconds, number := strconv.ParseInt(created.Text(), 10, 64); number == nil {
		at, err = time.Unix(seconds, 0), nil
	}
	if err != nil { // a date without a time, or only zeros
		return old
	}
	at = at.Add(time.Second) // the column may have whole seconds
	return max(min(r.Revision, ticket.Revision(at.UnixMicro())), old)
}
