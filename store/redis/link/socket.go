package link

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a connection whose reads and writes block their thread in the kernel, instead of their goroutine in Go's poller. The
// reply of a Redis on the same host comes within some tens of microseconds; to park the goroutine and to wake a thread for it
// again takes longer than that, and more processor time than the whole command. A thread is held for as long as a command takes,
// so that the threads are bounded by the pool.
//
// Deadlines are SO_RCVTIMEO and SO_SNDTIMEO (socket(7)), which a socket keeps: they are set again only where the time that is
// left asks for it.
type socket struct {
	fd            int
	local, remote net.Addr
	// users counts the calls under way, and one until Close: the last of them gives the descriptor back, which would be another
	// file's for the others otherwise.
	users         atomic.Int32
	closed        atomic.Bool
	reads, writes direction
}

// direction is one direction's deadline.
type direction struct {
	option   int
	deadline atomic.Int64  // Unix time in ns; 0: none
	armed    time.Duration // the kernel's time-out; 0: none. Of the goroutine that reads or writes.
}

// blocking makes a connection of a dialled one, which it closes. A connection that is no socket of the kernel's, as over TLS,
// stays as it is.
func blocking(conn net.Conn) (net.Conn, error) {
	filer, is := conn.(interface{ File() (*os.File, error) })
	if !is {
		return conn, nil
	}
	file, err := filer.File()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err = errors.Join(err, file.Close(), conn.Close()); err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		return nil, err
	}
	s := &socket{fd: fd, local: conn.LocalAddr(), remote: conn.RemoteAddr()}
	s.users.Store(1)
	s.reads.option, s.writes.option = unix.SO_RCVTIMEO, unix.SO_SNDTIMEO
	return s, nil
}

// enter begins a call; false says that the socket is closed.
func (s *socket) enter() bool {
	for {
		users := s.users.Load()
		if users == 0 || s.closed.Load() { // from zero on the descriptor may be another file's
			return false
		}
		if s.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

func (s *socket) leave() {
	if s.users.Add(-1) == 0 {
		_ = unix.Close(s.fd)
	}
}

// arm has the next call of the kernel end with the deadline, or somewhat before.
func (s *socket) arm(d *direction) error {
	at := d.deadline.Load()
	if at == 0 {
		return s.setTimeout(d, 0)
	}
	left := time.Until(time.Unix(0, at))
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	if d.armed > 0 && d.armed <= left && d.armed >= left/2 {
		return nil
	}
	return s.setTimeout(d, max(left*3/4, time.Microsecond))
}

func (s *socket) setTimeout(d *direction, to time.Duration) error {
	if d.armed == to {
		return nil
	}
	tv := unix.NsecToTimeval(to.Nanoseconds())
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, d.option, &tv); err != nil {
		return err
	}
	d.armed = to
	return nil
}

// Read implements [net.Conn].
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.call("read", &s.reads, func() (int, error) { return unix.Read(s.fd, b) })
	if n == 0 && err == nil && len(b) > 0 {
		if s.closed.Load() {
			return 0, s.failed("read", net.ErrClosed)
		}
		return 0, io.EOF
	}
	return n, err
}

// Write implements [net.Conn].
func (s *socket) Write(b []byte) (written int, err error) {
	for written < len(b) {
		n, err := s.call("write", &s.writes, func() (int, error) { return unix.Write(s.fd, b[written:]) })
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// call repeats a call of the kernel until it has moved bytes, or failed, or the deadline is over.
func (s *socket) call(op string, d *direction, do func() (int, error)) (int, error) {
	if !s.enter() {
		return 0, s.failed(op, net.ErrClosed)
	}
	defer s.leave()
	for {
		if err := s.arm(d); err != nil {
			return 0, s.failed(op, err)
		}
		n, err := do()
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // a signal; the time-out, which arm judges
		default:
			return 0, s.failed(op, os.NewSyscallError(op, err))
		}
	}
}

func (s *socket) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: s.remote.Network(), Source: s.local, Addr: s.remote, Err: err}
}

// Close implements [net.Conn]: calls under way end with it.
func (s *socket) Close() error {
	if s.closed.Swap(true) {
		return s.failed("close", net.ErrClosed)
	}
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // fails where the peer has closed already, which ends the calls as well
	s.leave()
	return nil
}

// LocalAddr implements [net.Conn].
func (s *socket) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements [net.Conn].
func (s *socket) RemoteAddr() net.Addr { return s.remote }

// SetDeadline implements [net.Conn], for calls that begin afterwards.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn] likewise.
func (s *socket) SetReadDeadline(t time.Time) error { s.reads.set(t); return nil }

// SetWriteDeadline implements [net.Conn] likewise.
func (s *socket) SetWriteDeadline(t time.Time) error { s.writes.set(t); return nil }

func (d *direction) set(t time.Time) {
	if t.IsZero() {
		d.deadline.Store(0)
		return
	}
	d.deadline.Store(t.UnixNano())
}

// SyscallConn implements [syscall.Conn], through which go-redis looks without waiting whether the server has closed the
// connection.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return rawSocket{s}, nil }

type rawSocket struct{ *socket }

// Control implements [syscall.RawConn].
func (r rawSocket) Control(f func(fd uintptr)) error {
	if !r.enter() {
		return net.ErrClosed
	}
	defer r.leave()
	f(uintptr(r.fd))
	return nil
}

// Read implements [syscall.RawConn]: f is called once.
func (r rawSocket) Read(f func(fd uintptr) bool) error { return r.Control(func(fd uintptr) { f(fd) }) }

// Write implements [syscall.RawConn] likewise.
func (r rawSocket) Write(f func(fd uintptr) bool) error { return r.Read(f) }
