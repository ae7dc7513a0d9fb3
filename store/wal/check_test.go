package wal

import (
	"errors"
	"os"
	"testing"
)

// Check says what Open would say, and leaves the folder as it is. (With Open in its place the listings differ.)
func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	if err := Check(t.TempDir() + "/none"); err != nil {
		t.Errorf("a folder that is missing: %v", err)
	}
	dir := t.TempDir()
	if err := Check(dir); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("it left %v", entries)
	}
	l, _, _ := open(t, dir, Options{})
	appendAll(t, l, "one", "two", "three")
	if err := Check(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("a log in use: %v", err)
	}
	closeLog(t, l)
	path, whole := lastSegment(t, dir)
	writeFile(t, path, whole[:len(whole)-1])
	if err := Check(dir); err != nil {
		t.Errorf("a torn tail is no damage: %v", err)
	}
	if _, after := lastSegment(t, dir); len(after) != len(whole)-1 {
		t.Error("the tail was cut")
	}
	whole[headerSize+frameSize] ^= 1
	writeFile(t, path, whole)
	if damaged := (*CorruptError)(nil); !errors.As(Check(dir), &damaged) {
		t.Errorf("a damaged log: %v", Check(dir))
	}
}
