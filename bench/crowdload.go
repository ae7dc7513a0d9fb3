package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

// crowdLoad is many connections that each write, wait for the reply, and write again. One loop over epoll serves them all, as
// redis-benchmark's: a goroutine for each would take as much of the processors as the daemon does.
type crowdLoad struct {
	epoll       int
	connections []int // their descriptors
	encoder     protocol.Encoder
	buf         [1 << 10]byte // more than the reply to a write takes
	sent, done  int64
}

func newCrowdLoad(socket string, connections int) (l *crowdLoad, err error) {
	l = &crowdLoad{}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for range connections {
		if err := l.connect(socket); err != nil {
			return nil, errors.Join(fmt.Errorf("connecting to %s: %w", socket, err), l.close())
		}
	}
	return l, nil
}

func (l *crowdLoad) connect(socket string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	l.connections = append(l.connections, fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)} //nolint:gosec // a descriptor is a small number
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event)
}

func (l *crowdLoad) close() error {
	err := unix.Close(l.epoll)
	for _, fd := range l.connections {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}

// run writes over all connections until the time is over, and returns how many writes were done. Its error is the first that
// happened.
func (l *crowdLoad) run(ctx context.Context, end time.Time) (int64, error) {
	before := l.done
	for _, fd := range l.connections {
		if err := l.write(fd); err != nil {
			return 0, err
		}
	}
	const patience = 10_000 // milliseconds
	events := make([]unix.EpollEvent, len(l.connections))
	for l.done < l.sent {
		n, err := unix.EpollWait(l.epoll, events, patience)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("epoll: %w", err)
		case n == 0:
			return 0, fmt.Errorf("%d writes have had no reply for %d ms", l.sent-l.done, patience)
		}
		more := ctx.Err() == nil && time.Now().Before(end)
		for _, event := range events[:n] {
			if err := l.read(int(event.Fd)); err != nil {
				return 0, err
			}
			if !more {
				continue
			}
			if err := l.write(int(event.Fd)); err != nil {
				return 0, err
			}
		}
	}
	return l.done - before, ctx.Err()
}

func (l *crowdLoad) write(fd int) error {
	l.sent++
	const requestID = 1 // of each: one at a time is under way on a connection
	frame, err := l.encoder.Request(requestID, protocol.MethodSet,
		&protocol.SetParams{ID: l.sent%1000 + 1, Fields: fourFields(l.sent)})
	if err != nil {
		return err
	}
	if n, err := unix.Write(fd, frame); err != nil || n < len(frame) {
		return fmt.Errorf("wrote %d of %d bytes: %w", n, len(frame), err)
	}
	return nil
}

// read takes the reply that has come, which the daemon writes at once.
func (l *crowdLoad) read(fd int) error {
	l.done++
	n, err := unix.Read(fd, l.buf[:])
	if err != nil || n <= protocol.HeaderBytes {
		return fmt.Errorf("read %d bytes of a reply: %w", n, err)
	}
	answer, err := protocol.DecodeAnswer(l.buf[protocol.HeaderBytes:n])
	switch {
	case err != nil:
		return err
	case answer.Reply == nil:
		return errors.New("the answer to a write is no reply")
	case answer.Reply.Err != nil:
		return answer.Reply.Err
	}
	return nil
}
