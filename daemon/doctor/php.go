package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/ticketd/ticketd/daemon/config"
)

// checkPHP checks that PHP can reach the socket and the spool.
func checkPHP(e *exam) {
	for _, site := range e.Config.SiteNames() {
		may := e.Config.Sites[site]
		if len(may.AllowUsers)+len(may.AllowGroups) == 0 {
			e.fail("php", "allow_users", site, "only root and the daemon's user may use the site",
				"set sites."+site+".allow_users to the user of PHP-FPM (user = in its pool)")
		}
		for _, name := range may.AllowUsers {
			if uid, err := config.UserID(name); err == nil { // an unknown user is a mistake in the configuration
				checkReach(e, site, name, uid)
			}
		}
	}
	checkExtension(e)
}

// spoolOf returns the path of a user's folder in the spool; empty without a spool.
func spoolOf(e *exam, uid uint32) string {
	if e.Config.Daemon.SpoolDir == "" {
		return ""
	}
	return filepath.Join(e.Config.Daemon.SpoolDir, strconv.FormatUint(uint64(uid), 10))
}

// checkReach checks that a user may open the socket and put files into the spool.
func checkReach(e *exam, site, name string, uid uint32) {
	for _, place := range []struct {
		path string
		bits os.FileMode
		what string
	}{
		{e.Config.Daemon.Socket, 2, "open the socket"},
		{spoolOf(e, uid), 3, "put changes into the spool"},
	} {
		info, err := os.Stat(place.path)
		if place.what == "put changes into the spool" && errors.Is(err, fs.ErrNotExist) && place.path != "" {
			if e.fresh() {
				e.ok("php", "spool", site, fmt.Sprintf("%s has no folder %s yet: the first start makes it", name, place.path))
			} else {
				e.fail("php", "spool", site,
					fmt.Sprintf("%s has no folder %s: its changes fail while the daemon is unreachable", name, place.path), prepareSpool)
			}
		}
		if place.path == "" || err != nil {
			continue // a missing file has its own finding
		}
		if mayReach(place.path, info, uid, place.bits) {
			e.ok("php", "group", site, fmt.Sprintf("%s may %s", name, place.what))
			continue
		}
		group := groupName(groupOf(info))
		e.fail("php", "group", site, fmt.Sprintf("%s may not %s: no access to %s or to a folder above (mode %04o, group %s)",
			name, place.what, place.path,
			info.Mode().Perm(), group),
			letIn(e, name, uid, place.path))
	}
}

// letIn is the remedy for a user who may not use a place: the place gets a group of the user, and the user gets no group, as
// other files may have the same group.
func letIn(e *exam, name string, uid uint32, path string) string {
	if path != e.Config.Daemon.Socket {
		return prepareSpool
	}
	group := name + "'s own group"
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		if gid, err := strconv.ParseUint(u.Gid, 10, 32); err == nil {
			group = groupName(uint32(gid))
		}
	}
	return fmt.Sprintf("SocketGroup=%s of ticketd.socket (systemctl edit ticketd.socket), or daemon.socket_group = %q without it; "+
		"then systemctl restart ticketd.socket ticketd.service", group, group)
}

// checkExtension checks that PHP-FPM has msgpack, by the files of Debian's packages. On other systems Site Health asks PHP.
func checkExtension(e *exam) {
	pools, _ := filepath.Glob(e.Root + "/etc/php/*/fpm/conf.d") // the pattern is valid
	for _, dir := range pools {
		version := filepath.Base(filepath.Dir(filepath.Dir(dir)))
		found, _ := filepath.Glob(filepath.Join(dir, "*msgpack.ini"))
		if len(found) == 0 {
			e.warn("php", "msgpack", "", "PHP-FPM "+version+" has no msgpack extension: the plugin uses its slower PHP code",
				"apt install php"+version+"-msgpack && systemctl restart php"+version+"-fpm")
			continue
		}
		e.ok("php", "msgpack", "", "PHP-FPM "+version+" has the msgpack extension")
	}
}
