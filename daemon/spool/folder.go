package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

const (
	// baseMode lets every user pass through to a folder of its own, and only the daemon's user put anything there.
	baseMode = 0o711
	// sharedMode lets a group put files there, too, and keeps its members from touching what others have put there.
	sharedMode = 0o771 | fs.ModeSetgid | fs.ModeSticky
	// maxFile is the longest file in bytes: one frame.
	maxFile = protocol.HeaderBytes + protocol.MaxPayload
	// maxNames is how many names of a folder are looked at: as many changes as a client leaves there at most (65,536), and some.
	maxNames = 65536 + 10_000

	suffix    = ".frame"
	unwritten = ".tmp-" // begins the name of a file that is still being written
	badName   = "bad"
)

// folder is an open folder of the spool. What is in it is reached through its descriptor, so that no user can put another folder
// in its place between two steps.
type folder struct {
	path string
	dir  *os.File
	bad  *badFolder
}

// openBase makes the folder of all users' folders where it is missing, and checks that it is the daemon's and that others may not
// write to it. gid is the group that may put files straight into it; -1 is none.
func openBase(path string, gid int) (*os.File, error) {
	if err := makeBase(path, gid); err != nil {
		return nil, fmt.Errorf("daemon.spool_dir: %w", err)
	}
	dir, err := openDir(unix.AT_FDCWD, path, os.Geteuid())
	if err != nil {
		return nil, fmt.Errorf("daemon.spool_dir: %s: %w", path, err)
	}
	info, err := dir.Stat()
	if err == nil && info.Mode()&0o006 != 0 {
		err = fmt.Errorf("%s may be used by everybody (mode %04o): run 'chmod o-rw' on it", path, info.Mode().Perm())
	}
	if err != nil {
		return nil, fmt.Errorf("daemon.spool_dir: %w", errors.Join(err, dir.Close()))
	}
	return dir, nil
}

// makeBase gives the folder its group before its mode: the other way round another group could use it for an instant. Both are
// done to the folder that was made, whatever is at the path then.
func makeBase(path string, gid int) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := openDir(unix.AT_FDCWD, path, os.Geteuid())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = dir.Close() }()
	mode := fs.FileMode(baseMode)
	if gid >= 0 {
		mode = sharedMode
		if err = dir.Chown(-1, gid); err != nil {
			err = fmt.Errorf("giving it to group %d (the daemon's user must be a member of it): %w", gid, err)
		}
	}
	if err == nil {
		err = dir.Chmod(mode)
	}
	if err != nil {
		_ = os.Remove(path) // half made, it would be taken for an administrator's the next time
	}
	return err
}

// openDir opens a folder and demands that it is the owner's.
func openDir(at int, path string, owner int) (*os.File, error) {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return nil, errors.New("it is no folder, or a link to one: make it a folder")
	case err != nil:
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), path)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	if int(stat.Uid) != owner {
		_ = dir.Close()
		return nil, fmt.Errorf("it belongs to user %d, not to user %d: look at it, and chown it", stat.Uid, owner)
	}
	return dir, nil
}

// openFolder opens a folder in the base whose owner alone, and the daemon, may use it; "." is the base itself. It takes the
// folder for this process alone.
func openFolder(base *os.File, name string, owner int) (*folder, error) {
	f := &folder{path: filepath.Join(base.Name(), name)}
	var err error
	if f.dir, err = openDir(int(base.Fd()), name, owner); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	if err := f.prepare(name == shared); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *folder) prepare(isShared bool) error {
	info, err := f.dir.Stat()
	if err != nil {
		return err
	}
	if mode := info.Mode(); mode&0o007 != 0 && !isShared {
		return fmt.Errorf("%s may be used by everybody (mode %04o): run 'chmod 2770' on it", f.path, mode.Perm())
	}
	if err := unix.Flock(f.fd(), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%w uses %s: give each a folder of its own", errInUse, f.path)
		}
		return fmt.Errorf("locking %s: %w", f.path, err)
	}
	if f.bad, err = openBad(f.fd()); err != nil {
		return fmt.Errorf("%s/%s: %w", f.path, badName, err)
	}
	return nil
}

