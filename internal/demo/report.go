package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver for reading the result

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// show is `demo run`.
func show(ctx context.Context, redis bool) (err error) {
	s, err := startSite(ctx, redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	fmt.Printf("%d visitors create %d tickets over HTTP and update each %d times.\n", visitors, tickets, updates)
	w, err := visit(ctx, s)
	if err != nil {
		return err
	}
	r, err := s.result(ctx, w)
	if err != nil {
		return err
	}
	return r.print(w)
}

// result is what arrived in MySQL.
type result struct {
	rows, exact      int // rows in the table, and those whose status is the last one that was acknowledged
	flushed          int64
	statements, dead int64
}

// result has everything flushed and compares.
func (s *site) result(ctx context.Context, w *wave) (result, error) {
	var r result
	client, err := protocol.Dial(ctx, s.Socket)
	if err != nil {
		return r, err
	}
	defer func() { _ = client.Close() }()
	if _, err := client.Flush(ctx, nil, nil); err != nil {
		return r, err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return r, err
	}
	r.flushed, r.statements, r.dead = status.FlushedRows, status.FlushStatements, status.Dead
	db, err := sql.Open("mysql", s.MariaDB.DSN(testenv.StackDatabase))
	if err != nil {
		return r, err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT ticket_id, status FROM wp_support_tickets")
	if err != nil {
		return r, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var status string
		if err := rows.Scan(&id, &status); err != nil {
			return r, err
		}
		r.rows++
		if w.last[id] == status {
			r.exact++
		}
	}
	return r, rows.Err()
}

// print shows the table and fails where the numbers do not agree.
func (r *result) print(w *wave) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	line := func(what string, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(table)
	line("requests", "%d in %v, none failed", w.requests, w.took.Round(10*time.Millisecond))
	line("call of ticketd, as PHP saw it", "p50 %v, p99 %v", percentile(w.inPHP, 50), percentile(w.inPHP, 99))
	line("whole HTTP request through WordPress", "p50 %v, p99 %v", percentile(w.whole, 50), percentile(w.whole, 99))
	line("tickets created", "%d", len(w.last))
	line("updates acknowledged", "%d", len(w.last)*updates)
	line("rows in wp_support_tickets", "%d", r.rows)
	line("rows exactly as last acknowledged", "%d", r.exact)
	line("dead letters", "%d", r.dead)
	line("row writes in MySQL", "%d: the changes of a ticket within 200 ms become one", r.flushed)
	line("statements sent to MySQL", "%d, instead of %d with one for each request", r.statements, w.requests)
	if err := table.Flush(); err != nil {
		return err
	}
	if r.rows != len(w.last) || r.exact != len(w.last) || len(w.last) != tickets || r.dead != 0 {
		return errors.New("the numbers above do not agree")
	}
	fmt.Println("\n  Every acknowledged change is in MySQL.")
	return nil
}

// percentile returns the p-th percentile, rounded for reading.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)-1)*p/100].Round(10 * time.Microsecond)
}
