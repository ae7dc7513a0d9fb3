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

// private demands that nobody but this process' user can put anything into the log's folder: what is replayed from there is
// taken for what was acknowledged. Root may open anybody's, as the commands that look after a journal do.
func private(dir string) error {
	info, err := os.Stat(dir) // it may be a link: the folder above decides who can make one
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
		return fmt.Errorf("%s may be written to by others (mode %04o): look at what is in it, then run 'chmod 0700' on it",
			dir, mode.Perm())
	}
	return nil
}

// openRegular opens one of the log's files. Links are not followed, and what is no regular file is refused before anything is
// read from it or waited for.
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
	return fmt.Errorf("%s is a link or no regular file, so it is none of the journal's: move it away", path)
}

// readRegular reads one of the log's files whole.
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
		err = nil // it has become shorter meanwhile
	}
	return data[:n], err
}
