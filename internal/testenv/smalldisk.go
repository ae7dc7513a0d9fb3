package testenv

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// SmallDisk returns a folder on a file system of its own that has so many bytes, for one test. Only root may mount one;
// where the test may not, the reason of its skip says so.
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
