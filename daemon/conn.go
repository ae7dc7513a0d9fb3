package daemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon/loop"
	"github.com/ticketd/ticketd/protocol"
)

// keepBytes bounds the read buffer that a connection keeps between two requests. Longer frames count against the budget of
// all connections.
const keepBytes = 64 << 10

// Adopt implements [loop.Host]: a goroutine of its own serves the connection from here on.
func (s *Server) Adopt(fd int, peer Peer, unread, owed []byte) {
	raw, err := connOf(fd)
	if err != nil {
		s.refusals.Error().Err(err).Stringer("peer", peer).
			Msg("cannot serve a connection; check the limit of open files (LimitNOFILE=)")
		s.connections.release(peer.UID)
		return
	}
	c := newConn(s, raw, peer, unread, owed)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.serving.Go(func() {
		defer s.forget(c)
		c.serve()
	})
}

// connOf makes a connection of a descriptor, which it takes over, also where that fails.
func connOf(fd int) (*net.UnixConn, error) {
	file := os.NewFile(uintptr(fd), "client")
	defer func() { _ = file.Close() }() // the connection has a descriptor of its own
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	raw, is := conn.(*net.UnixConn)
	if !is {
		return nil, errors.Join(errors.New("not a Unix socket"), conn.Close())
	}
	return raw, nil
}

func (s *Server) forget(c *conn) {
	c.close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.giveBack()
	if !c.returned {
		s.connections.release(c.peer.UID)
	}
}

// conn is a connection. Only close and shutReading may run on another goroutine than the connection's own.
type conn struct {
	server *Server
	raw    *net.UnixConn
	peer   Peer
	log    zerolog.Logger

	*buffers

	unread   *bytes.Reader // read by the event loop before
	hot      int           // how many of the latest requests the event loop could have answered
	returned bool          // the event loop serves the client again

	ctx    context.Context //nolint:containedctx // the life of the connection, ended when the client has gone
	cancel context.CancelFunc

	closeOnce    sync.Once
	reserved     int64 // taken from the server's budget for the request in work
	sending      int64 // taken for its reply
	lastProgress time.Time

	working atomic.Bool // a request is in work
	hangUp  *time.Timer // checks the client meanwhile
}

// newConn makes a connection on which these bytes were read already, and are owed to the client.
func newConn(s *Server, raw *net.UnixConn, peer Peer, unread, owed []byte) *conn {
	ctx, cancel := context.WithCancel(s.ctx)
	c := &conn{
		server: s, raw: raw, peer: peer, log: s.log,
		buffers: borrow(raw, raw), unread: bytes.NewReader(bytes.Clone(unread)),
		ctx: ctx, cancel: cancel,
	}
	if len(unread) > 0 {
		c.r.Reset(io.MultiReader(c.unread, raw))
	}
	_, _ = c.w.Write(owed) // into the buffer: an error shows at the flush
	c.hangUp = time.AfterFunc(s.opts.HangUpCheck, c.lookForHangUp)
	return c
}

// buffers are a connection's buffers for reading and writing. Clients connect for a single request, so the daemon reuses
// buffers: new buffers would be half of the memory that a write takes.
type buffers struct {
	r   *bufio.Reader
	w   *bufio.Writer
	enc protocol.Encoder
	buf []byte
}

var pool = sync.Pool{New: func() any {
	return &buffers{r: bufio.NewReader(nil), w: bufio.NewWriter(nil)}
}}

func borrow(from io.Reader, to io.Writer) *buffers {
	b, _ := pool.Get().(*buffers) // the pool holds no other type
	b.r.Reset(from)
	b.w.Reset(to)
	return b
}

// giveBack returns the buffers to the pool, after the last read and write.
func (b *buffers) giveBack() {
	b.r.Reset(nil)
	b.w.Reset(nil)
	pool.Put(b)
}

// serve answers requests until the client or the daemon ends the connection, or the event loop takes the client back.
func (c *conn) serve() {
	defer c.unreserve()
	for {
		payload, err := c.read()
		if err == nil {
			err = c.answer(payload)
		}
		if err != nil {
			c.end(err)
			return
		}
		if c.hot >= hotBeforeReturn && c.r.Buffered() == 0 && c.unread.Len() == 0 && c.goBack() {
			return
		}
	}
}

// hotBeforeReturn is after how many hot requests in a row a client returns to the event loop: few, as the loop costs less, and
// enough that a client whose requests the loop refuses seldom moves.
const hotBeforeReturn = 8

// isHot says that the event loop may answer a request.
func (s *Server) isHot(name protocol.Method, payload []byte) bool {
	m := methods[name]
	return s.opts.Hot != nil && m != nil && m.hot != nil && len(payload) <= loop.SmallFrame-protocol.HeaderBytes
}

