package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// private requires that only this process' user can write to the log's folder: every record that is replayed from the folder
// counts as acknowledged. Root may open any user's folder, as commands on a journal run as root.
func private(dir string) error {
	info, err := os.Stat(dir) // a link is allowed: the permissions of the folder above decide who can make a link
	if err != nil {
		return err
	}
	return judgeFolder(dir, info, os.Geteuid())
}

func judgeFolder(dir string, info fs.FileInfo, user int) error {
	const writable = 0o022 // by the group or by everybody
	stat, _ := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode(); {
	case !mode.IsDir():
		return fmt.Errorf("%s is no folder", dir)
	case user != 0 && int(stat.Uid) != user:
		return fmt.Errorf("%s belongs to user %d, not to the daemon's user %d: chown it", dir, stat.Uid, user)
	case mode.Perm()&writable != 0:
		return fmt.Errorf("other users may write to %s (mode %04o): check the folder's files, then run 'chmod 0700' on the folder",
			dir, mode.Perm())
	}
	return nil
}

// openRegular opens a file of the log. openRegular follows no link, and refuses an irregular file before any read or wait.
func openRegular(path string, flags int) (*os.File, error) {
	const mode = 0o600
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, mode)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return nil, notOurs(path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notOurs(path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func notOurs(path string) error {
	return fmt.Errorf("%s is a link or no regular file, so not a file of the journal: move the file away", path)
}

// readRegular reads a whole file of the log.
func readRegular(path string) ([]byte, error) {
	f, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // the file has become shorter meanwhile
	}
	return data[:n], err
}
