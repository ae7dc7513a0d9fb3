package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// The bounds of one folder's bad/, which its files' .reason texts do not count against: each of those is short.
const (
	maxBadFiles = 1000
	maxBadBytes = 64 << 20
)

const (
	reasonSuffix = ".reason"
	// maxBadName leaves room behind a name for a number and for reasonSuffix, within the 255 bytes of a file system.
	maxBadName = 200
)

// errNoRoom means that bad/ holds as much as it may.
var errNoRoom = errors.New("the folder for files that cannot be used is full")

// badFolder is bad/: files that can never be ingested, each beside the reason.
type badFolder struct {
	dir   *os.File
	bytes int64
	files atomic.Int64 // read by whoever asks for the status
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

// measure counts again what is there: an operator may have removed some of it.
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

// put moves a file here and writes down why.
func (b *badFolder) put(from int, name string, why *protocol.Error) error {
	short := name[:min(len(name), maxBadName)]
	if strings.HasSuffix(short, reasonSuffix) {
		short += "_" // or it would be taken for another file's reason, and written over with it
	}
	target := short
	err := b.move(from, name, target)
	for i := 1; errors.Is(err, unix.EEXIST); i++ {
		target = short + "." + strconv.Itoa(i)
		err = b.move(from, name, target)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil // somebody has taken it away
	case err != nil:
		return err
	}
	return b.writeReason(target, name, why)
}

// move moves a file here where there is room for it, and no other of that name.
func (b *badFolder) move(from int, name, target string) error {
	size := roomOf(from, name)
	if b.files.Load() >= maxBadFiles || b.bytes+size > maxBadBytes {
		return errNoRoom
	}
	if err := unix.Renameat2(from, name, b.fd(), target, unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("moving it to %s/: %w", badName, err)
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

// maxReason is how long the text of a reason is at most that says why a file predates its ticket.
const maxReason = 4096

// predates says that a file of this name was put here before because of [daemon.ErrPredates], so that it was an operator who
// moved it back. No other refusal of a set or a deletion has that code.
func (b *badFolder) predates(name string) bool {
	fd, err := unix.Openat(b.fd(), name+reasonSuffix, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(fd), name+reasonSuffix)
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxReason))
	return err == nil && strings.Contains(string(text), "\ncode: "+string(daemon.ErrPredates.Code)+"\n")
}

// sizeOf is a file's size in bytes; 0 for one that is gone.
func sizeOf(at int, name string) int64 {
	var stat unix.Stat_t
	if err := unix.Fstatat(at, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0
	}
	return stat.Size
}

// roomOf is what a file takes on the disk in bytes, less than its size where it has holes: a file of a terabyte that holds
// nothing does not fill bad/.
func roomOf(at int, name string) int64 {
	const block = 512
	var stat unix.Stat_t
	if err := unix.Fstatat(at, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0
	}
	return min(stat.Size, stat.Blocks*block)
}
