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

// TestBindPrivate: before the socket gets its mode and group, only the process' own user may connect.
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
		if _, err := bind(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "second ticketd") {
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

// TestBindFollowsNoLink: the target of a link at the socket's path is neither replaced nor changed.
func TestBindFollowsNoLink(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]func(t *testing.T, path string){
		"to nothing": func(*testing.T, string) {},
		"to a file": func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"to a stale socket": func(t *testing.T, path string) {
			t.Helper()
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			_ = l.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := listenIn(t)
			other := opts.Path + ".other"
			target(t, other)
			before, beforeErr := os.Lstat(other)
			if err := os.Symlink(other, opts.Path); err != nil {
				t.Fatal(err)
			}
			if _, err := bind(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "not a socket") {
				t.Errorf("got %v", err)
			}
			after, afterErr := os.Lstat(other)
			if (beforeErr == nil) != (afterErr == nil) || beforeErr == nil && before.Mode() != after.Mode() {
				t.Errorf("what the link leads to has changed: %v, %v", after, afterErr)
			}
		})
	}
}

// TestSocketReplacedWhileItIsMade: between bind and chmod another program replaces the socket by another file. The file's
// mode stays. (A chmod of the path would make the file readable to the group.)
func TestSocketReplacedWhileItIsMade(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(precious, path string) error{
		"by a link": os.Symlink, "by a file": os.Link,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := listenIn(t)
			l, err := bindPrivate(t.Context(), opts.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			precious := opts.Path + ".precious"
			if err := os.WriteFile(precious, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(opts.Path); err != nil {
				t.Fatal(err)
			}
			if err := replace(precious, opts.Path); err != nil {
				t.Fatal(err)
			}
			if err := open(opts); err == nil || !strings.Contains(err.Error(), "another program writes") {
				t.Errorf("got %v", err)
			}
			if info, err := os.Lstat(precious); err != nil || info.Mode() != 0o600 {
				t.Errorf("its mode is %v now, %v", info.Mode(), err)
			}
		})
	}
}

// TestPeerOf asks the real kernel: this process is its own peer.
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
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := PeerOf(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	want := Peer{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: int32(os.Getpid())}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := PeerOf(int(plain.Fd())); err == nil {
		t.Error("a file that is no socket has credentials")
	}
}
