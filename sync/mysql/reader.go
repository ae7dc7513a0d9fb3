package mysql

import (
	"context"
	"database/sql"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// Rows reads the tickets in one query, ordered by id; those that have no row are left out. A row that ticketd has never written
// has the revision 0. The fields are all of the table's, NULLs included, then those of the extra column. Errors wrap
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
		case table.Bit: // as a number and not as its bytes
			list.WriteString("," + name + "+0")
		case table.Year: // as the server writes it, not as the driver does
			list.WriteString(",CAST(" + name + " AS CHAR)")
		case table.Float: // as a double: a FLOAT itself is written with six digits, which are another number
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

// rowScanner turns result rows into tickets.
type rowScanner struct {
	definition *table.Definition
	odd        *oddRows
	id         ticket.ID
	revision   revision
	deleted    bool // by the side table, where there is one
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

// unmarked says that the text is nothing but zeros: 0, or a zero date, as tables that know no NULL mark what is not
// deleted.
func unmarked(text string) bool { return strings.Trim(text, "0-: .") == "" }

// MaxRevision returns the highest revision in the table, zero where it is empty; what no revision can be is passed over. It is
// quick where the revision is indexed, as ticketd migrate leaves it.
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

// MaxID returns the highest ticket id in the table below [reach], zero where there is none.
func (db *DB) MaxID(ctx context.Context) (ticket.ID, error) {
	n, err := db.highest(ctx, db.config.Table, db.config.Key, int64(reach))
	if d := db.Definition(); err == nil && d != nil && d.Side != "" { // an id whose row was deleted is not free either
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
