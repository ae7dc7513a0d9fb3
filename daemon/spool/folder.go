package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

const (
	// baseMode lets every user pass through to its own folder; only the daemon's user may put files into the base.
	baseMode = 0o711
	// sharedMode lets also a group put files into the base; the sticky bit keeps members from touching other members' files.
	sharedMode = 0o771 | fs.ModeSetgid | fs.ModeSticky
	// maxFile is the longest file in bytes: a single frame.
	maxFile = protocol.HeaderBytes + protocol.MaxPayload
	// maxNames bounds the names read of a folder: the most changes that a client leaves in a folder (65,536), and a reserve.
	maxNames = 65536 + 10_000

	suffix    = ".frame"
	unwritten = ".tmp-" // begins the name of an unfinished file
	badName   = "bad"
)

// folder is an open folder of the spool. All access goes through its descriptor, so that no user can replace the folder
// between two steps.
type folder struct {
	path string
	dir  *os.File
	bad  *badFolder
}

// openBase makes the base if missing, and checks that the daemon owns the base and that others may not write into the base.
// gid is the group that may put files straight into the base; -1 is none.
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
		err = fmt.Errorf("%s is open to all users (mode %04o): run 'chmod o-rw' on the folder", path, info.Mode().Perm())
	}
	if err != nil {
		return nil, fmt.Errorf("daemon.spool_dir: %w", errors.Join(err, dir.Close()))
	}
	return dir, nil
}

// makeBase gives the base its group before its mode: in the other order another group could use the base for an instant. Both
// changes go through the descriptor, so another folder at the path stays untouched.
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
			err = fmt.Errorf("giving the folder to group %d (the daemon's user must be a member of the group): %w", gid, err)
		}
	}
	if err == nil {
		err = dir.Chmod(mode)
	}
	if err != nil {
		_ = os.Remove(path) // a half-made base would look like an administrator's at the next start
	}
	return err
}

// openDir opens a folder that must belong to the owner.
func openDir(at int, path string, owner int) (*os.File, error) {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return nil, errors.New("not a folder, but a file or a link: put a folder there")
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
		return nil, fmt.Errorf("the folder belongs to user %d, not to user %d: inspect the folder, then chown it", stat.Uid, owner)
	}
	return dir, nil
}

// openFolder opens a folder of the base and locks the folder for this process. Only its owner and the daemon may have access.
// The name "." is the base itself.
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
		return fmt.Errorf("%s is open to all users (mode %04o): run 'chmod 2770' on the folder", f.path, mode.Perm())
	}
	if err := unix.Flock(f.fd(), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%w uses %s: give each daemon its own folder", errInUse, f.path)
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
	_ = f.dir.Close() // no write went through the descriptor
}

func (f *folder) fd() int { return int(f.dir.Fd()) }

// names lists the files in order of name, without bad/ and names that begin with a dot. Names of possible user folders in the
// base are in users. more: the folder has more than maxNames names; names then holds the first that the system returned.
// Several goroutines may call names.
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

// stampDigits is the number of digits of a name that are the file's time, in µs since 1970.
const stampDigits = 16

var frameName = regexp.MustCompile(`^[0-9]{16}-[1-9][0-9]{0,18}-[0-9a-f]{16}` + regexp.QuoteMeta(suffix) + `$`)

func validName(name string) bool { return frameName.MatchString(name) }

// acknowledged returns when the file's client told its caller that the change is made. The time in the name counts, unless
// the file was written earlier: a client whose clock was set back keeps naming files with the time of an earlier change.
func acknowledged(name string, written time.Time) time.Time {
	if named := timeOf(name); written.After(named) {
		return named
	}
	return written
}

// timeOf returns the time in a file's name.
func timeOf(name string) time.Time {
	micros, _ := strconv.ParseInt(name[:stampDigits], 10, 64) // validName has checked the digits
	return time.UnixMicro(micros)
}

// isUser returns whether a name is the name of a user's folder.
func isUser(name string) bool {
	uid, err := strconv.ParseUint(name, 10, 32)
	return err == nil && name == strconv.FormatUint(uid, 10)
}

// list reads at most so many names of a folder; all names if most is negative. list opens its own descriptor, because two
// readers of a descriptor would share its position.
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

// errInUse: another process has locked the folder.
var errInUse = errors.New("another daemon")

// passing returns whether an error is temporary and says nothing about the folder or the file.
func passing(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EINTR)
}

var (
	// errGone: the file was removed.
	errGone = errors.New("the file is gone")
	// errStranger: the file's owner is not the folder's, so the user who put the file there is unknown.
	errStranger = errors.New("the file belongs to another user than its folder")
	// errLeased: the file's owner keeps the file for a moment (fcntl, F_SETLEASE).
	errLeased = errors.New("the file's owner holds a lease")
)

// look checks, without opening the file, that the file may be opened: a regular file of the owner; a negative owner accepts
// any user.
func (f *folder) look(name string, owner int64) error {
	var stat unix.Stat_t
	err := unix.Fstatat(f.fd(), name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return errGone
	case err != nil:
		return fmt.Errorf("examining a file of the spool: %w", err)
	case owner >= 0 && int64(stat.Uid) != owner:
		return errStranger
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return protocol.Errorf(protocol.CodeMalformed, "not a regular file")
	default:
		return nil
	}
}

