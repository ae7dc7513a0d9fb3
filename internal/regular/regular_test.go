package regular_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/internal/regular"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("file"), []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", in("link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{in("file"), ""},
		{in("link"), ""},
		{in("none"), "no such file"},
		{dir, "a folder"},
		{in("pipe"), "a pipe"}, // without a writer: opening it in the ordinary way would not return
		{"/dev/zero", "a device"},
	} {
		text, err := regular.Read(c.path, 5)
		switch {
		case c.want == "" && (err != nil || string(text) != "12345"):
			t.Errorf("%s: %q, %v", c.path, text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v; want %q", c.path, err, c.want)
		}
	}
	if _, err := regular.Read(in("file"), 4); err == nil || !strings.Contains(err.Error(), "longer than 4 bytes") {
		t.Errorf("a file of 5 bytes where 4 are allowed: %v", err)
	}
}