func (f *folder) close() {
	if f.bad != nil {
		_ = f.bad.dir.Close()
	}
	_ = f.dir.Close() // nothing was written through it
}

func (f *folder) fd() int { return int(f.dir.Fd()) }

// names lists what is there by order of name, but for what begins with a dot and bad/; what may be the users' folders in the
// base is listed apart. more says that there is more than that: of a folder with too many names those that were read first are
// returned. It may be called by several goroutines.
func (f *folder) names(isShared bool) (names, users []string, more bool, err error) {
	all, err := list(f.fd(), maxNames+1)
	more = len(all) > maxNames
	all = slices.DeleteFunc(all, func(name string) bool {
		if isShared && isUser(name) {
			users = append(users, name)
			return true
		}
		return strings.HasPrefix(name, ".") || name == badName
	})
	slices.Sort(all)
	return all, users, more, err
}

// isUser says whether a name is that of a user's folder.
func isUser(name string) bool {
	uid, err := strconv.ParseUint(name, 10, 32)
	return err == nil && name == strconv.FormatUint(uid, 10)
}

// list reads at most so many names of a folder, all of them where most is negative. It does so through a descriptor of its own,
// as two readers of one would share its position.
func list(at, most int) ([]string, error) {
	fd, err := unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listing the folder: %w", err)
	}
	dir := os.NewFile(uintptr(fd), ".")
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(most)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// errInUse means that the folder is locked.
var errInUse = errors.New("another daemon")

// passing says of an error that it is of the moment and says nothing about the folder or the file.
func passing(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EINTR)
}

var (
	// errGone means that the file was removed.
	errGone = errors.New("the file is gone")
	// errStranger means that the file is not the folder's owner's: it is unknown which user put it there.
	errStranger = errors.New("the file belongs to another user than its folder")
	// errLeased means that its owner keeps the file to itself for a moment (fcntl, F_SETLEASE).
	errLeased = errors.New("the file is kept by its owner")
)

// look says whether a file may be opened at all: it is the owner's (a negative owner is any), and a regular file. Nothing is
// opened.
func (f *folder) look(name string, owner int64) error {
	var stat unix.Stat_t
	err := unix.Fstatat(f.fd(), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return errGone
	case err != nil:
		return fmt.Errorf("looking at a file of the spool: %w", err)
	case owner >= 0 && int64(stat.Uid) != owner:
		return errStranger
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return protocol.Errorf(protocol.CodeMalformed, "it is no regular file")
	default:
		return nil
	}
}

// read returns a file's content, its owner's user id and when it was written. The error is a *[protocol.Error] where the file can
// never be used, and another one where it could not be read now.
func (f *folder) read(name string, owner int64) (content []byte, uid uint32, written time.Time, err error) {
	fd, err := unix.Openat(f.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, 0, written, errGone
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, 0, written, errLeased
	case passing(err), errors.Is(err, unix.EACCES) && unix.Faccessat(f.fd(), ".", unix.R_OK|unix.X_OK, 0) != nil:
		return nil, 0, written, fmt.Errorf("opening a file of the spool: %w", err)
	case err != nil: // ELOOP: a symbolic link by now; EACCES: its owner keeps it closed
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "it cannot be opened as a file: %s", err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer func() { _ = file.Close() }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "it cannot be looked at: %s", err)
	}
	switch {
	case owner >= 0 && int64(stat.Uid) != owner:
		return nil, 0, written, errStranger // it was put in the other one's place meanwhile
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "it is no regular file")
	case stat.Nlink != 1:
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed,
			"it has %d names: its owner need not be who put it here", stat.Nlink)
	case stat.Size > maxFile:
		return nil, 0, written, protocol.Errorf(protocol.CodeTooLarge, "it has %d bytes; a frame has at most %d", stat.Size, maxFile)
	}
	content = make([]byte, stat.Size)
	n, err := file.ReadAt(content, 0)
	if n < len(content) {
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "it cannot be read: %v", err)
	}
	return content, stat.Uid, time.Unix(stat.Mtim.Unix()), nil
}

func (f *folder) remove(name string) error {
	if err := unix.Unlinkat(f.fd(), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing a file that was ingested: %w", err)
	}
	return nil
}
