package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.HTTP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scraped %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestRequestsCountBySiteMethodAndCode(t *testing.T) {
	t.Parallel()
	m := New("1.2.3")
	for range 2 {
		m.Count("main", protocol.MethodPing, nil, time.Millisecond)
	}
	m.Count("shop", protocol.MethodPing, nil, time.Millisecond)
	m.Count("main", protocol.MethodGet, protocol.Errorf(protocol.CodeNotFound, "no"), time.Millisecond)
	m.Count("main", protocol.MethodList, errors.New("a fault"), time.Millisecond)
	for _, method := range []protocol.Method{"made\nup", "other"} { // names from outside have no bound
		m.Count("", method, protocol.Errorf("odd", "no"), time.Millisecond)
	}
	text := scrape(t, m)
	for _, want := range []string{
		`ticketd_requests_total{code="ok",method="ping",site="main"} 2`,
		`ticketd_requests_total{code="ok",method="ping",site="shop"} 1`,
		`ticketd_requests_total{code="not_found",method="get",site="main"} 1`,
		`ticketd_requests_total{code="internal",method="list",site="main"} 1`,
		`ticketd_requests_total{code="internal",method="unknown",site=""} 2`,
		`ticketd_request_duration_seconds_count{method="ping"} 3`,
		`ticketd_build_info{version="1.2.3"} 1`,
		"\ngo_goroutines ", "\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want+"") {
			t.Errorf("%q is missing in the metrics", want)
		}
	}
}

// fakeSink answers results.
type fakeSink []flush.Result

func (s fakeSink) Write(context.Context, []store.Claim) ([]flush.Result, error) { return s, nil }

func TestFlushesCountTicketsAndLocks(t *testing.T) {
	t.Parallel()
	m := New("")
	sink := m.Sink("main", fakeSink{{}, {Later: errors.New("locked")}, {}})
	if results, err := sink.Write(t.Context(), make([]store.Claim, 3)); err != nil || len(results) != 3 {
		t.Fatalf("%v, %v", results, err)
	}
	m.Batches()(17)
	text := scrape(t, m)
	for _, want := range []string{
		`ticketd_flush_batch_tickets_sum 3`, `ticketd_flush_duration_seconds_count 1`,
		`ticketd_flush_locked_total{site="main"} 1`, `ticketd_apply_batch_changes_sum 17`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in the metrics", want)
		}
	}
}

func TestNoMetricsAreInNobodysWay(t *testing.T) {
	t.Parallel()
	var none *Metrics
	if _, wrapped := none.Sink("main", fakeSink{}).(*sink); wrapped || none.Batches() != nil {
		t.Error("the sink or the batches are counted")
	}
	none.Watch(func() Sources { return Sources{} })
}

// Profiles show the process' memory, so the server offers them only on request.
func TestProfilesAreOffUnlessWanted(t *testing.T) {
	t.Parallel()
	for wanted, status := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := NewServer(New(""), l, ServerOptions{Profiles: wanted, Log: zerolog.Nop()})
		s.Start(t.Context())
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for path, want := range map[string]int{"/debug/pprof/": status, "/metrics": http.StatusOK, "/": http.StatusNotFound} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("with profiles %v, %s answers %d, want %d", wanted, path, resp.StatusCode, want)
			}
		}
		for range 2 {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// A server that was never started releases its address.
func TestStopBeforeStartClosesTheListener(t *testing.T) {
	t.Parallel()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := NewServer(New(""), l, ServerOptions{Log: zerolog.Nop()}).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is still open: %v", err)
	}
}

// BenchmarkCount measures the cost of counting per request; a request takes 50 µs and more.
func BenchmarkCount(b *testing.B) {
	m := New("")
	for b.Loop() {
		m.Count("main", protocol.MethodSet, nil, time.Millisecond)
	}
}
