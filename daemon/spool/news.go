package spool

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// news is the kernel's queue of what was renamed into a folder.
type news struct {
	fd  int
	buf [4096]byte
}

func newNews(path string) (*news, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", path, err)
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MOVED_TO|unix.IN_ONLYDIR|unix.IN_DONT_FOLLOW); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("watching %s: %w", path, err)
	}
	return &news{fd: fd}, nil
}

// any empties the queue and says whether anything was in it. What it was does not matter, an overflow of the queue neither:
// the whole folder is looked at then.
func (n *news) any() bool {
	found := false
	for {
		_, err := unix.Read(n.fd, n.buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return found // EAGAIN, the only other error that an open queue has: it is empty
		default:
			found = true
		}
	}
}

func (n *news) close() { _ = unix.Close(n.fd) }
