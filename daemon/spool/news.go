package spool

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// news is the kernel's queue of what was renamed into folders. Each watch tells of one rename and is gone then: a flood of
// renames in one folder neither fills the queue nor costs whoever reads it. Who looks at a folder arms its watch first.
type news struct {
	fd  int
	buf [16 << 10]byte
}

func newNews() (*news, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watching the spool's folders: %w", err)
	}
	return &news{fd: fd}, nil
}

// arm watches an open folder, and where made is set also what is made in it, and returns the watch's number.
func (n *news) arm(dir int, made bool) (int, error) {
	mask := uint32(unix.IN_MOVED_TO | unix.IN_ONLYDIR | unix.IN_ONESHOT)
	if made {
		mask |= unix.IN_CREATE
	}
	// The descriptor's path leads to the folder that is open, whatever stands at the folder's own path by now.
	path := fmt.Sprintf("/proc/self/fd/%d", dir)
	wd, err := unix.InotifyAddWatch(n.fd, path, mask)
	if err != nil {
		return 0, fmt.Errorf("watching a folder (fs.inotify.max_user_watches bounds how many): %w", err)
	}
	return wd, nil
}

// disarm ends a watch; one that is gone already is no error.
func (n *news) disarm(wd int) {
	_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) //nolint:gosec // the kernel gave it
}

// hear empties the queue and calls heard with the number of each watch that something was in it of; with -1 where the kernel lost
// some.
func (n *news) hear(heard func(wd int)) {
	for {
		size, err := unix.Read(n.fd, n.buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return // EAGAIN, the only other error that an open queue has: it is empty
		}
		for events := n.buf[:size]; len(events) >= unix.SizeofInotifyEvent; {
			// struct inotify_event: wd, mask, cookie and the length of the name that follows, 32 bits each.
			const lengthAt = 12
			heard(int(int32(binary.NativeEndian.Uint32(events)))) //nolint:gosec // the kernel's own type
			named := int(binary.NativeEndian.Uint32(events[lengthAt:]))
			events = events[min(len(events), unix.SizeofInotifyEvent+named):]
		}
	}
}

func (n *news) close() { _ = unix.Close(n.fd) }
