package daemon

import (
	"bufio"
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

	"github.com/ticketd/ticketd/protocol"
)

// keepBytes bounds the read buffer that a connection keeps between two requests; longer frames count against the
// budget of all connections.
const keepBytes = 64 << 10

// conn is one connection. All but close and shutReading happens on its own goroutine.
type conn struct {
	server *Server
	raw    *net.UnixConn
	peer   Peer
	log    zerolog.Logger

	*buffers

	ctx    context.Context //nolint:containedctx // the life of the connection, ended when the client is found to be gone
	cancel context.CancelFunc

	closeOnce    sync.Once
	reserved     int64 // taken from the server's budget for the request in work
	sending      int64 // and for its reply
	lastProgress time.Time

	working atomic.Bool // on a request
	hangUp  *time.Timer // looks after the client meanwhile
}

func newConn(s *Server, raw *net.UnixConn, peer Peer) *conn {
	ctx, cancel := context.WithCancel(s.ctx)
	c := &conn{
		server: s, raw: raw, peer: peer, log: s.log,
		buffers: borrow(raw),
		ctx:     ctx, cancel: cancel,
	}
	c.hangUp = time.AfterFunc(s.opts.HangUpCheck, c.lookForHangUp)
	return c
}

// buffers are what one connection reads and writes with. Clients connect for a single request, so they are used again: made
// anew, they would be half of the memory that a write takes.
type buffers struct {
	r   *bufio.Reader
	w   *bufio.Writer
	enc protocol.Encoder
	buf []byte
}

var pool = sync.Pool{New: func() any {
	return &buffers{r: bufio.NewReader(nil), w: bufio.NewWriter(nil)}
}}

// borrow takes buffers for a connection.
func borrow(raw io.ReadWriter) *buffers {
	b, _ := pool.Get().(*buffers) // it holds nothing else
	b.r.Reset(raw)
	b.w.Reset(raw)
	return b
}

// giveBack is called when nobody reads or writes any more.
func (b *buffers) giveBack() {
	b.r.Reset(nil)
	b.w.Reset(nil)
	pool.Put(b)
}

// serve answers requests until the client or the daemon ends the connection.
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
	}
}

// errInternal is what a client learns of a fault of the daemon.
var errInternal = protocol.Errorf(protocol.CodeInternal, "a fault in ticketd: see its log")

// errEnd ends a connection in order: the client has got its last reply.
var errEnd = errors.New("the connection ends")

// read waits for a request and reads its frame. What was answered before is sent first, unless a whole frame is
// waiting already: the replies to pipelined requests leave together.
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

// reserve makes room for the frame that has begun. One that may not be read at all is left to ReadFrame to refuse.
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

// reserveReply makes room for a reply that is about to be built and sent: a client that does not read keeps it in memory until
// the write's deadline. Where there is none a reader is told to come again, on another connection, so that what he has pipelined
// does not have the same read made in vain again and again. A change has been made by now: its reply, which is shorter, is sent
// all the same.
func (c *conn) reserveReply(m protocol.Method, n int) error {
	if n <= keepBytes {
		return nil
	}
	n = min(n, protocol.MaxPayload) // what is longer is refused, before it is built where that is certain
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

// unreserve lets go of what the last request needed.
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

// frameWaits says whether the next frame can be read without waiting for the client.
func (c *conn) frameWaits() bool {
	if c.r.Buffered() < protocol.HeaderBytes {
		return false
	}
	header, _ := c.r.Peek(protocol.HeaderBytes) // buffered: it cannot fail
	return c.r.Buffered()-protocol.HeaderBytes >= payloadBytes(header)
}

// answer works on one request and writes its reply to the buffer.
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

// handle calls the handler. A panic becomes the error of this one request.
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

// progress tells the client how far its request is, not too often. A client that is gone is found out here.
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

// fail writes an error reply to the buffer and says whether it is the connection's last one. Whether the write worked
// shows when the buffer is flushed.
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

// end says to the client what it can still be told, and to the log what an operator may ask.
func (c *conn) end(why error) {
	if refusal, ok := errors.AsType[*protocol.Error](why); ok {
		c.fail(0, refusal)
	}
	_ = c.flush() // a client that does not read it has been given its time
	if errors.Is(why, errEnd) || errors.Is(why, io.EOF) {
		return
	}
	c.log.Debug().Err(why).Stringer("peer", c.peer).Bool("timeout", errors.Is(why, os.ErrDeadlineExceeded)).
		Msg("connection closed")
}

// close may be called from any goroutine, and again.
func (c *conn) close() {
	c.closeOnce.Do(func() {
		c.cancel()
		_ = c.raw.Close() // nothing is left to be said
	})
}

// shutReading takes nothing more from the client; what it has sent is still there to be read.
func (c *conn) shutReading() { _ = c.raw.CloseRead() } // fails where the client is gone: then there is nothing to shut
