package metrics

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"github.com/rs/zerolog"
	yaml "go.yaml.in/yaml/v2"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
)

// The bounds of the server. A request for a profile runs for the duration in the request, normally 30 s; writeTimeout must be
// longer.
const (
	headerTimeout = 5 * time.Second
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// Server offers the metrics over HTTP at /metrics, the daemon's health at /healthz and /readyz, and optionally profiles of the
// process below /debug/pprof/. Start and Stop are idempotent.
type Server struct {
	listener net.Listener
	http     *http.Server
	web      string
	log      zerolog.Logger
	loop     lifecycle.Loop
}

// ServerOptions of [NewServer].
type ServerOptions struct {
	Profiles bool
	// WebConfig is a file of Prometheus' exporter-toolkit, or empty.
	WebConfig string
	// Remote says that other hosts reach the endpoint.
	Remote bool
	// Ready says why clients should not be sent to this daemon.
	Ready func() error
	Log   zerolog.Logger
}

// NewServer returns a server that owns the listener.
func NewServer(m *Metrics, l net.Listener, o ServerOptions) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.HTTP())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { sayHealth(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { sayHealth(w, o.Ready()) })
	if o.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	var handler http.Handler = mux
	if o.Remote {
		handler = guarded(mux, o)
	}
	return &Server{listener: l, web: o.WebConfig, log: o.Log, http: &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: stdlog.New(o.Log, "", 0), // mistakes of clients
	}}
}

// guarded refuses all requests while the file permits clients without a password and a certificate: the toolkit reads the file
// at each request, so that a mistake in the file takes effect at once, and no reload checks the file before.
func guarded(next http.Handler, o ServerOptions) http.Handler {
	log := logs.Limited(o.Log, 1, time.Minute)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := authenticates(o.WebConfig); err != nil {
			log.Error().Err(err).Msg("the metrics endpoint refuses all requests until its web_config is corrected")
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func sayHealth(w http.ResponseWriter, err error) {
	text := "ok"
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = err.Error()
	}
	_, _ = fmt.Fprintln(w, text) // a client that has gone needs no answer
}

// CheckWeb checks a file of Prometheus' exporter-toolkit. An endpoint that other hosts reach needs TLS, and passwords or client
// certificates.
func CheckWeb(file string, remote bool) error {
	if file == "" {
		return nil
	}
	if err := web.Validate(file); err != nil {
		return fmt.Errorf("metrics.web_config: %w", err)
	}
	if !remote {
		return nil
	}
	return authenticates(file)
}

// authenticates returns an error if the file permits requests without TLS, or without a password and a client certificate.
func authenticates(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("metrics.web_config: %w", err)
	}
	var c web.Config
	if err := yaml.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("metrics.web_config: %s: %w", file, err)
	}
	if c.TLSConfig.TLSCertPath == "" && c.TLSConfig.TLSCert == "" ||
		len(c.Users) == 0 && c.TLSConfig.ClientAuth != "RequireAndVerifyClientCert" {
		return fmt.Errorf("metrics.web_config: %s: other hosts reach metrics.listen, which needs tls_server_config with a "+
			"certificate, and basic_auth_users or client_auth_type: RequireAndVerifyClientCert", file)
	}
	return nil
}

// Start begins to serve and returns at once.
func (s *Server) Start(ctx context.Context) {
	s.loop.Start(ctx, func(ctx context.Context) {
		defer context.AfterFunc(ctx, func() { _ = s.http.Close() })() // Prometheus repeats a scrape that is cut off
		flags := &web.FlagConfig{WebConfigFile: &s.web}
		if err := web.Serve(s.listener, s.http, flags, slog.New(slog.DiscardHandler)); !errors.Is(err, http.ErrServerClosed) {
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
