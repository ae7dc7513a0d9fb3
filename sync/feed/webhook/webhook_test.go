package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/feedtest"
	"github.com/ticketd/ticketd/sync/feed/webhook"
)

// receiver is an endpoint that keeps what it receives.
type receiver struct {
	*httptest.Server

	requests chan received
}

// newReceiver starts an endpoint. Without a handler it answers 204.
func newReceiver(t *testing.T, handle http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{requests: make(chan received, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		r.requests <- received{header: request.Header, body: body, path: request.URL.Path}
		if handle == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		handle(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(t *testing.T) received {
	t.Helper()
	select {
	case request := <-r.requests:
		return request
	default:
		t.Fatal("the endpoint has received no further request")
		return received{}
	}
}

func (r *receiver) publisher(t *testing.T, edit func(c *webhook.Config)) feed.Publisher {
	t.Helper()
	config := webhook.Config{
		URL: r.URL + "/hooks/tickets", Secrets: []string{webhook.NewSecret()}, Encoder: cloudevent.NewEncoder("main", false, nil),
	}
	if edit != nil {
		edit(&config)
	}
	return feedtest.Open(t, func() (feed.Publisher, error) { return webhook.New(config) })
}

func change(id ticket.ID) ticket.Event {
	return ticket.Event{
		Kind: ticket.EventUpdated, Ticket: id, Revision: 1764000000123456, At: time.Unix(1764000000, 0),
		Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
	}
}

func changes(n int) []ticket.Event {
	events := make([]ticket.Event, n)
	for i := range events {
		events[i] = change(ticket.ID(i + 1))
	}
	return events
}

func wantDecisions(t *testing.T, verdicts []feed.Verdict, want ...feed.Decision) {
	t.Helper()
	got := make([]feed.Decision, len(verdicts))
	for i, v := range verdicts {
		got[i] = v.Decision
		if (v.Decision == feed.Confirmed) != (v.Err == nil) {
			t.Errorf("event %d: decision %d with the error %v", i, v.Decision, v.Err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("decisions %v, not %v (%v)", got, want, verdicts)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	event := change(812)
	wantDecisions(t, r.publisher(t, nil).Publish(t.Context(), []ticket.Event{event}), feed.Confirmed)
	got := r.take(t)
	if want := cloudevent.NewEncoder("main", false, nil).Encode(&event); string(got.body) != string(want) {
		t.Errorf("the body is %s, not %s", got.body, want)
	}
	if got.path != "/hooks/tickets" || got.header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" ||
		!strings.HasPrefix(got.header.Get("User-Agent"), "ticketd/") {
		t.Errorf("a request to %s with %v", got.path, got.header)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 19, 40, 0, 0, time.UTC)
	for _, c := range []struct {
		status     int
		retryAfter string
		want       feed.Decision
		after      time.Duration
	}{
		{200, "", feed.Confirmed, 0},
		{202, "", feed.Confirmed, 0},
		{299, "", feed.Confirmed, 0},
		{301, "", feed.Later, 0},
		{302, "", feed.Later, 0},
		{307, "", feed.Later, 0},
		{400, "", feed.Refused, 0},
		{401, "", feed.Refused, 0},
		{404, "", feed.Refused, 0},
		{408, "", feed.Later, 0},
		{410, "", feed.Paused, 0},
		{413, "", feed.Refused, 0},
		{422, "30", feed.Refused, 0},
		{425, "", feed.Later, 0},
		{429, "30", feed.Later, 30 * time.Second},
		{429, "9999999999", feed.Later, 24 * time.Hour},
		{429, "-5", feed.Later, 0},
		{429, "soon", feed.Later, 0},
		{500, "", feed.Later, 0},
		{503, "Sun, 29 Nov 2026 19:42:00 GMT", feed.Later, 2 * time.Minute},
		{503, "Sun, 29 Nov 2026 19:30:00 GMT", feed.Later, 0},
		{599, "", feed.Later, 0},
	} {
		var elsewhere atomic.Bool
		r := newReceiver(t, func(w http.ResponseWriter, request *http.Request) {
			elsewhere.Store(elsewhere.Load() || request.URL.Path == "/elsewhere")
			w.Header().Set("Location", "/elsewhere")
			if c.retryAfter != "" {
				w.Header().Set("Retry-After", c.retryAfter)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, "because of "+strings.Repeat("this and ", 1000))
		})
		p := r.publisher(t, func(config *webhook.Config) { config.Now = func() time.Time { return now } })
		verdict := p.Publish(t.Context(), changes(1))[0]
		if verdict.Decision != c.want || verdict.After != c.after {
			t.Errorf("%d with Retry-After %q is %d after %s", c.status, c.retryAfter, verdict.Decision, verdict.After)
		}
		if kept := len(verdict.Answer); kept > feed.MaxAnswer || (kept > 0) != (c.want == feed.Refused) {
			t.Errorf("%d: %d bytes of the answer are kept", c.status, kept)
		}
		if paused := p.Probe(t.Context()) != nil; paused != (c.want == feed.Paused) {
			t.Errorf("%d: the probe says paused = %v", c.status, paused)
		}
		if elsewhere.Load() {
			t.Errorf("%d: the redirect was followed", c.status)
		}
	}
}

// An endpoint that has unsubscribed stays paused until it accepts an event that an operator sends.
func TestGoneUntilConfirmed(t *testing.T) {
	t.Parallel()
	status := http.StatusGone
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	p := r.publisher(t, func(c *webhook.Config) { c.Parallel = 1 })
	wantDecisions(t, p.Publish(t.Context(), changes(3)), feed.Paused, feed.Paused, feed.Paused)
	if r.take(t); len(r.requests) > 0 {
		t.Errorf("%d requests more after 410", len(r.requests))
	}
	if p.Probe(t.Context()) == nil {
		t.Error("the probe resumes the destination by itself")
	}
	status = http.StatusOK
	wantDecisions(t, p.Publish(t.Context(), changes(1)), feed.Confirmed)
	if err := p.Probe(t.Context()); err != nil {
		t.Error(err)
	}
}

// A destination that is down gets a few requests, not one for each of 500 events; a single event that breaks the endpoint does
// not keep the others from being sent.
func TestEndpointDown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		handle   func(w http.ResponseWriter, n int)
		requests int
	}{
		{"500 always", func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusInternalServerError) }, 3},
		{"429 with a pause", func(w http.ResponseWriter, _ int) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
		}, 1},
		{"500 twice, then well", func(w http.ResponseWriter, n int) {
			if n <= 2 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}, 20},
	} {
		n := 0
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			n++
			c.handle(w, n)
		})
		verdicts := r.publisher(t, func(config *webhook.Config) { config.Parallel = 1 }).Publish(t.Context(), changes(20))
		if n != c.requests {
			t.Errorf("%s: %d requests, not %d", c.name, n, c.requests)
		}
		for i, v := range verdicts {
			sent := i < c.requests
			if v.Unsent == sent || !sent && (v.Decision != feed.Later || !strings.Contains(v.Err.Error(), "not sent")) {
				t.Errorf("%s: event %d was not sent and is %+v", c.name, i, v)
			}
		}
	}
}

