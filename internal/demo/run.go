package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver for reading the result
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

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

// result counts the rows that arrived in MySQL.
type result struct {
	rows, exact      int // rows in the table, and rows with the last acknowledged status
	flushed          int64
	statements, dead int64

	told    int64 // events that the history has confirmed; 0 for a store without a feed
	ticket  int64 // a ticket, and its history, the newest change first
	history []protocol.HistoryChange
}

// result flushes all changes and compares the rows with the acknowledged updates.
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
	if err := r.follow(ctx, client, w); err != nil {
		return r, err
	}
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

// follow reads how many events the feed has told, and the history of the newest ticket.
func (r *result) follow(ctx context.Context, client *protocol.Client, w *wave) error {
	before, err := client.FeedStatus(ctx)
	if err != nil || !before.History.Enabled {
		return err
	}
	for id := range w.last {
		r.ticket = max(r.ticket, id)
	}
	for stale := true; stale; { // the history waits for the courier, but not for ever
		history, err := client.History(ctx, protocol.HistoryParams{ID: r.ticket})
		if err != nil {
			return err
		}
		r.history, stale = history.Changes, history.Stale
	}
	after, err := client.FeedStatus(ctx)
	if err != nil {
		return err
	}
	for i := range after.Destinations {
		r.told += after.Destinations[i].Sent
	}
	return nil
}

// printHistory shows the history of one ticket.
func (r *result) printHistory() {
	fmt.Printf("\n  The history of ticket %d (ticketd history %[1]d), the newest change first:\n\n", r.ticket)
	for i := range r.history {
		c := &r.history[i]
		var changes []string
		for _, f := range c.Values {
			var values []string
			for _, v := range f.Values {
				if text := v.Text(); !v.IsNull() {
					values = append(values, text)
				}
			}
			changes = append(changes, f.Name+": "+strings.Join(values, " → "))
		}
		line := strings.Join(changes, ", ")
		const wide = 70
		if runes := []rune(line); len(runes) > wide {
			line = string(runes[:wide]) + "…"
		}
		fmt.Printf("  %s  %-8s %-18s %s\n", c.At.UTC().Format("15:04:05.000"), c.Kind, c.By, line)
	}
}

// print shows the table and fails where the numbers do not agree.
func (r *result) print(w *wave) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	line := func(what string, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(table)
	line("requests", "%d in %v, none failed", w.requests, w.took.Round(10*time.Millisecond))
	line("call of ticketd, measured in PHP", "p50 %v, p99 %v", percentile(w.inPHP, 50), percentile(w.inPHP, 99))
	line("whole HTTP request through WordPress", "p50 %v, p99 %v", percentile(w.whole, 50), percentile(w.whole, 99))
	line("tickets created", "%d", len(w.last))
	line("updates acknowledged", "%d", len(w.last)*updates)
	line("rows in wp_support_tickets", "%d", r.rows)
	line("rows exactly as last acknowledged", "%d", r.exact)
	line("dead letters", "%d", r.dead)
	if r.told > 0 {
		line("events told by the feed", "%d: %d creates and %d updates", r.told, len(w.last), len(w.last)*updates)
	}
	line("row writes in MySQL", "%d: the changes of a ticket within 200 ms become one", r.flushed)
	line("statements sent to MySQL", "%d, instead of %d with one for each request", r.statements, w.requests)
	if err := table.Flush(); err != nil {
		return err
	}
	if r.told > 0 {
		r.printHistory()
	}
	if r.told > 0 && r.told != int64(len(w.last)*(1+updates)) {
		return errors.New("the feed has not told each acknowledged change once")
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

// The visitors' wave: each ticket is created once and then updated, request after request; several tickets in parallel.
const (
	tickets  = 200
	updates  = 5 // of each ticket
	visitors = 4 // at a time
)

var statuses = [...]string{"open", "pending", "answered", "pending", "resolved"}

// wave is the visitors' requests and the times measured in PHP.
type wave struct {
	mu       sync.Mutex
	requests int
	inPHP    []time.Duration // the call to the daemon, measured in PHP
	whole    []time.Duration // the HTTP request
	last     map[int64]string
	took     time.Duration
}

// visit sends the wave.
func visit(ctx context.Context, s *site) (*wave, error) {
	w := &wave{last: make(map[int64]string)}
	bar := newBar(tickets * (1 + updates))
	begin := time.Now()
	next := make(chan int)
	errs := make([]error, visitors)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	for v := range visitors {
		all.Go(func() {
			for n := range next {
				if errs[v] = w.ticket(ctx, s, n, bar); errs[v] != nil {
					cancel()
					return
				}
			}
		})
	}
	for n := range tickets {
		select {
		case next <- n:
		case <-ctx.Done():
		}
	}
	close(next)
	all.Wait()
	w.took = time.Since(begin)
	_ = bar.Finish() // a missing bar is no reason to fail
	return w, errors.Join(errs...)
}

// newBar draws a bar on a terminal, and no bar elsewhere, e.g. in a log.
func newBar(total int) *progressbar.ProgressBar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return progressbar.DefaultSilent(int64(total))
	}
	return progressbar.Default(int64(total), "requests")
}

// ticket creates a ticket and updates the ticket.
func (w *wave) ticket(ctx context.Context, s *site, n int, bar *progressbar.ProgressBar) error {
	var made struct {
		ID int64 `json:"id"`
	}
	fields := map[string]any{
		"subject": fmt.Sprintf("Where is order %d?", 1000+n), "customer_id": n%50 + 1, "category": "orders", "status": "open",
	}
	if err := w.send(ctx, s, http.MethodPost, "/tickets", fields, &made); err != nil {
		return err
	}
	_ = bar.Add(1)
	for u := range updates {
		status := statuses[u%len(statuses)]
		fields := map[string]any{"status": status, "assigned_to": u + 1}
		if err := w.send(ctx, s, http.MethodPatch, fmt.Sprintf("/tickets/%d", made.ID), fields, nil); err != nil {
			return err
		}
		w.mu.Lock()
		w.last[made.ID] = status
		w.mu.Unlock()
		_ = bar.Add(1)
	}
	return nil
}

// send makes a request of the REST route and reads the reply into out unless out is nil.
func (w *wave) send(ctx context.Context, s *site, method, path string, fields map[string]any, out any) error {
	body, err := json.Marshal(map[string]any{"fields": fields})
	if err != nil {
		return err
	}
	url := s.WordPress.URL() + "/index.php?rest_route=/ticketd/v1" + path
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	begin := time.Now()
	resp, err := s.WordPress.Nginx.Client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	w.note(resp.Header.Get("X-Demo-Nanoseconds"), time.Since(begin))
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

func (w *wave) note(nanoseconds string, whole time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests++
	w.whole = append(w.whole, whole)
	if n, err := strconv.ParseInt(nanoseconds, 10, 64); err == nil {
		w.inPHP = append(w.inPHP, time.Duration(n))
	}
}
