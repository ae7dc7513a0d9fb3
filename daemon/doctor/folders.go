package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/store/wal"
)

// leastSpace is the free space that a disk should have, in bytes.
const leastSpace = 256 << 20

// checkFiles checks that the daemon may read what it reads at its start: root, who runs the doctor, may read everything.
func checkFiles(e *exam) {
	const read = 4
	for _, path := range e.Config.Files(e.Path) {
		info, err := os.Stat(path)
		switch {
		case err != nil || mayReach(path, info, e.uid, read):
			continue // a file that is missing is a mistake of the configuration
		case len(e.groups) > 0 && slices.Contains(e.groups, strconv.FormatUint(uint64(groupOf(info)), 10)):
			continue // a group of the unit's
		}
		e.fail("config", "readable", "",
			fmt.Sprintf("%s may not read %s: a reload fails, and the daemon would not start", userName(e.uid), path),
			fmt.Sprintf("chgrp %s %s && chmod 0640 %[2]s; the user must also be able to enter the folders above", ownGroup(e), path))
	}
}

// ownGroup is the name of the group of the daemon's user.
func ownGroup(e *exam) string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(e.uid), 10)); err == nil {
		if g, err := user.LookupGroupId(u.Gid); err == nil {
			return g.Name
		}
	}
	return userName(e.uid)
}

// checkFolders checks the daemon's folders on this host's disk.
func checkFolders(e *exam) {
	c := e.Config
	if dir := c.Daemon.StateDir; dir != "" {
		checkFolder(e, "state", dir, 0o077)
	}
	for _, name := range c.SiteNames() {
		if dir := c.JournalDir(name); dir != "" {
			checkJournal(e, name, dir)
		}
	}
	if c.JournalDir("any") == "" {
		e.warn("journal", "there", "", "no journal: while Redis is unreachable changes are refused, and the plugin spools them",
			"set journal.enabled = true and daemon.state_dir")
	}
	if c.Daemon.SpoolDir == "" {
		e.warn("spool", "there", "", "no spool: while the daemon is unreachable changes fail", "set daemon.spool_dir")
		return
	}
	checkSpool(e, c.Daemon.SpoolDir)
}

// checkFolder checks a folder of the daemon. The result is whether the content of the folder can be checked.
func checkFolder(e *exam, area, dir string, forbidden fs.FileMode) bool {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkMissing(e, area, dir)
	case errors.Is(err, fs.ErrPermission):
		e.warn(area, "folder", "", "this user may not read "+dir, "run this as root")
		return false
	case err != nil:
		e.fail(area, "folder", "", short(err), "check the disk")
		return false
	case !info.IsDir():
		e.fail(area, "folder", "", dir+" is not a folder", "move the file away: the daemon makes the folder")
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
	checkSpace(e, area, dir)
	return true
}

// checkMissing judges a missing folder: the daemon makes the folder at its start, if permitted.
func checkMissing(e *exam, area, dir string) bool {
	above := filepath.Dir(dir)
	info, err := os.Stat(above)
	for ; errors.Is(err, fs.ErrNotExist); info, err = os.Stat(above) {
		above = filepath.Dir(above)
	}
	if err == nil && mayUse(info, e.uid, 3) {
		e.ok(area, "folder", "", dir+" does not exist yet: the daemon makes the folder")
		return false
	}
	if e.fresh() && packaged(dir) {
		e.ok(area, "folder", "", dir+" does not exist yet: the package's unit makes the folder at the first start")
		return false
	}
	e.fail(area, "folder", "", fmt.Sprintf("%s does not exist, and %s cannot make the folder", dir, userName(e.uid)),
		fmt.Sprintf("install -d -o %s -m 0700 %s (or StateDirectory= in the unit)", userName(e.uid), dir))
	return false
}

// packaged says that systemd makes a folder before the daemon starts: the unit's StateDirectory=, or the package's tmpfiles.
func packaged(dir string) bool {
	const state, spool = "/var/lib/ticketd", "/var/spool/ticketd"
	return dir == spool || dir == state || strings.HasPrefix(dir, state+"/")
}

