package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/loop"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// Bounds of the log per limitPeriod: maxFaults requests that failed through a fault, and a single refused connection.
	limitPeriod = 10 * time.Second
	maxFaults   = 20

	// cutGrace is how long requests that Stop cancelled at its deadline may take to answer.
	cutGrace = 200 * time.Millisecond
)

// Options bound the daemon's work for its clients. A zero field gets the default.
type Options struct {
	// Admit returns why a peer may not connect, before the peer takes a connection from other peers; nil admits every peer.
	Admit func(peer Peer) *protocol.Error
	// IdleTimeout closes a connection on which no request begins for this time. Default 60 s.
	IdleTimeout time.Duration
	// FrameTimeout bounds the time from a frame's first byte to its last. Default [protocol.FrameTimeout].
	FrameTimeout time.Duration
	// WriteTimeout bounds the time to write one reply. Default [protocol.WriteTimeout].
	WriteTimeout time.Duration
	// DrainGrace is how long a stopping daemon waits for requests of connected clients. Default 250 ms.
	DrainGrace time.Duration
	// HangUpCheck is how often a long request checks that its client is still connected. Default 1 s.
	HangUpCheck time.Duration
	// LargeFrames bounds the total bytes of frames over 64 KiB that all connections read or work on at a time, and, separately,
	// of replies over 64 KiB in sending. Without the bound, many clients with frames near the limit, or with large replies that
	// the clients do not read, would take gigabytes. Default 64 MiB.
	LargeFrames int64
	// Hot answers small requests in rounds of the event loop; nil: the handler answers every request.
	Hot *Dispatcher
	// Rounded receives the length of each round of the event loop; nil receives nothing.
	Rounded func(requests int, took time.Duration)
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&o.IdleTimeout, time.Minute)
	set(&o.FrameTimeout, protocol.FrameTimeout)
	set(&o.WriteTimeout, protocol.WriteTimeout)
	set(&o.DrainGrace, 250*time.Millisecond)
	set(&o.HangUpCheck, time.Second)
	if o.LargeFrames == 0 {
		o.LargeFrames = 64 << 20
	}
	return o
}

// Handler answers requests. The server calls a handler on the connection's goroutine, one request of a connection at a time.
type Handler interface {
	// Handle works on one request. An error becomes an error reply: a *[protocol.Error] unchanged, any other as internal. Handle
	// may call progress on the same goroutine until Handle returns.
	Handle(ctx context.Context, peer Peer, req protocol.Request, progress func(done, total int64)) (protocol.Result, error)
}

// Server accepts connections and serves them until Stop.
type Server struct {
	listener    *Listener
	handler     Handler
	connections *Connections
	opts        Options
	large       budget // frames in reading or in work
	replies     budget // replies in sending
	log         zerolog.Logger
	refusals    zerolog.Logger // limited: a flood of clients must not become a flood of lines
	faults      zerolog.Logger // limited as well
	peerOf      func(fd int) (Peer, error)
	front       *loop.Loop[Peer] // nil before Start

	ctx    context.Context //nolint:containedctx // the life of all requests, ended by Stop
	cancel context.CancelFunc

	startOnce, stopOnce sync.Once
	startErr, stopErr   error
	serving             sync.WaitGroup

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// NewServer returns a server that owns the listener.
func NewServer(l *Listener, h Handler, connections *Connections, opts Options, log zerolog.Logger) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	opts = opts.withDefaults()
	return &Server{
		listener: l, handler: h, connections: connections, opts: opts, log: log,
		large: budget{limit: opts.LargeFrames}, replies: budget{limit: opts.LargeFrames},
		refusals: logs.Limited(log, 1, limitPeriod), faults: logs.Limited(log, maxFaults, limitPeriod),
		peerOf: PeerOf,
		ctx:    ctx, cancel: cancel,
		conns: map[*conn]struct{}{},
	}
}

// Address returns the path of the socket.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Start begins to accept and returns at once. A second call returns the result of the first. The end of ctx does not stop the
// server; Stop does.
func (s *Server) Start(_ context.Context) error {
	s.startOnce.Do(func() { s.startErr = s.start() })
	return s.startErr
}

