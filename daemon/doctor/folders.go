package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/store/wal"
)

// leastSpace is what a disk should have free, in bytes.
const leastSpace = 256 << 20

// folders looks at what the daemon keeps on this host's disk.
func (e *exam) folders() {
	c := e.Config
	if dir := c.Daemon.StateDir; dir != "" {
		e.folder("state", dir, 0o077)
	}
	for _, name := range c.SiteNames() {
		if dir := c.JournalDir(name); dir != "" {
			e.journal(name, dir)
		}
	}
	if c.JournalDir("any") == "" {
		e.warn("journal", "there", "", "there is none: while Redis is away changes are refused, and the plugin spools them",
			"set journal.enabled = true and daemon.state_dir")
	}
	if c.Daemon.SpoolDir == "" {
		e.warn("spool", "there", "", "there is none: while the daemon is away changes fail", "set daemon.spool_dir")
		return
	}
	e.spool(c.Daemon.SpoolDir)
}

// folder looks at one that is the daemon's own. It says whether there is anything to look into.
func (e *exam) folder(area, dir string, forbidden fs.FileMode) bool {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e.missing(area, dir)
	case errors.Is(err, fs.ErrPermission):
		e.warn(area, "folder", "", "this user may not look at "+dir, "run this as root")
		return false
	case err != nil:
		e.fail(area, "folder", "", short(err), "look at the disk")
		return false
	case !info.IsDir():
		e.fail(area, "folder", "", dir+" is no folder", "move it away: the daemon makes the folder")
		return false
	}
	owner := userName(e.uid)
	if ownerOf(info) != e.uid {
		e.fail(area, "owner", "", fmt.Sprintf("%s belongs to %s, not to the daemon's user %s", dir, userName(ownerOf(info)), owner),
			fmt.Sprintf("chown -R %s %s", owner, dir))
	} else if mode := info.Mode().Perm(); mode&0o700 != 0o700 || mode&forbidden != 0 {
		right := "0700"
		if area == "spool" {
			right = "0711"
		}
		e.fail(area, "mode", "", fmt.Sprintf("%s has the mode %04o", dir, mode), fmt.Sprintf("chmod %s %s", right, dir))
	} else {
		e.ok(area, "folder", "", dir+" is the daemon's own")
	}
	e.space(area, dir)
	return true
}

// missing judges a folder that is not there: the daemon makes it when it starts, where it may.
func (e *exam) missing(area, dir string) bool {
	above := filepath.Dir(dir)
	if info, err := os.Stat(above); err == nil && mayUse(info, e.uid, 3) {
		e.ok(area, "folder", "", dir+" is not there yet: the daemon makes it")
		return false
	}
	e.fail(area, "folder", "", fmt.Sprintf("%s is not there, and %s cannot make it", dir, userName(e.uid)),
		fmt.Sprintf("install -d -o %s -m 0700 %s (StateDirectory= of the unit does that)", userName(e.uid), dir))
	return false
}

func (e *exam) space(area, dir string) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		e.warn(area, "space", "", "it cannot be told how much room the disk of "+dir+" has: "+short(err), "run this as root")
		return
	}
	free := disk.Bavail * uint64(disk.Bsize) //nolint:gosec // a block's size is above zero
	least := uint64(leastSpace)
	if area == "journal" {
		least = max(least, uint64(e.Config.Journal.MaxBytes)) //nolint:gosec // within its bounds
	}
	switch {
	case free < leastSpace/4 || (disk.Files > 0 && disk.Ffree == 0):
		e.fail(area, "space", "", fmt.Sprintf("the disk of %s has %d MiB and %d files left", dir, free>>20, disk.Ffree),
			"make room, or move it to another disk")
	case free < least:
		e.warn(area, "space", "", fmt.Sprintf("the disk of %s has %d MiB free", dir, free>>20),
			fmt.Sprintf("make room: %d MiB should be free", least>>20))
	default:
		e.ok(area, "space", "", fmt.Sprintf("the disk of %s has %d MiB free", dir, free>>20))
	}
}