func TestParallelRequests(t *testing.T) {
	t.Parallel()
	const parallel, events = 3, 9
	var running, most atomic.Int64
	full := make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		most.Store(max(most.Load(), n))
		if n == parallel && most.Load() == parallel {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		<-full // no request ends before as many as possible run
	})
	verdicts := r.publisher(t, func(c *webhook.Config) { c.Parallel = parallel }).Publish(t.Context(), changes(events))
	wantDecisions(t, verdicts, slices.Repeat([]feed.Decision{feed.Confirmed}, events)...)
	if most.Load() != parallel {
		t.Errorf("%d requests at once, not %d", most.Load(), parallel)
	}
}

// The status decides, and it has to come in time.
func TestTimeOut(t *testing.T) {
	t.Parallel()
	silent := newReceiver(t, func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() })
	p := silent.publisher(t, func(c *webhook.Config) { c.Timeout = 20 * time.Millisecond })
	verdict := p.Publish(t.Context(), changes(1))[0]
	if verdict.Decision != feed.Later || !strings.Contains(verdict.Err.Error(), "no answer within 20ms") {
		t.Errorf("without an answer the verdict is %+v", verdict)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantDecisions(t, silent.publisher(t, nil).Publish(ended, changes(2)), feed.Later, feed.Later)

	endless := newReceiver(t, func(w http.ResponseWriter, request *http.Request) {
		for request.Context().Err() == nil {
			if _, err := io.WriteString(w, "ok, and "); err != nil {
				return
			}
		}
	})
	wantDecisions(t, endless.publisher(t, nil).Publish(t.Context(), changes(1)), feed.Confirmed)
}

