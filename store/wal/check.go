package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Check reads a log like Open, without a change in the folder, so that any user with read access can check. The error is a
// [CorruptError] if Open would return a CorruptError, and [ErrLocked] while a process has the log open: that process has found
// the log undamaged. A missing or empty folder is no error.
func Check(dir string) error {
	if err := private(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("check the journal: %w", err)
	}
	held, err := openRegular(filepath.Join(dir, "LOCK"), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Open makes this file first
	}
	if err != nil {
		return fmt.Errorf("check the journal: %w", err)
	}
	defer func() { _ = held.Close() }() // also unlocks
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		return fmt.Errorf("check the journal: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "id")); errors.Is(err, fs.ErrNotExist) {
		return nil // loadID would make the file: the log has no records yet, or Open reads the id from the segments
	}
	id, err := loadID(dir)
	if err != nil {
		return fmt.Errorf("check the journal: %w", err)
	}
	r := recovery{}
	if err := walk(dir, id, r.visit); err != nil {
		return fmt.Errorf("check the journal: %w", err)
	}
	if r.corrupt != nil {
		return r.corrupt
	}
	return nil
}
