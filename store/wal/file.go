package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is a segment's file, open for writing.
type File interface {
	WriteAt(p []byte, offset int64) (int, error)
	Truncate(size int64) error
	// Datasync returns when all written bytes are on disk (fdatasync).
	Datasync() error
	Close() error
}

type osFile struct{ *os.File }

// OpenFile opens a file for writing, and makes the file if missing: the default of [Options].OpenFile.
func OpenFile(path string) (File, error) {
	f, err := openRegular(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Datasync implements [File]. Close on another goroutine waits for Datasync.
func (f osFile) Datasync() error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			if failed = unix.Fdatasync(int(fd)); !errors.Is(failed, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if failed != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: failed}
	}
	return nil
}

// syncDir makes creations, renames and removals in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}

// writeWhole makes a file atomically: after a crash at any moment the file is complete or does not exist. writeWhole replaces a
// file with the same name.
func writeWhole(open func(string) (File, error), path string, contents ...[]byte) (File, error) {
	tmp := path + tmpSuffix
	// The file of a failed try is not overwritten: the kernel may have dropped its pages.
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	f, err := open(tmp)
	if err != nil {
		return nil, err
	}
	if err = fill(f, contents); err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(tmp)
		return nil, err
	}
	return f, nil
}

func fill(f File, contents [][]byte) error {
	at := int64(0)
	for _, c := range contents {
		n, err := f.WriteAt(c, at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return f.Datasync()
}

// The files of a log's folder that are no segments.
const (
	lockName = "LOCK"
	idName   = "id"
)

// lock locks the folder for this process; the kernel unlocks the folder when the process ends, also after a crash.
func lock(dir string) (*os.File, error) {
	f, err := openRegular(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// unlock unlocks the folder. Close alone is not enough: a process that is just being started may still share the file.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}
