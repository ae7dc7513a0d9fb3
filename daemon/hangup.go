package daemon

import (
	"time"

	"golang.org/x/sys/unix"
)

// watchHangUp cancels the connection's context when its client has gone while a request is worked on: nobody reads the socket
// then, and a request that waits for MySQL writes nothing either. stop ends it. A request that is done within HangUpCheck pays for
// no more than a timer.
func (c *conn) watchHangUp() (stop func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(c.server.opts.HangUpCheck, func() {
		ticker := time.NewTicker(c.server.opts.HangUpCheck)
		defer ticker.Stop()
		for !c.hungUp() {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
		c.cancel()
	})
	return func() {
		timer.Stop()
		close(done)
	}
}

// hungUp says whether nobody can read a reply any more. The kernel tells without a byte being read, so that requests which the
// client has sent meanwhile stay where they are, and it does not take a client for gone that has only shut its writing side, or
// whose reading side this daemon has (POLLHUP means both; unix_poll in net/unix/af_unix.c).
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
