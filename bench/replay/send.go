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

// sent counts the outcomes of the requests.
type sent struct {
	updates, failed int
	firstFailure    error
	took            time.Duration
}

// send sends the updates. Each worker owns the tickets with the same remainder of number by workers, which keeps the order of
// a ticket's updates. A failed request is counted and not repeated.
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
				errs <- s.update(ctx, client, u)
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

// deal gives every update to its ticket's worker, at most rate per second unless rate is 0.
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

// update sends an update through the plugin's REST route: the first update of a ticket creates the ticket under an id of the
// site.
func (s *site) update(ctx context.Context, client *http.Client, u incidents.Update) error {
	id, made := s.made.id(u.Ticket)
	if made {
		_, err := s.request(ctx, client, http.MethodPatch, fmt.Sprintf("/%d", id), u)
		return err
	}
	answer, err := s.request(ctx, client, http.MethodPost, "", u)
	if err == nil {
		s.made.note(u.Ticket, answer.ID)
	}
	return err
}

// answer is the route's to a create.
type answer struct {
	ID int64 `json:"id"`
}

func (s *site) request(ctx context.Context, client *http.Client, method, route string, u incidents.Update) (answer, error) {
	var got answer
	body, err := json.Marshal(map[string]any{"fields": u.Fields})
	if err != nil {
		return got, err
	}
	url := s.WordPress.URL() + "/index.php?rest_route=/ticketd/v1/tickets" + route
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return got, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return got, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return got, err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return got, fmt.Errorf("ticket %d: %s: %s", u.Ticket, response.Status, text)
	}
	return got, json.Unmarshal(text, &got)
}

// made maps the tickets of the log to the created tickets. The zero value is ready.
type made struct {
	mu   sync.Mutex
	ids  map[int64]int64 // by the log's number
	logs map[int64]int64 // the other way round
}

func (m *made) note(number, id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil {
		m.ids, m.logs = map[int64]int64{}, map[int64]int64{}
	}
	m.ids[number], m.logs[id] = id, number
}

func (m *made) id(number int64) (id int64, there bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, there = m.ids[number]
	return id, there
}

// number is the log's number of a ticket; 0 where the log has no such ticket.
func (m *made) number(id int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logs[id]
}