func checkSpace(e *exam, area, dir string) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		e.warn(area, "space", "", "cannot read the free space of the disk of "+dir+": "+short(err), "run this as root")
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
			"make room, or move the folder to another disk")
	case free < least:
		e.warn(area, "space", "", fmt.Sprintf("the disk of %s has %d MiB free", dir, free>>20),
			fmt.Sprintf("make room: %d MiB should be free", least>>20))
	default:
		e.ok(area, "space", "", fmt.Sprintf("the disk of %s has %d MiB free", dir, free>>20))
	}
}

// checkJournal checks a site's log.
func checkJournal(e *exam, site, dir string) {
	if !checkFolder(e, "journal", dir, 0o077) {
		return
	}
	err := wal.Check(dir)
	var damaged *wal.CorruptError
	switch {
	case err == nil:
		e.ok("journal", "damage", site, "the journal is readable to its end")
	case errors.Is(err, wal.ErrLocked):
		e.ok("journal", "damage", site, "the daemon has opened the journal without finding damage")
	case errors.As(err, &damaged):
		e.fail("journal", "damage", site, damaged.Error(), "stop the daemon, copy the folder, then as the daemon's user: "+
			"ticketd journal salvage --site "+site)
	case errors.Is(err, fs.ErrPermission):
		e.warn("journal", "damage", site, "this user may not read the journal", "run this as root")
	default:
		e.fail("journal", "damage", site, short(err), "check the disk")
	}
}

// prepareSpool is the command that makes and corrects users' folders.
const prepareSpool = "ticketd spool prepare (as root)"

// checkSpool checks the spool's base and the users' folders.
func checkSpool(e *exam, dir string) {
	if !checkFolder(e, "spool", dir, 0o006) {
		return
	}
	info, err := os.Stat(dir)
	if err != nil {
		return // removed meanwhile: the next run reports the folder
	}
	checkSetAside(e, dir)
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
	folders, _ := filepath.Glob(filepath.Join(dir, "[0-9]*")) // the pattern is valid
	for _, folder := range folders {
		if uid, err := strconv.ParseUint(filepath.Base(folder), 10, 32); err == nil {
			checkUserFolder(e, folder, uint32(uid))
		}
	}
}

// checkUserFolder checks a user's folder.
func checkUserFolder(e *exam, dir string, uid uint32) {
	info, err := os.Lstat(dir)
	if err != nil {
		return // removed meanwhile: the next run reports the folder
	}
	switch mode := info.Mode(); {
	case !info.IsDir():
		e.fail("spool", "user", "", dir+" is not a folder, so the user's changes fail while the daemon is unreachable",
			"inspect and remove "+dir+"; "+prepareSpool)
		return
	case ownerOf(info) != uid:
		e.fail("spool", "user", "",
			fmt.Sprintf("%s belongs to %s, not to %s: the daemon does not use the folder", dir, userName(ownerOf(info)), userName(uid)),
			"inspect and remove "+dir+"; "+prepareSpool)
		return
	case mode.Perm()&0o007 != 0, mode.Perm()&0o770 != 0o770, !mayUse(info, e.uid, 3):
		e.fail("spool", "user", "", fmt.Sprintf("%s has the mode %04o and the group %s", dir, mode.Perm(), groupName(groupOf(info))),
			prepareSpool)
	default:
		e.ok("spool", "user", "", fmt.Sprintf("%s is %s's own", dir, userName(uid)))
	}
	checkSetAside(e, dir)
	strangers := 0
	entries, err := os.ReadDir(dir)
	if err != nil {
		reportUnread(e, err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && entry.Name() != "bad" && ownerOf(info) != uid {
			strangers++
		}
	}
	if strangers > 0 {
		e.warn("spool", "strangers", "", fmt.Sprintf("%d files in %s belong to other users and stay untouched", strangers, dir),
			"find out which program puts them there, and remove them")
	}
}

// reportUnread reports an unreadable folder of the spool.
func reportUnread(e *exam, err error) {
	e.warn("spool", "unread", "", "cannot read the folder: "+short(err), "run this as root")
}

// checkSetAside counts the unusable files.
func checkSetAside(e *exam, dir string) {
	entries, err := os.ReadDir(filepath.Join(dir, "bad"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		reportUnread(e, err)
	}
	bad := 0
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".reason") {
			bad++
		}
	}
	if bad > 0 {
		e.warn("spool", "bad", "", fmt.Sprintf("%d files are unusable", bad), "read the .reason beside each file in "+dir+
			"/bad; move the files to retry back into "+dir+", and remove the rest")
	}
}
