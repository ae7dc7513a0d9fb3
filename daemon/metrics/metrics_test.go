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

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
)

// answers is a handler whose answer depends on the method.
type answers struct{}

func (answers) Handle(
	_ context.Context, _ daemon.Peer, req protocol.Request, _ func(done, total int64),
) (protocol.Result, error) {
	switch req.Method {
	case protocol.MethodGet:
		return nil, protocol.Errorf(protocol.CodeNotFound, "no")
	case protocol.MethodList:
		return nil, errors.New("a fault")
	case protocol.MethodCount:
		panic("another")
	default:
		return &protocol.PingResult{}, nil
	}
}

func ask(h daemon.Handler, m protocol.Method) {
	defer func() { _ = recover() }() // the connection does the same
	_, _ = h.Handle(context.Background(), daemon.Peer{}, protocol.Request{Method: m}, nil)
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.HTTP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scraped %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestRequestsCountByMethodAndCode(t *testing.T) {
	t.Parallel()
	m := New("1.2.3")
	h := m.Handler(answers{})
	for range 2 {
		ask(h, protocol.MethodPing)
	}
	for _, method := range []protocol.Method{protocol.MethodGet, protocol.MethodList, protocol.MethodCount, "made\nup", "other"} {
		ask(h, method)
	}
	text := scrape(t, m)
	for _, want := range []string{
		`ticketd_requests_total{code="ok",method="ping"} 2`,
		`ticketd_requests_total{code="not_found",method="get"} 1`,
		`ticketd_requests_total{code="internal",method="list"} 1`,
		`ticketd_requests_total{code="internal",method="count"} 1`, // the handler panicked
		`ticketd_requests_total{code="ok",method="unknown"} 2`,     // names from outside have no bound
		`ticketd_requests_total{code="overloaded",method="set"} 0`, // present before the first such answer
		`ticketd_request_duration_seconds_count{method="ping"} 2`,
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
	m.Batches("main")(17)
	text := scrape(t, m)
	for _, want := range []string{
		`ticketd_flush_batch_tickets_sum{site="main"} 3`, `ticketd_flush_duration_seconds_count{site="main"} 1`,
		`ticketd_flush_locked_total{site="main"} 1`, `ticketd_apply_batch_changes_sum{site="main"} 17`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in the metrics", want)
		}
	}
}

func TestNoMetricsAreInNobodysWay(t *testing.T) {
	t.Parallel()
	var none *Metrics
	if h := none.Handler(answers{}); h != (answers{}) {
		t.Errorf("the handler is wrapped: %T", h)
	}
	if _, wrapped := none.Sink("main", fakeSink{}).(*sink); wrapped || none.Batches("main") != nil {
		t.Error("the sink or the batches are counted")
	}
	none.Watch(Sources{})
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
		s := NewServer(New(""), l, wanted, zerolog.Nop())
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
	if err := NewServer(New(""), l, false, zerolog.Nop()).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is still open: %v", err)
	}
}

// BenchmarkHandler measures the cost of counting per request; a request takes 50 µs and more.
func BenchmarkHandler(b *testing.B) {
	for name, h := range map[string]daemon.Handler{"counted": New("").Handler(answers{}), "alone": answers{}} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = h.Handle(context.Background(), daemon.Peer{}, protocol.Request{Method: protocol.MethodSet}, nil)
				}
			})
		})
	}
}