func (s *Server) start() error {
	fd, err := s.listener.take()
	if err == nil {
		s.front, err = loop.New(fd, s, loop.Options{IdleTimeout: s.opts.IdleTimeout})
	}
	if err != nil {
		return fmt.Errorf("accept connections: %w", err)
	}
	s.front.Start()
	return nil
}

// Enter implements [loop.Host].
func (s *Server) Enter(fd int) (Peer, []byte) {
	peer, err := s.peerOf(fd)
	if err != nil {
		s.refusals.Error().Err(err).Msg("cannot read the peer's credentials")
		return peer, refusal(protocol.Closing(protocol.CodeInternal, "%s", errInternal.Message))
	}
	if s.opts.Admit != nil {
		if why := s.opts.Admit(peer); why != nil {
			s.refusals.Warn().Stringer("peer", peer).Msg("refused a user that may use no site; allow_users can name the user")
			return peer, refusal(why)
		}
	}
	if why := s.connections.acquire(peer.UID); why != nil {
		s.refusals.Warn().Str("reason", why.Message).Stringer("peer", peer).
			Msg("too many connections; raise daemon.max_connections if they are wanted")
		return peer, refusal(why)
	}
	return peer, nil
}

func refusal(why *protocol.Error) []byte {
	var enc protocol.Encoder
	return enc.Failure(0, why)
}

// Leave implements [loop.Host].
func (s *Server) Leave(peer Peer) { s.connections.release(peer.UID) }

// CannotAccept implements [loop.Host].
func (s *Server) CannotAccept(err error) {
	s.refusals.Error().Err(err).Msg("cannot accept connections; check the limit of open files (LimitNOFILE=)")
}

// Rounded implements [loop.Host].
func (s *Server) Rounded(requests int, took time.Duration) {
	if s.opts.Rounded != nil {
		s.opts.Rounded(requests, took)
	}
}

// Round implements [loop.Host].
func (s *Server) Round() loop.Round[Peer] {
	if rounds, are := s.handler.(interface {
		round(faults zerolog.Logger) *round
	}); are {
		return rounds.round(s.faults)
	}
	return noRound{}
}

// Stop ends the server in order: stop accepting, give connected clients a short grace, answer every request that was sent,
// close. Connections still open when ctx ends are cut, which is an error. Further calls wait for the first and return its
// error. Stop closes a server that was never started.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	defer s.cancel()
	s.startOnce.Do(func() {}) // a later Start must not accept on a closed socket
	err := s.stopAccepting(ctx)
	served := done(&s.serving)
	s.awaitClients(ctx, served)
	s.each(func(c *conn) { c.shutReading() })
	select {
	case <-served:
		return err
	case <-ctx.Done():
	}
	cut := s.cut(served)
	return errors.Join(err, fmt.Errorf("stop serving: %d connections were cut: %w", cut, context.Cause(ctx)))
}

// stopAccepting ends the event loop, and with it the listener. If the socket ends with this daemon, the clients in its queue are
// accepted first.
func (s *Server) stopAccepting(ctx context.Context) error {
	if !s.listener.inherited {
		_ = os.Remove(s.listener.Addr().String()) // where it is gone already, no client finds it either
	}
	if s.front == nil {
		return s.listener.end()
	}
	return s.front.Stop(ctx, !s.listener.inherited)
}

// awaitClients gives connected clients DrainGrace for the next request; less if all clients have gone.
func (s *Server) awaitClients(ctx context.Context, served <-chan struct{}) {
	grace := time.NewTimer(s.opts.DrainGrace)
	defer grace.Stop()
	select {
	case <-served:
	case <-grace.C:
	case <-ctx.Done():
	}
}

// cut cancels all requests, waits for their answers for cutGrace, and closes the remaining connections. The result is the
// number of connections open at the deadline. A handler that ignores its context stays behind: the process is about to end.
func (s *Server) cut(served <-chan struct{}) int {
	s.cancel()
	n := 0
	s.each(func(*conn) { n++ })
	if waitFor(served, cutGrace) {
		return n
	}
	s.each(func(c *conn) { c.close() })
	waitFor(served, cutGrace)
	return n
}

// waitFor returns whether ch was closed within d.
func waitFor(ch <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ch:
		return true
	case <-timer.C:
		return false
	}
}

func (s *Server) each(do func(c *conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

// done returns a channel that is closed when the group has finished.
func done(group *sync.WaitGroup) <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		group.Wait()
		close(ch)
	}()
	return ch
}
