package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Check reads a log as Open would, and changes nothing in its folder, so that any user who may read it can look. The error is a
// [CorruptError] where Open would give one, and [ErrLocked] while a process has the log open: it has found it whole then. A
// folder that is missing or empty holds no log, which is fine.
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
	defer func() { _ = held.Close() }() // with which the lock goes
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		return fmt.Errorf("check the journal: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "id")); errors.Is(err, fs.ErrNotExist) {
		return nil // loadID would make one: nothing was written yet, or the segments tell it when it is opened
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