// goBack has the event loop serve the client again. false: this connection continues.
func (c *conn) goBack() bool {
	c.hot = 0
	if c.flush() != nil {
		return false // the next read says why
	}
	raw, err := c.raw.SyscallConn()
	if err != nil {
		return false
	}
	fd := -1 // no descriptor is left, or the connection is closed
	_ = raw.Control(func(own uintptr) { fd, _ = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if fd < 0 {
		return false
	}
	if c.returned = c.server.front.Return(fd, c.peer); !c.returned {
		_ = unix.Close(fd)
	}
	return c.returned
}

// errInternal is the client's reply for a fault of the daemon.
var errInternal = protocol.Errorf(protocol.CodeInternal, "a fault in ticketd: see its log")

// errEnd ends a connection in order: the client has got its last reply.
var errEnd = errors.New("the connection ends")

// read waits for a request and reads its frame. Buffered replies are sent first, unless a whole frame is waiting already: the
// replies to pipelined requests leave together.
func (c *conn) read() ([]byte, error) {
	c.unreserve()
	if !c.frameWaits() {
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	if err := c.raw.SetReadDeadline(time.Now().Add(c.server.opts.IdleTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.r.Peek(1); err != nil {
		return nil, err
	}
	if err := c.raw.SetReadDeadline(time.Now().Add(c.server.opts.FrameTimeout)); err != nil {
		return nil, err
	}
	if err := c.reserve(); err != nil {
		return nil, err
	}
	payload, err := protocol.ReadFrame(c.r, c.buf)
	c.buf = payload
	return payload, err
}

// reserve takes the budget for the frame that has begun. ReadFrame refuses a frame above the protocol's limit.
func (c *conn) reserve() error {
	header, err := c.r.Peek(protocol.HeaderBytes)
	if err != nil {
		return err
	}
	n := payloadBytes(header)
	if n <= keepBytes || n > protocol.MaxPayload {
		return nil
	}
	if !c.server.large.take(int64(n)) {
		return protocol.Closing(protocol.CodeOverloaded, "the frames over 64 KiB that are worked on at a time take up their %d "+
			"bytes: try again later", c.server.large.limit)
	}
	c.reserved = int64(n)
	return nil
}

// reserveReply takes the budget for the next reply: a client that does not read keeps the reply in memory until the write's
// deadline. Without budget, a reader must try again on another connection: the connection closes, so that its pipelined reads
// do not repeat the same work in vain. A change has been made already, so its short reply is sent without budget.
func (c *conn) reserveReply(m protocol.Method, n int) error {
	if n <= keepBytes {
		return nil
	}
	n = min(n, protocol.MaxPayload) // a longer reply is refused, if possible before the reply is built
	if !c.server.replies.take(int64(n)) {
		if known := methods[m]; known == nil || !known.changes {
			return protocol.Closing(protocol.CodeOverloaded, "the replies over 64 KiB that are sent at a time take up their %d "+
				"bytes: try again later, or ask for less at once", c.server.replies.limit)
		}
		c.server.replies.force(int64(n))
	}
	c.sending = int64(n)
	return nil
}

// budget is a number of bytes that may be taken at a time.
type budget struct {
	limit int64
	taken atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.taken.Add(n) <= b.limit {
		return true
	}
	b.taken.Add(-n)
	return false
}

// force takes n even beyond the limit.
func (b *budget) force(n int64) { b.taken.Add(n) }

func (b *budget) give(n int64) { b.taken.Add(-n) }

// unreserve returns the budget and the memory of the last request.
func (c *conn) unreserve() {
	c.server.large.give(c.reserved)
	c.server.replies.give(c.sending)
	c.reserved, c.sending = 0, 0
	if cap(c.buf) > keepBytes {
		c.buf = nil
	}
	c.enc.Trim()
}

func payloadBytes(header []byte) int {
	return int(header[1])<<16 | int(header[2])<<8 | int(header[3])
}

// frameWaits returns whether the next frame can be read without waiting for the client.
func (c *conn) frameWaits() bool {
	if c.r.Buffered() < protocol.HeaderBytes {
		return false
	}
	header, _ := c.r.Peek(protocol.HeaderBytes) // cannot fail: the header is buffered
	return c.r.Buffered()-protocol.HeaderBytes >= payloadBytes(header)
}

// answer works on a request and writes the reply to the buffer.
func (c *conn) answer(payload []byte) error {
	req, err := protocol.DecodeRequest(payload)
	if err != nil {
		c.fail(req.ID, err)
		return errEnd
	}
	if c.server.ctx.Err() != nil {
		c.fail(req.ID, protocol.Errorf(protocol.CodeShuttingDown, "the daemon stops: try again later"))
		return errEnd
	}
	if c.hot++; !c.server.isHot(req.Method, payload) {
		c.hot = 0
	}
	result, err := c.handle(req)
	if err != nil {
		if c.fail(req.ID, err) {
			return errEnd
		}
		return nil
	}
	var frame []byte
	if err = c.reserveReply(req.Method, protocol.ReplyBytes(result)); err == nil {
		frame, err = c.enc.Reply(req.ID, result)
	}
	if err != nil {
		if c.fail(req.ID, err) {
			return errEnd
		}
		return nil
	}
	return c.write(frame)
}

// handle calls the handler. A panic becomes the error of this request alone.
func (c *conn) handle(req protocol.Request) (result protocol.Result, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			c.server.faults.Error().Str("method", shown(req.Method)).Stringer("peer", c.peer).
				Interface("panic", fault).Bytes("stack", debug.Stack()).Msg("panic while a request was worked on")
			err = errInternal
		}
	}()
	c.lastProgress = time.Time{}
	c.watchHangUp()
	defer c.endWatch()
	return c.server.handler.Handle(c.ctx, c.peer, req, func(done, total int64) {
		c.progress(protocol.Progress{ID: req.ID, Done: done, Total: total})
	})
}

// progress reports the progress of a request to the client, at most once per ProgressInterval. A failed write ends the
// request.
func (c *conn) progress(p protocol.Progress) {
	now := time.Now()
	if now.Sub(c.lastProgress) < protocol.ProgressInterval {
		return
	}
	c.lastProgress = now
	err := c.write(c.enc.Progress(p))
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		c.cancel()
	}
}

// fail writes an error reply to the buffer and returns whether the reply ends the connection. A failed write shows at the
// next flush.
func (c *conn) fail(id uint32, err error) (closing bool) {
	var failure *protocol.Error
	if !errors.As(err, &failure) {
		c.server.faults.Error().Err(err).Stringer("peer", c.peer).Msg("request failed")
		failure = errInternal
	}
	_ = c.write(c.enc.Failure(id, failure))
	return failure.Closing
}

func (c *conn) write(frame []byte) error {
	if err := c.raw.SetWriteDeadline(time.Now().Add(c.server.opts.WriteTimeout)); err != nil {
		return err
	}
	_, err := c.w.Write(frame)
	return err
}

func (c *conn) flush() error {
	if c.w.Buffered() == 0 {
		return nil
	}
	return c.w.Flush()
}

// end sends the last error reply to the client and logs why the connection ended.
func (c *conn) end(why error) {
	if refusal, ok := errors.AsType[*protocol.Error](why); ok {
		c.fail(0, refusal)
	}
	_ = c.flush() // a client that does not read has had its time
	if errors.Is(why, errEnd) || errors.Is(why, io.EOF) {
		return
	}
	c.log.Debug().Err(why).Stringer("peer", c.peer).Bool("timeout", errors.Is(why, os.ErrDeadlineExceeded)).
		Msg("connection closed")
}

// close may be called from any goroutine, and repeatedly.
func (c *conn) close() {
	c.closeOnce.Do(func() {
		c.cancel()
		_ = c.raw.Close() // no reply is left to send
	})
}

// shutReading receives no more bytes from the client; bytes already received stay readable.
func (c *conn) shutReading() { _ = c.raw.CloseRead() } // fails if the client has gone: then the reading side is shut already

// watchHangUp checks at intervals, until the request in work is done, that the client is still connected, and cancels the
// connection's context if not: the daemon does not read the socket meanwhile, and a request that waits for MySQL does not
// write. A request shorter than HangUpCheck costs only a timer.
func (c *conn) watchHangUp() {
	c.working.Store(true)
	c.hangUp.Reset(c.server.opts.HangUpCheck)
}

// endWatch ends watchHangUp. A check that has begun does no harm: no client reads the request that the check cancels.
func (c *conn) endWatch() {
	c.working.Store(false)
	c.hangUp.Stop()
}

// lookForHangUp checks the client and plans the next check.
func (c *conn) lookForHangUp() {
	switch {
	case !c.working.Load():
	case c.hungUp():
		c.cancel()
	default:
		c.hangUp.Reset(c.server.opts.HangUpCheck)
	}
}

// hungUp returns whether the client can no longer read a reply. poll reads no byte, so requests that the client has sent
// meanwhile stay in the socket. A client that has shut only its writing side, or whose reading side the daemon has shut, has
// not hung up: POLLHUP means that both sides are shut (unix_poll in net/unix/af_unix.c).
func (c *conn) hungUp() bool {
	raw, err := c.raw.SyscallConn()
	if err != nil {
		return true // closed by this daemon
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // a descriptor is a small number
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
	})
	return err != nil || gone
}
