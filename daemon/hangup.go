package daemon

import "golang.org/x/sys/unix"

// watchHangUp looks, until the request that is worked on is done, whether its client has gone, and then cancels the connection's
// context: nobody reads the socket meanwhile, and a request that waits for MySQL writes nothing either. A request that is done
// within HangUpCheck pays for no more than a timer.
func (c *conn) watchHangUp() {
	c.working.Store(true)
	c.hangUp.Reset(c.server.opts.HangUpCheck)
}

// endWatch ends what watchHangUp began. A look that has begun already does no harm: what it cancels has no reader either way.
func (c *conn) endWatch() {
	c.working.Store(false)
	c.hangUp.Stop()
}

// lookForHangUp is one look, and plans the next.
func (c *conn) lookForHangUp() {
	switch {
	case !c.working.Load():
	case c.hungUp():
		c.cancel()
	default:
		c.hangUp.Reset(c.server.opts.HangUpCheck)
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
