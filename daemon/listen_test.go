package daemon

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func listenIn(t *testing.T) ListenOptions {
	t.Helper()
	return ListenOptions{Path: filepath.Join(t.TempDir(), "s"), Mode: 0o660, GID: os.Getgid()}
}

func TestBindSetsMode(t *testing.T) {
	t.Parallel()
	opts := listenIn(t)
	l, err := bind(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != fs.ModeSocket|0o660 {
		t.Errorf("the socket's mode is %v", got)
	}
}

// TestBindPrivate: before the socket gets its mode and group, nobody but the own user may connect.
func TestBindPrivate(t *testing.T) {
	t.Parallel()
	opts := listenIn(t)
	l, err := bindPrivate(t.Context(), opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the socket's mode right after bind is %v", got)
	}
}

func TestBindReplacesStaleSocket(t *testing.T) {
	t.Parallel()
	opts := listenIn(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: opts.Path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := bind(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
}

func TestBindRefuses(t *testing.T) {
	t.Parallel()
	t.Run("a socket on which somebody listens", func(t *testing.T) {
		t.Parallel()
		opts := listenIn(t)
		l, err := bind(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := bind(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "another ticketd") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		t.Parallel()
		opts := listenIn(t)
		if err := os.WriteFile(opts.Path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := bind(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("got %v", err)
		}
		if content, err := os.ReadFile(opts.Path); err != nil || string(content) != "precious" {
			t.Errorf("the file was touched: %q, %v", content, err)
		}
	})
	t.Run("a folder that is not there", func(t *testing.T) {
		t.Parallel()
		opts := listenIn(t)
		opts.Path = filepath.Join(opts.Path, "none", "s")
		if _, err := bind(t.Context(), opts); err == nil {
			t.Error("bound in a folder that does not exist")
		}
	})
}

// TestPeerOf asks the kernel for real: this process is its own peer.
func TestPeerOf(t *testing.T) {
	t.Parallel()
	opts := listenIn(t)
	l, err := bind(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := (&net.Dialer{}).DialContext(t.Context(), "unix", opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := PeerOf(conn)
	if err != nil {
		t.Fatal(err)
	}
	want := Peer{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: int32(os.Getpid())}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	if _, err := PeerOf(pipe); err == nil {
		t.Error("a pipe has credentials")
	}
}
