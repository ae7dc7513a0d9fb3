package protocol

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// Open returns a client that connects to the socket at path by itself: at the first call, and at the first call after the
// connection has ended, because the daemon closed an idle connection or was restarted, or because a call failed with
// [ErrBroken]. Close ends the client.
//
// A connection that ends during a call leaves open whether the call was done. The client then makes the call once more where two
// calls have the effect of one: reads, flushes, and changes with a request id. Give changes a request id: without one, such a
// change fails with ErrBroken. A call that the daemon answers is never repeated, nor one whose context has ended.
//
// Like every [Client] it is for one goroutine at a time: a server that calls from many keeps several, for instance in a
// [sync.Pool] whose clients live as long as the process.
func Open(path string) *Client { return &Client{path: path} }

var errEnded = errors.New("the daemon closed the connection between two calls")

// connected makes sure that there is a connection for a call, as far as one can know before the call.
func (c *Client) connected(ctx context.Context) error {
	switch {
	case c.path == "" || c.closed:
		return c.broken
	case c.conn == nil:
	case c.broken != nil:
	case c.r.Buffered() > 0 || hasEnded(c.conn):
		_ = c.fail(errEnded)
	default:
		return nil
	}
	return c.dial(ctx, c.path)
}

// hasEnded says that the daemon has closed the connection, or has sent bytes without a request.
func hasEnded(conn net.Conn) bool {
	unix, is := conn.(*net.UnixConn)
	if !is {
		return false
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return true
	}
	ended := true
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = !errors.Is(err, syscall.EAGAIN)
	})
	return ended || err != nil
}

// repeats says that the client may make a call twice.
func (c *Client) repeats(p Params) bool {
	change, is := p.(interface{ AsChange() *Change })
	return c.path != "" && (!is || change.AsChange().RequestID != "")
}

// isLost says that the connection ended before the answer.
func isLost(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// timeout is the time-out that the caller has set in the parameters.
func timeout(p Params) time.Duration {
	if t, is := p.(interface{ timed() *Timed }); is {
		return t.timed().Timeout
	}
	return 0
}

func setTimeout(p Params, timeout time.Duration) {
	if t, is := p.(interface{ timed() *Timed }); is {
		t.timed().Timeout = timeout
	}
}

func (t *Timed) timed() *Timed { return t }
