package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// The visitors' wave: each ticket is created once and then updated, one request after the other; several tickets at a time.
const (
	tickets  = 200
	updates  = 5 // of each ticket
	visitors = 4 // at a time
)

var statuses = [...]string{"open", "pending", "answered", "pending", "resolved"}

// wave is what the visitors did and what PHP measured.
type wave struct {
	mu       sync.Mutex
	requests int
	inPHP    []time.Duration // the call of the daemon, as PHP saw it
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
	_ = bar.Finish() // what cannot be drawn is not worth failing for
	return w, errors.Join(errs...)
}

// newBar draws a bar on a terminal and nothing elsewhere, e.g. in a log.
func newBar(total int) *progressbar.ProgressBar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return progressbar.DefaultSilent(int64(total))
	}
	return progressbar.Default(int64(total), "requests")
}

// ticket creates one ticket and updates it.
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

// send makes one request of the REST route and reads its reply into out, where that is not nil.
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
