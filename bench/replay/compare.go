package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver for reading the result

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// result is the data that arrived in MySQL.
type result struct {
	tickets, rows, exact        int
	statements, rowWrites, dead int64
	differences                 []string // the first differences, as text
}

// compare flushes all changes and compares the table with the tickets' last updates.
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

// flush flushes all changes to MySQL and reads the flush counts since the daemon's start.
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

// scan reads a row as the log's fields: the columns, and the members of the extra column.
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

// note compares a row.
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

// differences names every field that only one side has, or that differs. A missing field is NULL.
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

// print shows the result. The error is about failed updates or different tickets.
func (r *result) print(out io.Writer, s *sent) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(table)
	line("updates sent", "%d in %v, %.0f a second",
		s.updates, s.took.Round(time.Millisecond), float64(s.updates)/s.took.Seconds())
	line("updates failed", "%d", s.failed)
	line("tickets in the log", "%d", r.tickets)
	line("rows in wp_support_tickets", "%d", r.rows)
	line("rows exactly as the last line says", "%d", r.exact)
	line("dead letters", "%d", r.dead)
	line("row writes in MySQL", "%d", r.rowWrites)
	line("writing statements sent to MySQL", "%d", r.statements)
	if r.statements > 0 {
		line("updates per statement", "%.1f", float64(s.updates)/float64(r.statements))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var errs []error
	if s.failed > 0 {
		errs = append(errs, fmt.Errorf("%d updates failed, the first: %w", s.failed, s.firstFailure))
	}
	for _, d := range r.differences {
		errs = append(errs, errors.New(d))
	}
	if r.exact != r.tickets || r.rows != r.tickets || r.dead != 0 {
		errs = append(errs, fmt.Errorf("%d of %d tickets are in MySQL as their last line says", r.exact, r.tickets))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintln(out, "\n  Every ticket is in MySQL exactly as its last line says.")
	return nil
}
