package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/sync/feed"
)

const (
	// heartbeat is the interval of frames that show a dead connection.
	heartbeat = 10 * time.Second
	// closeTimeout bounds the goodbye: a broker with an alarm does not answer it.
	closeTimeout = time.Second
	// window is how many events may wait for their confirms: as many returns must fit the buffer.
	window = 256
)

// session is a connection and its channel.
type session struct {
	socket  *socket
	conn    *amqp091.Connection
	channel *amqp091.Channel
	// returns has room for the returns of a window: the library waits for its readers.
	returns chan amqp091.Return
	// lost and shut receive why the broker closed the connection and the channel.
	lost, shut chan *amqp091.Error
	// alarm is closed when the broker blocks the connection for the first time.
	alarm chan struct{}
	done  chan struct{} // the goroutine has ended

	mu    sync.Mutex
	block *blockedError // nil as long as the connection is not blocked
}

// blockedError says that an alarm of the broker holds publishers back.
type blockedError struct{ reason string }

func (e *blockedError) Error() string {
	return "connection.blocked: an alarm of the broker holds publishers back (" + e.reason + ")"
}

// socket bounds each write: the library's contexts do not, and RabbitMQ does not read while it has an alarm.
//
// A write that fails closes the socket and is not reported: the library would end the connection in a goroutine beside its
// reader, which may just then send an alarm to the channel that is closed. So the reader ends the connection, at its next read.
type socket struct {
	net.Conn

	timeout time.Duration

	mu     sync.Mutex
	failed error // of the first write that failed
}

func (s *socket) Write(b []byte) (int, error) {
	err := s.SetWriteDeadline(time.Now().Add(s.timeout))
	if err == nil {
		_, err = s.Conn.Write(b)
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed == nil {
			s.failed = err
		}
		_ = s.Close()
	}
	return len(b), nil
}

func (s *socket) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// open returns the session, and makes a session first if none can be used.
func (p *publisher) open(ctx context.Context) (*session, error) {
	if s := p.session; s != nil {
		if !s.conn.IsClosed() && !s.channel.IsClosed() && !s.alarmed() {
			return s, nil
		}
		p.drop(false)
	}
	s, err := p.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", p.address(), err)
	}
	p.session = s
	if err := p.prepare(s); err != nil {
		p.drop(s.channel != nil && s.channel.IsClosed())
		return nil, err
	}
	return s, nil
}

func (p *publisher) address() string {
	return net.JoinHostPort(p.server.Host, strconv.Itoa(p.server.Port))
}

func (p *publisher) dial(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, fmt.Errorf("no connection within %s", p.config.Timeout))
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.address())
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	s := &session{
		socket: &socket{Conn: conn, timeout: p.config.Timeout}, returns: make(chan amqp091.Return, window),
		lost: make(chan *amqp091.Error, 1), shut: make(chan *amqp091.Error, 1),
		alarm: make(chan struct{}), done: make(chan struct{}),
	}
	// The handshake does not know ctx: the end of ctx closes the socket.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	config := amqp091.Config{
		Heartbeat: heartbeat,
		Properties: amqp091.Table{
			"connection_name": "ticketd " + p.config.Site, "product": "ticketd", "version": version.String(),
		},
		Dial: func(string, string) (net.Conn, error) { return s.socket, nil },
	}
	if p.config.TLS != nil {
		config.TLSClientConfig = p.config.TLS.Clone() // the library writes into it
	}
	s.conn, err = amqp091.DialConfig(p.config.URL, config)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.conn.NotifyClose(s.lost)
	go s.watch(s.conn.NotifyBlocked(make(chan amqp091.Blocking, 1)))
	return s, nil
}

// prepare opens the channel and looks for the exchange.
func (p *publisher) prepare(s *session) error {
	var err error
	if s.channel, err = s.conn.Channel(); err != nil {
		return fmt.Errorf("opening a channel: %w", err)
	}
	s.channel.NotifyClose(s.shut)
	s.channel.NotifyReturn(s.returns)
	declare, doing := s.channel.ExchangeDeclarePassive, "looking for"
	if p.config.Declare {
		declare, doing = s.channel.ExchangeDeclare, "declaring"
	}
	if err := declare(p.config.Exchange, amqp091.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("%s the exchange %q: %w", doing, p.config.Exchange, err)
	}
	if err := s.channel.Confirm(false); err != nil {
		return fmt.Errorf("asking for confirms: %w", err)
	}
	return nil
}

// watch notes alarms until the connection is closed.
func (s *session) watch(blocks <-chan amqp091.Blocking) {
	defer close(s.done)
	for change := range blocks {
		var block *blockedError
		if change.Active {
			block = &blockedError{reason: change.Reason}
		}
		s.mu.Lock()
		s.block = block
		s.mu.Unlock()
		if block != nil && !s.alarmed() {
			close(s.alarm)
		}
	}
}

// alarmed says whether the broker has blocked the connection at some time. The session is then given up: what waited in the
// socket may have no confirm in time.
func (s *session) alarmed() bool {
	select {
	case <-s.alarm:
		return true
	default:
		return false
	}
}

// blocked returns why the connection is blocked, nil if it is not.
func (s *session) blocked() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block == nil {
		return nil
	}
	return s.block
}

// cause is why the session has ended: what the broker says, or err if the broker has not closed it.
func (s *session) cause(err error) error {
	for _, known := range []error{s.blocked(), s.socket.failure()} {
		if known != nil {
			return known
		}
	}
	for _, reasons := range []chan *amqp091.Error{s.shut, s.lost} {
		select {
		case reason := <-reasons:
			if reason != nil {
				return reason
			}
		default:
		}
	}
	return err
}

// close ends the connection, the library's goroutines and the session's own: with a goodbye, which the broker's log would miss,
// if the broker answers.
func (s *session) close(answers bool) {
	if answers && !s.alarmed() {
		_ = s.conn.CloseDeadline(time.Now().Add(closeTimeout))
	}
	_ = s.socket.Close()
	<-s.done
}

// verdict is the verdict of the events that a failed session leaves unconfirmed. If the broker itself names a fault of the
// destination, retries fail until an operator corrects the fault.
func (p *publisher) verdict(err error) feed.Verdict {
	v := feed.Verdict{Decision: feed.Later, Err: err}
	if _, blocked := errors.AsType[*blockedError](err); blocked {
		v.Decision = feed.Paused
	}
	reason, ok := errors.AsType[*amqp091.Error](err)
	if !ok {
		return v
	}
	switch reason.Code {
	case amqp091.AccessRefused, amqp091.NotAllowed, amqp091.PreconditionFailed:
		v.Decision = feed.Paused
	case amqp091.NotFound:
		if !p.config.Declare { // otherwise the next session declares the exchange
			v.Decision = feed.Paused
		}
	default:
	}
	return v
}
