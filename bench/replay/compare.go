package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	_ "github.com/go-sql-driver/mysql" // the driver for reading the result

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// result is what arrived in MySQL.
type result struct {
	tickets, rows, exact        int
	statements, rowWrites, dead int64
	differences                 []string // the first ones, for people
}

// compare has everything flushed and compares the table with the tickets' last updates.
func (s *site) compare(ctx context.Context, last map[int64]incidents.Update) (*result, error) {
	r := &result{tickets: len(last)}
	if err := s.flush(ctx, r); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", s.MariaDB.DSN(testenv.StackDatabase))
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT * FROM wp_support_tickets ORDER BY ticket_id") //nolint:unqueryvet // all count
	if err != nil {
		return nil, fmt.Errorf("reading the tickets: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		id, row, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the tickets: %w", err)
		}
		r.rows++
		r.note(s.made.number(id), row, last)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the tickets: %w", err)
	}
	return r, nil
}

// flush brings everything to MySQL and asks what that took since the daemon's start.
func (s *site) flush(ctx context.Context, r *result) error {
	client, err := protocol.Dial(ctx, s.Socket)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if _, err := client.Flush(ctx, nil, nil); err != nil {
		return err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	r.statements, r.rowWrites, r.dead = status.FlushStatements, status.FlushedRows, status.Dead
	return nil
}

// scan reads a row as the log's fields: its columns, and the members of its extra column.
func scan(rows *sql.Rows) (id int64, fields map[string]*string, err error) {
	names, err := rows.Columns()
	if err != nil {
		return 0, nil, err
	}
	values, into := make([]*string, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return 0, nil, err
	}
	fields = make(map[string]*string, len(names))
	for i, name := range names {
		switch name {
		case "ticket_id":
			if _, err := fmt.Sscan(*values[i], &id); err != nil {
				return 0, nil, err
			}
		case "revision": // any is right
		case "extra":
			if values[i] != nil {
				if err := json.Unmarshal([]byte(*values[i]), &fields); err != nil {
					return 0, nil, err
				}
			}
		default:
			fields[name] = values[i]
		}
	}
	return id, fields, nil
}

// note compares one row.
func (r *result) note(id int64, row map[string]*string, last map[int64]incidents.Update) {
	const shown = 10
	want, known := last[id]
	different := differences(row, want.Fields)
	if !known {
		different = []string{"no such ticket in the log"}
	}
	if len(different) == 0 {
		r.exact++
	}
	for _, d := range different[:min(len(different), max(0, shown-len(r.differences)))] {
		r.differences = append(r.differences, fmt.Sprintf("ticket %d: %s", id, d))
	}
}

// differences names every field that one of the two has and the other has not or has otherwise. A field that is not
// there is NULL.
func differences(have, want map[string]*string) []string {
	names := make(map[string]bool, len(have))
	for name := range have {
		names[name] = true
	}
	for name := range want {
		names[name] = true
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if show(have[name]) != show(want[name]) {
			all = append(all, fmt.Sprintf("%s is %s, want %s", name, show(have[name]), show(want[name])))
		}
	}
	return all
}

func show(s *string) string {
	if s == nil {
		return "NULL"
	}
	return fmt.Sprintf("%q", *s)
}
