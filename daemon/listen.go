package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// probeTimeout bounds the dial that finds out whether a process listens on an existing socket.
const probeTimeout = time.Second

// ListenOptions say where to listen and which users may connect.
type ListenOptions struct {
	Path string
	// Mode is the socket file's mode, normally 0660.
	Mode fs.FileMode
	// GID is the group of the socket file; -1 leaves the process' own.
	GID int
}

// Listener is the daemon's socket.
type Listener struct {
	*net.UnixListener

	// inherited: systemd holds the socket and its queue of clients beyond this process.
	inherited bool
}

// take returns the socket's descriptor, for a poller other than the runtime's, in which the listener would wake a thread for each
// client. The caller owns the descriptor; the listener itself is closed, and leaves the file where it is.
func (l *Listener) take() (int, error) {
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	if err != nil {
		return -1, err
	}
	defer func() { _ = file.Close() }()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return fd, errors.Join(err, l.end())
}

// end closes the listener.
func (l *Listener) end() error {
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the socket: %w", err)
	}
	return nil
}

// Listen takes the socket that systemd passed; without such a socket, Listen binds the socket that the options describe.
func Listen(ctx context.Context, opts ListenOptions) (*Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take the socket from systemd: %w", err)
	}
	if len(passed) > 0 {
		return inherit(passed)
	}
	return bind(ctx, opts)
}

func inherit(passed []net.Listener) (*Listener, error) {
	if len(passed) == 1 {
		if l, ok := passed[0].(*net.UnixListener); ok {
			l.SetUnlinkOnClose(false) // systemd owns the file
			return &Listener{UnixListener: l, inherited: true}, nil
		}
	}
	for _, l := range passed {
		if l != nil {
			_ = l.Close() // the error below matters more
		}
	}
	return nil, fmt.Errorf("systemd passed %d sockets; the socket unit must have exactly one ListenStream= with a path",
		len(passed))
}

func bind(ctx context.Context, opts ListenOptions) (*Listener, error) {
	if err := removeStale(ctx, opts.Path); err != nil {
		return nil, err
	}
	l, err := bindPrivate(ctx, opts.Path)
	if err != nil {
		return nil, err
	}
	if err := open(opts); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Listener{UnixListener: l}, nil
}

// ListenUnix binds a socket beside the clients' socket and ignores sockets from systemd.
func ListenUnix(ctx context.Context, opts ListenOptions) (net.Listener, error) {
	return bind(ctx, opts)
}

// bindPrivate binds a socket to which only the process' own user may connect, from the first instant and whatever the umask:
// Linux creates the file with the mode that the socket had before bind (unix(7), bind in net/unix/af_unix.c).
func bindPrivate(ctx context.Context, path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var chmodErr error
		err := raw.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmodErr)
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	bound, _ := l.(*net.UnixListener) // the network "unix" always gives this type
	return bound, nil
}

// open gives the socket file its group and then its mode: in the other order the process' own group could connect for an
// instant. open changes the present file only if the file is a socket of this process' user: a user with write access to the
// folder could have replaced the socket by a link, and open would then open another file to every user.
func open(opts ListenOptions) error {
	fd, err := unix.Open(opts.Path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is no longer the socket that was made: another program writes to its folder", opts.Path)
	}
	if opts.GID >= 0 {
		if err := unix.Fchownat(fd, "", -1, opts.GID, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("give the socket to group %d (the daemon's user must be a member of it): %w", opts.GID, err)
		}
	}
	// Before Linux 6.6 only this path sets a mode through the descriptor of a socket file.
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), opts.Mode); err != nil {
		return fmt.Errorf("set the socket's mode: %w", err)
	}
	return nil
}

// removeStale removes the socket of a dead daemon. Any other file at path is an error.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket: remove it or configure another path", path)
	}
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close() // connecting was the whole question
		return fmt.Errorf("another process listens on %s: is a second ticketd running?", path)
	case !errors.Is(err, unix.ECONNREFUSED):
		// A full queue, a missing permission: a process may well listen.
		return fmt.Errorf("find out whether another process listens on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the stale socket: %w", err)
	}
	return nil
}
