package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pingInterval and maxPings show a dead connection.
	pingInterval, maxPings = 20 * time.Second, 2
	// duplicates is how long a stream that ticketd makes remembers ids: a courier repeats after pauses of minutes.
	duplicates = 10 * time.Minute
	// maxAge bounds a stream that ticketd makes, which would otherwise fill the disk.
	maxAge = 7 * 24 * time.Hour
)

// session is a connection.
type session struct {
	conn   *nats.Conn
	stream jetstream.JetStream
	closed chan struct{} // the connection is closed
	// denied is closed when the server reports a violation of permissions, which it does not answer in any other way.
	denied chan struct{}

	mu     sync.Mutex
	denial error
}

// open returns the session, and makes a session first if none can be used.
func (p *publisher) open(ctx context.Context) (*session, error) {
	if p.session != nil {
		if p.session.conn.IsConnected() {
			return p.session, nil
		}
		p.drop()
	}
	s := &session{closed: make(chan struct{}), denied: make(chan struct{})}
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, fmt.Errorf("no answer within %s", p.config.Timeout))
	defer cancel()
	if err := p.connect(ctx, s); err != nil {
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	p.session = s
	if p.config.Create {
		if err := p.create(ctx, s); err != nil {
			p.drop()
			return nil, fmt.Errorf("creating the stream %q: %w", p.config.Stream, err)
		}
	}
	return s, nil
}

// dialer dials within a context and knows the connection, so that the end of the context ends the library's handshake, too.
type dialer struct {
	ctx context.Context //nolint:containedctx // the library's interface has none

	mu   sync.Mutex
	conn net.Conn
}

// Dial implements the library's interface.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(d.ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn
	return conn, err
}

func (d *dialer) interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.Close()
	}
}

func (p *publisher) connect(ctx context.Context, s *session) error {
	dialer := &dialer{ctx: ctx}
	options := []nats.Option{
		nats.Name("ticketd " + p.config.Site), nats.NoReconnect(), nats.SetCustomDialer(dialer),
		nats.Timeout(2 * p.config.Timeout), nats.FlusherTimeout(p.config.Timeout), // ctx ends the handshake, and says why
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings),
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }), nats.ErrorHandler(s.note),
	}
	if p.config.TLS != nil {
		options = append(options, nats.Secure(p.config.TLS.Clone()))
	}
	if p.config.Username != "" {
		options = append(options, nats.UserInfo(p.config.Username, p.config.Password))
	}
	if p.config.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(p.config.CredentialsFile))
	}
	stop := context.AfterFunc(ctx, dialer.interrupt)
	var err error
	s.conn, err = nats.Connect(p.config.URL, options...)
	if interrupted := !stop(); interrupted && err == nil {
		s.close()
		return context.Cause(ctx)
	} else if interrupted {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if s.stream, err = jetstream.New(s.conn, jetstream.WithPublishAsyncMaxPending(window)); err != nil {
		s.close()
	}
	return err
}

// create makes the stream if the stream is missing, and does not change an existing stream.
func (p *publisher) create(ctx context.Context, s *session) error {
	_, err := s.stream.Stream(ctx, p.config.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = s.stream.CreateStream(ctx, jetstream.StreamConfig{
			Name: p.config.Stream, Subjects: []string{p.pattern()}, Description: "Changes of tickets, by ticketd",
			Storage: jetstream.FileStorage, MaxAge: maxAge, Duplicates: duplicates,
		})
	}
	return err
}

// note keeps a violation of permissions.
func (s *session) note(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.denial == nil {
		s.denial = err
		close(s.denied)
	}
}

func (s *session) violation() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denial
}

// close ends the connection and the library's goroutines.
func (s *session) close() {
	s.conn.Close()
	<-s.closed
}
