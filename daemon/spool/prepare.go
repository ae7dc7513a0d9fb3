package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// userMode lets the user put files in, and lets the daemon read and remove them by its group, which new files inherit.
const userMode = 0o770 | fs.ModeSetgid

// Preparation makes the folders of users. Only root can give a folder to another user: without root's rights, a daemon makes
// only its own folder.
type Preparation struct {
	// Base is the folder of all users' folders.
	Base string
	// UID and GID are the daemon's user and group.
	UID, GID uint32
	// SharedGID is the group that may put files straight into a new base; -1 is none.
	SharedGID int
	// Users get a folder each.
	Users []uint32
	// Say receives a line for each change made.
	Say func(format string, args ...any)
}

// Run makes missing folders and corrects the modes and groups of existing folders. Folders of other owners stay unchanged and
// are named in the error. Run may be repeated.
func (p *Preparation) Run() error {
	base, err := p.base()
	if err != nil {
		return fmt.Errorf("daemon.spool_dir: %w", err)
	}
	defer func() { _ = base.Close() }()
	var errs []error
	for _, uid := range p.Users {
		if err := p.user(base, uid); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Join(p.Base, strconv.FormatUint(uint64(uid), 10)), err))
		}
	}
	return errors.Join(errs...)
}

// base opens the base, and makes a missing base.
func (p *Preparation) base() (*os.File, error) {
	if err := makeBase(p.Base, p.SharedGID); err != nil {
		return nil, err
	}
	dir, err := p.open(unix.AT_FDCWD, p.Base, p.UID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Base, err)
	}
	if err := p.openUp(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Base, errors.Join(err, dir.Close()))
	}
	return dir, nil
}

// openUp lets every user pass through the base, and keeps a group with write access from moving other users' folders away.
func (p *Preparation) openUp(dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &stat); err != nil {
		return err
	}
	const groupMayWrite, others, pass = 0o020, 0o007, 0o001
	mode, group := fs.FileMode(baseMode), int(p.GID)
	if info.Mode()&groupMayWrite != 0 {
		mode, group = info.Mode().Perm()&^others|pass|fs.ModeSetgid|fs.ModeSticky, -1
	}
	if stat.Uid != p.UID {
		if err := dir.Chown(int(p.UID), group); err != nil {
			return err
		}
	}
	if info.Mode()&(fs.ModePerm|fs.ModeSetgid|fs.ModeSticky) == mode {
		return nil
	}
	if err := dir.Chmod(mode); err != nil {
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			return nil // a unit with RestrictSUIDSGID=; root can set the mode
		}
		return err
	}
	p.Say("%s: mode %04o", p.Base, unixMode(mode))
	return nil
}

// user makes or corrects a user's folder.
func (p *Preparation) user(base *os.File, uid uint32) error {
	name := strconv.FormatUint(uint64(uid), 10)
	err := unix.Mkdirat(int(base.Fd()), name, 0o700)
	isNew := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := p.open(int(base.Fd()), name, uid)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return p.giveAway(dir, uid, isNew)
}

// giveAway gives a folder its user, the daemon's group and the mode, if they differ.
func (p *Preparation) giveAway(dir *os.File, uid uint32, isNew bool) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &stat); err != nil {
		return err
	}
	isOwned := stat.Uid == uid && stat.Gid == p.GID
	if !isNew && isOwned && stat.Mode&^unix.S_IFMT == unixMode(userMode) {
		return nil
	}
	// The group before the mode: in the other order another group could use the folder for an instant.
	if !isOwned {
		if err := dir.Chown(int(uid), int(p.GID)); err != nil {
			return fmt.Errorf("giving the folder to user %d and group %d: %w", uid, p.GID, err)
		}
	}
	err := dir.Chmod(userMode)
	if errors.Is(err, fs.ErrPermission) && int(p.GID) == os.Getegid() {
		err = dir.Chmod(userMode.Perm()) // a unit with RestrictSUIDSGID=; new files have the process' group anyway
	}
	if err == nil {
		p.Say("%s/%d: user %d, group %d, mode %04o", p.Base, uid, uid, p.GID, unixMode(userMode))
	}
	return err
}

// open opens a folder of the owner, or an empty folder that this process' user has made and not given away yet.
func (*Preparation) open(at int, path string, owner uint32) (*os.File, error) {
	dir, err := openDir(at, path, int(owner))
	if err == nil || os.Geteuid() == int(owner) {
		return dir, err
	}
	mine, not := openDir(at, path, os.Geteuid())
	if not != nil {
		return nil, err
	}
	if names, not := list(int(mine.Fd()), 1); not != nil || len(names) > 0 {
		return nil, errors.Join(err, mine.Close())
	}
	return mine, nil
}

// unixMode returns a mode's bits as chmod expects them.
func unixMode(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if mode&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}