// A refused event of a batch is found by halving; the other events arrive.
func TestBatches(t *testing.T) {
	t.Parallel()
	const poison = "7"
	r := newReceiver(t, nil)
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var events []struct {
			Subject string `json:"subject"`
		}
		body, _ := io.ReadAll(request.Body)
		if err := json.Unmarshal(body, &events); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if request.Header.Get("Content-Type") != "application/cloudevents-batch+json; charset=utf-8" {
			t.Errorf("content type %s", request.Header.Get("Content-Type"))
		}
		for _, e := range events {
			if e.Subject == poison {
				w.WriteHeader(http.StatusUnprocessableEntity)
			}
		}
		r.requests <- received{header: request.Header, body: body}
	})
	p := r.publisher(t, func(c *webhook.Config) { c.Batch, c.Parallel = 8, 1 })
	want := slices.Repeat([]feed.Decision{feed.Confirmed}, 20)
	want[6] = feed.Refused
	wantDecisions(t, p.Publish(t.Context(), changes(20)), want...)
	first := r.take(t)
	if requests := len(r.requests) + 1; requests != 3+6 { // 8 → 4+4 → 2+2 → 1+1
		t.Errorf("%d requests for two whole batches and one with a refused event", requests)
	}
	p.Publish(t.Context(), changes(20))
	for len(r.requests) > 9 {
		r.take(t)
	}
	ids := map[string]bool{}
	for len(r.requests) > 0 {
		ids[r.take(t).header.Get("Webhook-Id")] = true
	}
	if id := first.header.Get("Webhook-Id"); !ids[id] || strings.Contains(id, ".") {
		t.Errorf("the first batch's id %q is not among those of the second try: %v", id, ids)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	events := changes(60)
	for i := range events {
		for range 12 {
			text := ticket.Text(strings.Repeat("x", 4<<10))
			events[i].Fields = append(events[i].Fields, ticket.Field{Name: strings.Repeat("f", len(events[i].Fields)+1), Value: text})
		}
	}
	p := r.publisher(t, func(c *webhook.Config) { c.Batch = 100 })
	wantDecisions(t, p.Publish(t.Context(), events), slices.Repeat([]feed.Decision{feed.Confirmed}, len(events))...)
	if len(r.requests) < 3 {
		t.Errorf("3 MiB came in %d requests", len(r.requests))
	}
	for len(r.requests) > 0 {
		if size := len(r.take(t).body); size > 1<<20+2 {
			t.Errorf("a request has %d bytes", size)
		}
	}
}

// A certificate that the CAs do not vouch for is refused, and the URL's secret parts are in no error.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	config := webhook.Config{
		URL: server.URL + "/hook/s3cret?token=s3cret", Secrets: []string{webhook.NewSecret()},
		Encoder: cloudevent.NewEncoder("main", false, nil),
	}
	for _, known := range []bool{false, true} {
		want := feed.Later
		if known {
			pool := x509.NewCertPool()
			pool.AddCert(server.Certificate())
			config.TLS, want = &tls.Config{RootCAs: pool}, feed.Confirmed
		}
		p, err := webhook.New(config)
		if err != nil {
			t.Fatal(err)
		}
		verdict := p.Publish(t.Context(), changes(1))[0]
		if err := p.Close(); err != nil || verdict.Decision != want {
			t.Errorf("certificate known: %v; the verdict is %+v, closing: %v", known, verdict, err)
		}
		if verdict.Err != nil && strings.Contains(verdict.Err.Error(), "s3cret") {
			t.Errorf("the error shows the URL's secret: %v", verdict.Err)
		}
	}
}

func TestConfigurationRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		edit func(c *webhook.Config)
	}{
		{"url", func(c *webhook.Config) { c.URL = "" }},
		{"url", func(c *webhook.Config) { c.URL = "crm.example/hooks" }},
		{"url", func(c *webhook.Config) { c.URL = "http://crm.example/s3cret" }},
		{"url", func(c *webhook.Config) { c.URL = "http://127.0.0.1.example/s3cret" }},
		{"url", func(c *webhook.Config) { c.URL = "ftp://localhost/s3cret" }},
		{"url", func(c *webhook.Config) { c.URL = "https://crm.example/#s3cret" }},
		{"url", func(c *webhook.Config) { c.URL = "https://crm.example:s3cret/" }},
		{"batch", func(c *webhook.Config) { c.Batch = 101 }},
		{"batch", func(c *webhook.Config) { c.Batch = -1 }},
		{"parallel", func(c *webhook.Config) { c.Parallel = 65 }},
		{"timeout", func(c *webhook.Config) { c.Timeout = -1 }},
	} {
		config := webhook.Config{URL: "https://crm.example/", Secrets: []string{webhook.NewSecret()}}
		c.edit(&config)
		_, err := webhook.New(config)
		if err == nil || !strings.HasPrefix(err.Error(), c.key+": ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", config, err)
		}
	}
	for _, accepted := range []string{"https://crm.example/", "http://localhost:8080/x", "http://127.0.0.2/", "http://[::1]:80/"} {
		if _, err := webhook.New(webhook.Config{URL: accepted, Secrets: []string{webhook.NewSecret()}}); err != nil {
			u, _ := url.Parse(accepted)
			t.Errorf("%s: %v", u, err)
		}
	}
}
