package testenv

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// maxSocketPath is the maximum length of a Unix socket's path in bytes: sun_path is 108 with the closing zero.
const maxSocketPath = 107

// socketIn returns the path of a server's socket in the server's folder.
func socketIn(dir, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", fmt.Errorf("socket path: %w", err)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("socket path %s: longer than the %d bytes that a Unix socket's path may have; "+
			"use a shorter folder (TMPDIR for tests)", path, maxSocketPath)
	}
	return path, nil
}

// processFolder holds the folders of all tests of this process. [testing.TB.TempDir] puts the test's name into the path,
// which makes socket paths too long.
var processFolder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "ticketd-test-") })

// Folder makes a folder for a test, with a path short enough for sockets, and removes the folder with the test.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := newFolder("dir")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("removing a test's folder: %v", err)
		}
	})
	return dir
}

// newFolder makes an unused folder.
func newFolder(name string) (string, error) {
	parent, err := processFolder()
	if err != nil {
		return "", fmt.Errorf("making the tests' folder: %w", err)
	}
	dir, err := os.MkdirTemp(parent, name+"-")
	if err != nil {
		return "", fmt.Errorf("making a folder for %s: %w", name, err)
	}
	return dir, nil
}

// copyTree copies a folder's folders and files; links are followed, so that the copy stands alone. A link that leads
// nowhere is left out.
func copyTree(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return copyFile(from, to, info.Mode().Perm())
	}
	if err := os.MkdirAll(to, info.Mode().Perm()|0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		source := filepath.Join(from, entry.Name())
		if entry.Type()&fs.ModeSymlink != 0 {
			if _, err := os.Stat(source); err != nil {
				continue
			}
		}
		if err := copyTree(source, filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return target.Close()
}
