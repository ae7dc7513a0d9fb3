package spool

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// news is the kernel's queue of renames into folders. Each watch reports a single rename and then ends: a flood of renames in
// a folder neither fills the queue nor costs its reader. A look at a folder first arms the folder's watch.
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

// arm watches an open folder for renames, with made also for new files, and returns the watch's number.
func (n *news) arm(dir int, made bool) (int, error) {
	mask := uint32(unix.IN_MOVED_TO | unix.IN_ONLYDIR | unix.IN_ONESHOT)
	if made {
		mask |= unix.IN_CREATE
	}
	// The descriptor's path leads to the open folder, whatever stands at the folder's own path.
	path := fmt.Sprintf("/proc/self/fd/%d", dir)
	wd, err := unix.InotifyAddWatch(n.fd, path, mask)
	if err != nil {
		return 0, fmt.Errorf("watching a folder (fs.inotify.max_user_watches bounds the number): %w", err)
	}
	return wd, nil
}

// disarm ends a watch; a watch that has ended already is no error.
func (n *news) disarm(wd int) {
	_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) //nolint:gosec // a number from the kernel
}

// hear empties the queue and calls heard with the number of each watch that fired; with -1 if the kernel dropped events.
func (n *news) hear(heard func(wd int)) {
	for {
		size, err := unix.Read(n.fd, n.buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return // EAGAIN, the only other error of an open queue: the queue is empty
		}
		for events := n.buf[:size]; len(events) >= unix.SizeofInotifyEvent; {
			// struct inotify_event: wd, mask, cookie and the length of the following name, 32 bits each.
			const lengthAt = 12
			heard(int(int32(binary.NativeEndian.Uint32(events)))) //nolint:gosec // the kernel's own type
			named := int(binary.NativeEndian.Uint32(events[lengthAt:]))
			events = events[min(len(events), unix.SizeofInotifyEvent+named):]
		}
	}
}

func (n *news) close() { _ = unix.Close(n.fd) }
