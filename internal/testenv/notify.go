package testenv

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
)

// Notifications receives the messages of a service to systemd over NOTIFY_SOCKET, as in sd_notify(3): datagrams of KEY=VALUE
// lines, e.g. READY=1, RELOADING=1, STOPPING=1. Notifications reads all the time: the kernel queues about ten datagrams, then
// the service would block.
type Notifications struct {
	conn *net.UnixConn
	path string
	done chan struct{}

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced when lines grows
}

// endOfNotifications is sent by Close to its own socket after all messages of the service, so that no message is missed.
const endOfNotifications = "\x00end"

// ListenNotify starts to receive at the path, which becomes the service's NOTIFY_SOCKET.
func ListenNotify(path string) (*Notifications, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listening for notifications: %w", err)
	}
	n := &Notifications{conn: conn, path: path, done: make(chan struct{}), changed: make(chan struct{})}
	go n.receive()
	return n, nil
}

func (n *Notifications) receive() {
	defer close(n.done)
	buffer := make([]byte, 4096)
	for {
		size, err := n.conn.Read(buffer)
		if err != nil || string(buffer[:size]) == endOfNotifications {
			return
		}
		n.mu.Lock()
		n.lines = append(n.lines, strings.Split(strings.TrimSpace(string(buffer[:size])), "\n")...)
		close(n.changed)
		n.changed = make(chan struct{})
		n.mu.Unlock()
	}
}

// Close stops receiving after all messages sent before; the received messages stay readable.
func (n *Notifications) Close() error {
	if conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.path, Net: "unixgram"}); err == nil {
		if _, err := conn.Write([]byte(endOfNotifications)); err == nil {
			<-n.done
		}
		_ = conn.Close()
	}
	err := n.conn.Close() // removes the socket and ends the receiver where the farewell could not be sent
	<-n.done
	if err != nil {
		return fmt.Errorf("closing the notification socket: %w", err)
	}
	return nil
}

// Lines returns the lines received so far.
func (n *Notifications) Lines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}

// Wait returns when the line want has come at or after the position from (0: ever), with the position after the line.
func (n *Notifications) Wait(ctx context.Context, from int, want string) (next int, err error) {
	for {
		n.mu.Lock()
		lines, changed := n.lines, n.changed
		n.mu.Unlock()
		if i := slices.Index(lines[min(from, len(lines)):], want); i >= 0 {
			return from + i + 1, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return from, fmt.Errorf("waiting for the notification %s: %w; came so far: %q", want, context.Cause(ctx), lines)
		}
	}
}
