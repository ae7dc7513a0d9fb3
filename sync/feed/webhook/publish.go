package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
)

const (
	// maxFailures is how many requests in a row may go without an answer before the rest of the events is not sent.
	maxFailures = 3

	// maxPause bounds a Retry-After.
	maxPause = 24 * time.Hour
)

// errGone is the verdict of 410 Gone: the receiver unsubscribes.
var errGone = errors.New("the endpoint answers 410 Gone: it wants no more events until an operator resumes the destination")

// delivery is one Publish.
type delivery struct {
	*publisher

	verdicts []feed.Verdict

	mu       sync.Mutex
	failures int           // requests without an answer since the last answer
	over     *feed.Verdict // the verdict of what is not sent any more
}

// item is an encoded event and its place among the verdicts.
type item struct {
	index int
	id    string
	body  []byte
}

// Publish sends the events in parallel requests.
func (p *publisher) Publish(ctx context.Context, events []ticket.Event) []feed.Verdict {
	d := &delivery{publisher: p, verdicts: make([]feed.Verdict, len(events))}
	var group errgroup.Group
	group.SetLimit(p.config.Parallel)
	for _, batch := range p.batches(events) {
		group.Go(func() error {
			d.send(ctx, batch)
			return nil
		})
	}
	_ = group.Wait()
	return d.verdicts
}

// Probe answers whether the endpoint has unsubscribed. It sends nothing: an endpoint answers for events alone.
func (p *publisher) Probe(context.Context) error {
	if p.gone.Load() {
		return errGone
	}
	return nil
}

// batches are the requests for the events.
func (p *publisher) batches(events []ticket.Event) [][]item {
	var batches [][]item
	size := 0
	for i := range events {
		body := p.config.Encoder.Encode(&events[i])
		last := len(batches) - 1
		if last < 0 || len(batches[last]) == p.config.Batch || size+len(body) > maxBatchBytes {
			batches, size = append(batches, nil), 0
			last++
		}
		batches[last] = append(batches[last], item{index: i, id: events[i].ID(), body: body})
		size += len(body) + len(",")
	}
	return batches
}

// send sends a batch, and its halves if the endpoint refuses it.
func (d *delivery) send(ctx context.Context, batch []item) {
	verdict := d.stopped()
	if verdict == nil {
		answer := d.post(ctx, batch)
		d.note(answer)
		verdict = &answer.Verdict
	}
	if verdict.Decision == feed.Refused && len(batch) > 1 {
		d.send(ctx, batch[:len(batch)/2])
		d.send(ctx, batch[len(batch)/2:])
		return
	}
	for _, item := range batch {
		d.verdicts[item.index] = *verdict
	}
}

// answer is a verdict and what it says about the endpoint.
type answer struct {
	feed.Verdict

	failed bool // the endpoint may be down
}

// stopped returns the verdict of an event that is not sent any more, nil as long as events are sent.
func (d *delivery) stopped() *feed.Verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (d *delivery) note(a answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !a.failed {
		d.failures = 0
	} else {
		d.failures++
	}
	if d.over == nil && (a.Decision == feed.Paused || a.After > 0 || d.failures >= maxFailures) {
		d.over = &feed.Verdict{Decision: a.Decision, After: a.After, Unsent: true, Err: fmt.Errorf("not sent: %w", a.Err)}
	}
}

// post sends a batch once.
func (p *publisher) post(ctx context.Context, batch []item) answer {
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, fmt.Errorf("no answer within %s", p.config.Timeout))
	defer cancel()
	request, err := p.request(ctx, batch)
	if err != nil {
		return answer{Verdict: feed.Verdict{Err: p.failure(ctx, err)}, failed: true}
	}
	response, err := p.client.Do(request)
	if err != nil {
		return answer{Verdict: feed.Verdict{Err: p.failure(ctx, err)}, failed: true}
	}
	defer func() { _ = response.Body.Close() }()
	// The status decides: a body that never ends, or fails, changes nothing. What was read to its end leaves the connection open.
	text, _ := io.ReadAll(io.LimitReader(response.Body, feed.MaxAnswer))
	return p.judge(response, text)
}

func (p *publisher) request(ctx context.Context, batch []item) (*http.Request, error) {
	id, media, body := batch[0].id, cloudevent.ContentType, batch[0].body
	if p.config.Batch > 1 {
		id, media, body = join(batch)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.config.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	unix := p.config.Now().Unix()
	request.Header.Set("Content-Type", media)
	request.Header.Set("User-Agent", userAgent())
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(unix, 10))
	request.Header.Set("Webhook-Signature", p.signer.sign(id, unix, body))
	return request, nil
}

// join makes the array of a batch. The batch's id is made of the events' ids: the same batch has the same id at every try.
func join(batch []item) (id, media string, body []byte) {
	names, bodies := sha256.New(), make([][]byte, len(batch))
	for i, item := range batch {
		names.Write([]byte(item.id + "\n"))
		bodies[i] = item.body
	}
	body = append([]byte("["), bytes.Join(bodies, []byte(","))...)
	return "batch-" + hex.EncodeToString(names.Sum(nil)[:16]), cloudevent.BatchContentType, append(body, ']')
}

// failure is the error of a request without an answer; the client's own error would name the URL.
func (p *publisher) failure(ctx context.Context, err error) error {
	if request, ok := errors.AsType[*url.Error](err); ok {
		err = request.Err
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("posting to %s: %w", p.host, err)
}

func (p *publisher) judge(response *http.Response, text []byte) answer {
	status := response.StatusCode
	a := answer{Verdict: feed.Verdict{Err: fmt.Errorf("%s answers %s", p.host, response.Status)}}
	p.gone.Store(status == http.StatusGone)
	switch {
	case status >= 200 && status < 300:
		a.Verdict = feed.Verdict{Decision: feed.Confirmed}
	case status == http.StatusGone:
		a.Verdict = feed.Verdict{Decision: feed.Paused, Err: errGone}
	case status < 400: // a load balancer redirects to its page of maintenance
		a.failed = true
		a.Err = fmt.Errorf("%w: ticketd follows no redirect; if the endpoint has moved, change url", a.Err)
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		a.After, a.failed = p.retryAfter(response.Header.Get("Retry-After")), true
	default:
		a.Decision, a.Answer = feed.Refused, text
	}
	return a
}

// retryAfter reads a Retry-After: seconds or a date.
func (p *publisher) retryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxPause/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(date.Sub(p.config.Now()), 0), maxPause)
	}
	return 0
}
