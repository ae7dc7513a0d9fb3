package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// folderMode lets the web server's group put files in, gives them its group, and keeps everybody else out.
	folderMode = 0o770 | fs.ModeSetgid
	// maxFile is the longest file in bytes: one frame.
	maxFile = protocol.HeaderBytes + protocol.MaxPayload

	suffix    = ".frame"
	unwritten = ".tmp-" // begins the name of a file that is still being written
	badName   = "bad"
)

// folder is the open spool folder. What is in it is reached through its descriptor, so that nobody can put another folder in
// its place between two steps.
type folder struct {
	path string
	dir  *os.File
	bad  *badFolder
	news *news
}

// openFolder makes the folder where it is missing, checks that nobody else can meddle with it, and takes it for this
// process alone.
func openFolder(path string, gid int) (*folder, error) {
	if err := makeFolder(path, gid); err != nil {
		return nil, fmt.Errorf("daemon.spool_dir: %w", err)
	}
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return nil, fmt.Errorf("daemon.spool_dir: %s: %w", path, err)
	}
	f := &folder{path: path, dir: dir}
	if err := f.prepare(); err != nil {
		f.close()
		return nil, fmt.Errorf("daemon.spool_dir: %w", err)
	}
	return f, nil
}

// makeFolder gives the folder its group before its mode: the other way round another group could use it for an instant. Both
// are done to what was made, whatever is at the path by then.
func makeFolder(path string, gid int) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = dir.Close() }()
	if gid >= 0 {
		if err = dir.Chown(-1, gid); err != nil {
			err = fmt.Errorf("giving it to group %d (the daemon's user must be a member of it): %w", gid, err)
		}
	}
	if err == nil {
		err = dir.Chmod(folderMode)
	}
	if err != nil {
		_ = os.Remove(path) // half made, it would be taken for an administrator's the next time
	}
	return err
}

// openDir opens a folder and demands that it is this process' own.
func openDir(at int, path string) (*os.File, error) {
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
	if owner := os.Geteuid(); int(stat.Uid) != owner {
		_ = dir.Close()
		return nil, fmt.Errorf("it belongs to user %d, not to the daemon's user %d: chown it", stat.Uid, owner)
	}
	return dir, nil
}

func (f *folder) prepare() error {
	info, err := f.dir.Stat()
	if err != nil {
		return err
	}
	if mode := info.Mode(); mode&0o007 != 0 {
		return fmt.Errorf("%s may be used by everybody (mode %04o): run 'chmod 2770' on it", f.path, mode.Perm())
	}
	if err := unix.Flock(f.fd(), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("another daemon uses %s: give each a folder of its own", f.path)
		}
		return fmt.Errorf("locking %s: %w", f.path, err)
	}
	if f.bad, err = openBad(f.fd()); err != nil {
		return fmt.Errorf("%s/%s: %w", f.path, badName, err)
	}
	f.news, err = newNews(f.path)
	return err
}

func (f *folder) close() {
	if f.news != nil {
		f.news.close()
	}
	if f.bad != nil {
		_ = f.bad.dir.Close()
	}
	_ = f.dir.Close() // nothing was written through it
}

func (f *folder) fd() int { return int(f.dir.Fd()) }

// present says whether the path still leads to the open folder.
func (f *folder) present() bool {
	open, err := f.dir.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.path)
	return err == nil && os.SameFile(open, there)
}

// names lists what is there by order of name, but for what begins with a dot, and bad/. It may be called by several
// goroutines.
func (f *folder) names() ([]string, error) {
	all, err := list(f.fd())
	all = slices.DeleteFunc(all, func(name string) bool { return strings.HasPrefix(name, ".") || name == badName })
	slices.Sort(all)
	return all, err
}

// list reads a folder through a descriptor of its own, as two readers of one would share its position.
func list(at int) ([]string, error) {
	fd, err := unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listing the folder: %w", err)
	}
	dir := os.NewFile(uintptr(fd), ".")
	defer func() { _ = dir.Close() }()
	return dir.Readdirnames(-1)
}

// passing says of an error that it is of the moment and says nothing about the folder or the file.
func passing(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EINTR)
}

// errGone means that somebody has taken the file away.
var errGone = errors.New("the file is gone")

// read returns a file's content and its owner. The error is a *[protocol.Error] where the file can never be used, and
// another one where it could not be read now.
func (f *folder) read(name string) ([]byte, daemon.Peer, error) {
	fd, err := unix.Openat(f.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, daemon.Peer{}, errGone
	case passing(err):
		return nil, daemon.Peer{}, fmt.Errorf("opening a file of the spool: %w", err)
	case err != nil: // ELOOP: a symbolic link; ENXIO: a socket; EACCES: its owner keeps it closed
		return nil, daemon.Peer{}, protocol.Errorf(protocol.CodeMalformed, "it cannot be opened as a file: %s", err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer func() { _ = file.Close() }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, daemon.Peer{}, protocol.Errorf(protocol.CodeMalformed, "it cannot be looked at: %s", err)
	}
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, daemon.Peer{}, protocol.Errorf(protocol.CodeMalformed, "it is no regular file")
	case stat.Nlink != 1:
		return nil, daemon.Peer{}, protocol.Errorf(protocol.CodeMalformed,
			"it has %d names: its owner need not be who put it here", stat.Nlink)
	case stat.Size > maxFile:
		return nil, daemon.Peer{}, protocol.Errorf(protocol.CodeTooLarge, "it has %d bytes; a frame has at most %d", stat.Size, maxFile)
	}
	content := make([]byte, stat.Size)
	n, err := file.ReadAt(content, 0)
	if n < len(content) {
		return nil, daemon.Peer{}, protocol.Errorf(protocol.CodeMalformed, "it cannot be read: %v", err)
	}
	return content, daemon.Peer{UID: stat.Uid, GID: stat.Gid}, nil
}

func (f *folder) remove(name string) error {
	if err := unix.Unlinkat(f.fd(), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing a file that was taken in: %w", err)
	}
	return nil
}
