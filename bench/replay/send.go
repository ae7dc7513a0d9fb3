package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ticketd/ticketd/bench/incidents"
)

// sent is what became of the requests.
type sent struct {
	updates, failed int
	firstFailure    error
	took            time.Duration
}

// send sends the updates. Each worker owns the tickets whose number, divided by the workers, leaves its own: that
// keeps the order of a ticket's updates. A failed request is counted and not repeated.
func send(ctx context.Context, s *site, updates []incidents.Update, o *options) sent {
	client := s.WordPress.Nginx.Client()
	defer client.CloseIdleConnections()
	queues := make([]chan incidents.Update, o.workers)
	errs := make(chan error)
	var workers sync.WaitGroup
	for w := range queues {
		queues[w] = make(chan incidents.Update, 64)
		workers.Go(func() {
			for u := range queues[w] {
				errs <- s.patch(ctx, client, u)
			}
		})
	}
	var result sent
	begin := time.Now()
	go func() {
		deal(ctx, updates, queues, o.rate)
		workers.Wait()
		close(errs)
	}()
	for err := range errs {
		result.updates++
		if err != nil {
			result.failed++
			if result.firstFailure == nil {
				result.firstFailure = err
			}
		}
	}
	result.took = time.Since(begin)
	return result
}

// deal gives every update to its ticket's worker, at most rate per second where that is not 0.
func deal(ctx context.Context, updates []incidents.Update, queues []chan incidents.Update, rate float64) {
	defer func() {
		for _, q := range queues {
			close(q)
		}
	}()
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, u := range updates {
		if rate > 0 {
			timer.Reset(time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		select {
		case queues[u.Ticket%int64(len(queues))] <- u:
		case <-ctx.Done():
			return
		}
	}
}

// patch sends one update through the plugin's REST route.
func (s *site) patch(ctx context.Context, client *http.Client, u incidents.Update) error {
	body, err := json.Marshal(map[string]any{"fields": u.Fields})
	if err != nil {
		return err
	}
	url := fmt.Sprintf("%s/index.php?rest_route=/ticketd/v1/tickets/%d", s.WordPress.URL(), u.Ticket)
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ticket %d: %s: %s", u.Ticket, response.Status, text)
	}
	return nil
}
