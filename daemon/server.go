package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// acceptGrace is how long a stopping server waits for one more client in the queue of a socket that nobody can find
	// any more: they are all there already.
	acceptGrace = 10 * time.Millisecond

	// acceptPause is the wait after accept fails, usually for want of file descriptors.
	acceptPause = 50 * time.Millisecond

	// In each limitPeriod the log tells of so many requests that failed through a fault, and of one refused connection.
	limitPeriod = 10 * time.Second
	maxFaults   = 20

	// cutGrace is how long requests that were cancelled at the stop's deadline get to be answered.
	cutGrace = 200 * time.Millisecond
)

// Handler answers requests. It is called on the connection's goroutine, for one request of a connection at a time.
type Handler interface {
	// Handle works on one request. An error becomes an error reply: a *[protocol.Error] as it is, any other as internal.
	// progress may be called until Handle returns, on the same goroutine.
	Handle(ctx context.Context, peer Peer, req protocol.Request, progress func(done, total int64)) (protocol.Result, error)
}

// Server accepts connections and serves them until it is stopped.
type Server struct {
	listener    *Listener
	handler     Handler
	connections *Connections
	opts        Options
	large       budget // frames that are read or worked on
	replies     budget // and replies that are sent
	log         zerolog.Logger
	refusals    zerolog.Logger // limited: a flood of clients must not become a flood of lines
	faults      zerolog.Logger // limited likewise
	peerOf      func(net.Conn) (Peer, error)

	ctx    context.Context //nolint:containedctx // the life of all requests, ended by Stop
	cancel context.CancelFunc

	startOnce, stopOnce sync.Once
	accepting           sync.WaitGroup
	serving             sync.WaitGroup

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping bool
	stopErr  error
}

// NewServer makes a server that owns the listener from then on.
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

// Address is the path of the socket.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Start begins to accept; it returns at once. A second call does nothing. The end of ctx does not stop the server,
// Stop does.
func (s *Server) Start(_ context.Context) error {
	s.startOnce.Do(func() {
		s.accepting.Go(s.accept)
	})
	return nil
}

func (s *Server) accept() {
	for {
		raw, err := s.listener.AcceptUnix()
		if err == nil {
			s.welcome(raw)
			s.extendAccept()
			continue
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		s.refusals.Error().Err(err).Msg("cannot accept connections; check the limit of open files (LimitNOFILE=)")
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(acceptPause):
		}
	}
}

// welcome starts to serve a connection, or refuses it.
func (s *Server) welcome(raw *net.UnixConn) {
	peer, err := s.peerOf(raw)
	if err != nil {
		s.refusals.Error().Err(err).Msg("cannot tell who connects")
		refuse(raw, protocol.Closing(protocol.CodeInternal, "%s", errInternal.Message))
		return
	}
	if s.opts.Admit != nil {
		if refusal := s.opts.Admit(peer); refusal != nil {
			s.refusals.Warn().Stringer("peer", peer).Msg("a user that may use no site is refused; name it in allow_users if it may")
			refuse(raw, refusal)
			return
		}
	}
	if refusal := s.connections.acquire(peer.UID); refusal != nil {
		s.refusals.Warn().Str("reason", refusal.Message).Stringer("peer", peer).
			Msg("too many connections; raise daemon.max_connections if they are wanted")
		refuse(raw, refusal)
		return
	}
	c := newConn(s, raw, peer)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.serving.Go(func() {
		defer s.forget(c)
		c.serve()
	})
}

// refuse says why and closes. The reply fits a fresh socket's buffer, so that the write does not block: the deadline is for a
// kernel that thinks otherwise, and long enough for a daemon that gets no processor between the two calls.
func refuse(raw *net.UnixConn, why *protocol.Error) {
	var enc protocol.Encoder
	_ = raw.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = raw.Write(enc.Failure(0, why)) // a client that is gone already needs no reason
	_ = raw.Close()
}

func (s *Server) forget(c *conn) {
	c.close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.giveBack()
	s.connections.release(c.peer.UID)
}