// journal looks at a site's log.
func (e *exam) journal(site, dir string) {
	if !e.folder("journal", dir, 0o077) {
		return
	}
	err := wal.Check(dir)
	var damaged *wal.CorruptError
	switch {
	case err == nil:
		e.ok("journal", "damage", site, "it can be read to its end")
	case errors.Is(err, wal.ErrLocked):
		e.ok("journal", "damage", site, "the daemon has it open, and found it whole")
	case errors.As(err, &damaged):
		e.fail("journal", "damage", site, damaged.Error(), "stop the daemon, copy the folder, then as the daemon's user: "+
			"ticketd journal salvage --site "+site)
	case errors.Is(err, fs.ErrPermission):
		e.warn("journal", "damage", site, "this user may not read it", "run this as root")
	default:
		e.fail("journal", "damage", site, short(err), "look at the disk")
	}
}

// prepareSpool is what makes users' folders, and puts them right.
const prepareSpool = "ticketd spool prepare (as root)"

// spool looks at the folder that holds the users' folders, and at these.
func (e *exam) spool(dir string) {
	if !e.folder("spool", dir, 0o006) {
		return
	}
	info, err := os.Stat(dir)
	if err != nil {
		return // it was there a moment ago: the next run says more
	}
	e.setAside(dir)
	if mode := info.Mode(); mode.Perm()&0o020 != 0 {
		fix := "when the plugins of all sites are upgraded: chmod 0711 " + dir
		if mode&fs.ModeSticky == 0 {
			e.fail("spool", "shared", "",
				fmt.Sprintf("the members of group %s may move other users' folders away", groupName(groupOf(info))), prepareSpool+"; "+fix)
		} else {
			e.warn("spool", "shared", "", fmt.Sprintf("the members of group %s may put files straight into %s, as older plugins do",
				groupName(groupOf(info)), dir), fix)
		}
	}
	folders, _ := filepath.Glob(filepath.Join(dir, "[0-9]*")) // the pattern is right
	for _, folder := range folders {
		if uid, err := strconv.ParseUint(filepath.Base(folder), 10, 32); err == nil {
			e.userFolder(folder, uint32(uid))
		}
	}
}

// userFolder looks at one user's folder.
func (e *exam) userFolder(dir string, uid uint32) {
	info, err := os.Lstat(dir)
	if err != nil {
		return // it was there a moment ago: the next run says more
	}
	switch mode := info.Mode(); {
	case !info.IsDir():
		e.fail("spool", "user", "", dir+" is no folder, so that the user's changes fail while the daemon is away",
			"look at it and remove it; "+prepareSpool)
		return
	case ownerOf(info) != uid:
		e.fail("spool", "user", "",
			fmt.Sprintf("%s belongs to %s, not to %s: it is not used", dir, userName(ownerOf(info)), userName(uid)),
			"look at it and remove it; "+prepareSpool)
		return
	case mode.Perm()&0o007 != 0, mode.Perm()&0o770 != 0o770, !mayUse(info, e.uid, 3):
		e.fail("spool", "user", "", fmt.Sprintf("%s has the mode %04o and the group %s", dir, mode.Perm(), groupName(groupOf(info))),
			prepareSpool)
	default:
		e.ok("spool", "user", "", fmt.Sprintf("%s is %s's own", dir, userName(uid)))
	}
	e.setAside(dir)
	strangers := 0
	entries, err := os.ReadDir(dir)
	if err != nil {
		e.unread(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && entry.Name() != "bad" && ownerOf(info) != uid {
			strangers++
		}
	}
	if strangers > 0 {
		e.warn("spool", "strangers", "", fmt.Sprintf("%d files in %s are other users': they are not touched", strangers, dir),
			"find out who puts them there, and remove them")
	}
}

// unread says that a folder of the spool could not be looked into.
func (e *exam) unread(err error) {
	e.warn("spool", "unread", "", "what is in it is not known: "+short(err), "run this as root")
}

// setAside counts what could not be used.
func (e *exam) setAside(dir string) {
	entries, err := os.ReadDir(filepath.Join(dir, "bad"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.unread(err)
	}
	bad := 0
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".reason") {
			bad++
		}
	}
	if bad > 0 {
		e.warn("spool", "bad", "", fmt.Sprintf("%d files could not be used", bad), "read the .reason beside each in "+dir+
			"/bad; move back into "+dir+" what shall be tried again, and remove the rest")
	}
}
