package metrics

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

// The bounds of the server. A request for a profile runs for the duration in the request, normally 30 s; writeTimeout must be
// longer.
const (
	headerTimeout = 5 * time.Second
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// Server offers the metrics over HTTP at /metrics, and optionally profiles of the process below /debug/pprof/. Start and Stop
// are idempotent.
type Server struct {
	listener net.Listener
	http     *http.Server
	log      zerolog.Logger
	loop     lifecycle.Loop
}

// NewServer returns a server that owns the listener.
func NewServer(m *Metrics, l net.Listener, profiles bool, log zerolog.Logger) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.HTTP())
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return &Server{listener: l, log: log, http: &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: stdlog.New(log, "", 0), // mistakes of clients
	}}
}

// Start begins to serve and returns at once.
func (s *Server) Start(ctx context.Context) {
	s.loop.Start(ctx, func(ctx context.Context) {
		defer context.AfterFunc(ctx, func() { _ = s.http.Close() })() // Prometheus repeats a scrape that is cut off
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error().Err(err).Msg("the metrics endpoint has stopped; the next start of the daemon retries")
		}
	})
}

// Stop closes the listener and all connections, without waiting for answers.
func (s *Server) Stop(ctx context.Context) error {
	err := s.loop.Stop(ctx, "metrics server")
	if closing := s.listener.Close(); closing != nil && !errors.Is(closing, net.ErrClosed) { // never started
		err = errors.Join(err, fmt.Errorf("metrics: %w", closing))
	}
	return err
}
