package testenv

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// SmallDisk returns a folder on a new file system with so many bytes, for a test. Only root may mount a file system; other
// users skip the test with that reason.
func SmallDisk(t testing.TB, bytes int64) string {
	t.Helper()
	dir := Folder(t)
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.FormatInt(bytes, 10))
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("mounting a small file system needs root: %v", err)
	}
	if err != nil {
		t.Fatalf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting the small file system: %v", err)
		}
	})
	return dir
}