// read returns a file's content, its owner's user id and its time of writing. The error is a *[protocol.Error] if the file
// can never be used, another error if the file cannot be read now.
func (f *folder) read(name string, owner int64) (content []byte, uid uint32, written time.Time, err error) {
	fd, err := unix.Openat(f.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, 0, written, errGone
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, 0, written, errLeased
	case passing(err), errors.Is(err, unix.EACCES) && unix.Faccessat(f.fd(), ".", unix.R_OK|unix.X_OK, 0) != nil:
		return nil, 0, written, fmt.Errorf("opening a file of the spool: %w", err)
	case err != nil: // ELOOP: replaced by a symbolic link; EACCES: closed by its owner
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "cannot open the file: %s", err)
	}
	file := os.NewFile(uintptr(fd), name)
	defer func() { _ = file.Close() }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "cannot examine the file: %s", err)
	}
	switch {
	case owner >= 0 && int64(stat.Uid) != owner:
		return nil, 0, written, errStranger // the file was replaced since look
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "not a regular file")
	case stat.Nlink != 1:
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed,
			"the file has %d names: another user than its owner may have put the file here", stat.Nlink)
	case stat.Size > maxFile:
		return nil, 0, written, protocol.Errorf(protocol.CodeTooLarge,
			"the file has %d bytes; a frame has at most %d", stat.Size, maxFile)
	}
	content = make([]byte, stat.Size)
	n, err := file.ReadAt(content, 0)
	if n < len(content) {
		return nil, 0, written, protocol.Errorf(protocol.CodeMalformed, "cannot read the file: %v", err)
	}
	return content, stat.Uid, time.Unix(stat.Mtim.Unix()), nil
}

func (f *folder) remove(name string) error {
	if err := unix.Unlinkat(f.fd(), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("removing an ingested file: %w", err)
	}
	return nil
}

// The bounds of a folder's bad/. The short .reason files do not count.
const (
	maxBadFiles = 1000
	maxBadBytes = 64 << 20
)

const (
	reasonSuffix = ".reason"
	// maxBadName leaves room behind a name for a number and for reasonSuffix, within the 255 bytes of a file system.
	maxBadName = 200
)

// errNoRoom: bad/ is full.
var errNoRoom = errors.New("the folder for unusable files is full")

// badFolder is bad/: files that can never be ingested, each beside the reason.
type badFolder struct {
	dir   *os.File
	bytes int64
	files atomic.Int64 // read by callers of Status
}

func openBad(at int) (*badFolder, error) {
	if err := unix.Mkdirat(at, badName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	dir, err := openDir(at, badName, os.Geteuid())
	if err != nil {
		return nil, err
	}
	b := &badFolder{dir: dir}
	return b, b.measure()
}

// measure counts the files anew, because an operator may have removed some.
func (b *badFolder) measure() error {
	names, err := list(b.fd(), -1)
	if err != nil {
		return err
	}
	files := int64(0)
	b.bytes = 0
	for _, name := range names {
		if !strings.HasSuffix(name, reasonSuffix) {
			files++
			b.bytes += roomOf(b.fd(), name)
		}
	}
	b.files.Store(files)
	return nil
}

func (b *badFolder) count() int64 { return b.files.Load() }

func (b *badFolder) fd() int { return int(b.dir.Fd()) }

// put moves a file into bad/ and writes the reason.
func (b *badFolder) put(from int, name string, why *protocol.Error) error {
	short := name[:min(len(name), maxBadName)]
	if strings.HasSuffix(short, reasonSuffix) {
		short += "_" // or another file's reason would overwrite the file
	}
	target := short
	err := b.move(from, name, target)
	for i := 1; errors.Is(err, unix.EEXIST); i++ {
		target = short + "." + strconv.Itoa(i)
		err = b.move(from, name, target)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil // the file was taken away
	case err != nil:
		return err
	}
	return b.writeReason(target, name, why)
}

// move moves a file into bad/ if bad/ has room and no file of that name.
func (b *badFolder) move(from int, name, target string) error {
	size := roomOf(from, name)
	if b.files.Load() >= maxBadFiles || b.bytes+size > maxBadBytes {
		return errNoRoom
	}
	if err := unix.Renameat2(from, name, b.fd(), target, unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("moving the file to %s/: %w", badName, err)
	}
	b.files.Add(1)
	b.bytes += size
	return nil
}

func (b *badFolder) writeReason(target, name string, why *protocol.Error) error {
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(b.fd(), target+reasonSuffix, flags, 0o600)
	if err != nil {
		return fmt.Errorf("writing the reason: %w", err)
	}
	file := os.NewFile(uintptr(fd), target+reasonSuffix)
	_, err = fmt.Fprintf(file, "file: %q\ncode: %s\nfield: %s\nmessage: %s\n", name, why.Code, why.Field, why.Message)
	return errors.Join(err, file.Sync(), file.Close(), b.dir.Sync())
}

// maxReason bounds the text of a reason in bytes that predates reads.
const maxReason = 4096

// roomOf returns a file's use of disk in bytes, at most its size: a sparse file of a terabyte does not fill bad/.
func roomOf(at int, name string) int64 {
	const block = 512
	var stat unix.Stat_t
	if err := unix.Fstatat(at, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0
	}
	return min(stat.Size, stat.Blocks*block)
}
