package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// Page is which part of a selection is listed, and in which order.
type Page struct {
	// Sort is the field that is sorted by; empty sorts by the ticket's id alone. Tickets that are equal in the field are
	// sorted by id, in the same direction. NULL is lower than every value.
	Sort       string
	Descending bool
	// After is the mark of the ticket with which the page before ended; nil is the first page.
	After *Mark
	// Limit is above zero.
	Limit int
	// Fits says of each row, in their order, whether it has room on the page. The page ends before the first that has none, unless
	// that would make it empty. Optional.
	Fits func(row *store.Record) bool
}

// Mark is where a ticket stands in a sort. It stays where it is when tickets come and go.
type Mark struct {
	// Value is that of the sort's expression, see [sorting]; NULL where there is none but the id.
	Value ticket.Value
	ID    ticket.ID
}

// List reads one page of a selection. next is nil where it is the last one. Errors are a [*table.FieldError] for what
// the table cannot be asked for, or wrap [flush.ErrSinkDown] or [flush.ErrSinkPaused].
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
		by.order(p.Descending) + fmt.Sprintf(" LIMIT %d", p.Limit+1) // one more tells whether there is a page after this
	rows, err := db.pool.QueryContext(ctx, query, where.args...)
	if err != nil {
		return nil, nil, db.failure(operation, err)
	}
	defer rows.Close()
	tickets, next, err = readPage(rows, db.newRowScanner(d), p)
	return tickets, next, db.failure(operation, err)
}

// readPage reads limit rows, or those that fit; where there is one more, the mark of the last that was read.
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

// Count counts the tickets of a selection. Its errors are those of [DB.List].
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

// CountBy counts the tickets of a selection for each value of a field, the largest number first, those of equal number
// by value. more says that there are more values than limit. Its errors are those of [DB.List].
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

// bounded begins a SELECT that the server itself ends soon after ctx's deadline: a client that goes away does not end a
// query that reads the whole table. MariaDB takes the first part and MySQL the second; each skips the other's as a
// comment.
func bounded(ctx context.Context, columns string) string {
	deadline, set := ctx.Deadline()
	if !set {
		return "SELECT " + columns
	}
	const grace = time.Second // the deadline itself ends the call, with an error that says so
	left := max(time.Until(deadline), 0) + grace
	return fmt.Sprintf("/*M! SET STATEMENT max_statement_time=%.3f FOR */ SELECT /*+ MAX_EXECUTION_TIME(%d) */ %s",
		left.Seconds(), left.Milliseconds(), columns)
}

// sorting is an ORDER BY with what continues behind a mark.
type sorting struct {
	column     *table.Column // nil: by id alone
	expression string        // NULL where it is by id alone
	key        string
}

// sortingBy refuses fields whose order the database and a mark cannot be relied on to see in the same way.
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
	case table.Enum: // sorted by the members' order, but compared as text
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
		// The first part is implied by the second; it is what the optimizer makes a range of.
		text := fmt.Sprintf("%s %s= %s AND (%s %s %s OR %s)", e, strict, place, e, strict, place, id)
		if p.Descending && by.column.Nullable {
			text = "(" + text + " OR " + null + ")"
		}
		where.add(text, value, value, int64(p.After.ID))
	}
	return nil
}

// operand returns what is compared with a mark's value, the placeholder of the value, and the value. Tables hold dates that the
// door does not take: of zeros, with a month or day that is zero, the 31st of February. They are compared as numbers, as strict
// sessions take no literal of them, even in a comparison.
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

// writtenDate is a date as the databases write it.
var writtenDate = regexp.MustCompile(`^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?$`)
