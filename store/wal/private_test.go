package wal

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A folder into which others may put files is refused, and says what to do.
func TestFolderOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o777, 0o770, 0o722, 0o702} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Open(dir, Options{}, nil); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if err := Check(dir); err == nil || !strings.Contains(err.Error(), "chmod 0700") {
			t.Errorf("mode %04o: a check finds %v", mode, err)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("mode %04o: it was written to all the same: %v, %v", mode, names, err)
		}
	}
	info, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const somebody = 4242
	if err := judgeFolder("x", info, somebody); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("a folder of another user: %v", err)
	}
}

// What stands in the place of a log's file is not followed, not waited for and not written to; the error names it.
func TestForeignFilesAreRefused(t *testing.T) {
	t.Parallel()
	precious := []byte("precious")
	for what, put := range map[string]func(t *testing.T, path, target string) error{
		"a link":           func(_ *testing.T, path, target string) error { return os.Symlink(target, path) },
		"a link elsewhere": func(_ *testing.T, path, _ string) error { return os.Symlink("/dev/zero", path) },
		"a pipe":           func(_ *testing.T, path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"a folder":         func(_ *testing.T, path, _ string) error { return os.Mkdir(path, 0o700) },
		"a socket": func(t *testing.T, path, _ string) error {
			t.Helper()
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
	} {
		for _, name := range []string{"LOCK", "id", filepath.Base(segmentPath("", 1))} {
			t.Run(what+" for "+name, func(t *testing.T) {
				t.Parallel()
				short, err := os.MkdirTemp("", "wal") //nolint:usetesting // a socket's path must be short
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.RemoveAll(short) })
				dir, target := filepath.Join(short, "log"), filepath.Join(short, "target")
				l, _, _ := open(t, dir, Options{})
				closeLog(t, l)
				if err := os.WriteFile(target, precious, 0o600); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, name)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := put(t, path, target); err != nil {
					t.Fatal(err)
				}
				refused := make(chan error, 1)
				go func() {
					l, _, err := Open(dir, Options{}, nil)
					if err == nil {
						err = l.Close()
					}
					refused <- err
				}()
				select {
				case err := <-refused:
					if err == nil || !strings.Contains(err.Error(), path) {
						t.Errorf("got %v, want an error that names %s", err, path)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("it waits")
				}
				if content, err := os.ReadFile(target); err != nil || string(content) != string(precious) {
					t.Errorf("what the link leads to was touched: %q, %v", content, err)
				}
			})
		}
	}
}
