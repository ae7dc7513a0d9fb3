package watchdog_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/protocol"
)

// listen serves connections at a new socket with do, in turn; nil accepts none.
func listen(t *testing.T, do func(net.Conn)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "d.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for do != nil {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			do(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-served
	})
	return path
}

func moved(t *testing.T, path string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return watchdog.Listener(path, zerolog.Nop())(ctx)
}

func TestListener(t *testing.T) {
	t.Parallel()
	refusal := func(conn net.Conn) {
		var enc protocol.Encoder
		_, _ = conn.Write(enc.Failure(0, protocol.Closing(protocol.CodeOverloaded, "1 connection is open")))
	}
	silent := func(conn net.Conn) {
		buffer := make([]byte, 1)
		for {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
		}
	}
	if !moved(t, listen(t, refusal)) {
		t.Error("a refusal is no answer")
	}
	if !moved(t, listen(t, func(net.Conn) {})) {
		t.Error("a connection that is taken and closed is no answer")
	}
	if moved(t, listen(t, nil)) {
		t.Error("a listener that accepts nobody counts as alive")
	}
	if moved(t, listen(t, silent)) {
		t.Error("a daemon that answers no request counts as alive")
	}
	path := listen(t, refusal)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !moved(t, path) {
		t.Error("a socket file that was removed counts as a stuck daemon; a restart would not bring it back")
	}
}
