package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ticketd/ticketd/daemon/config"
)

// php checks that PHP can reach the socket and the spool.
func (e *exam) php() {
	for _, name := range e.Config.SiteNames() {
		site := e.Config.Sites[name]
		if len(site.AllowUsers)+len(site.AllowGroups) == 0 {
			e.fail("php", "allow_users", name, "only root and the daemon's user may use the site",
				"set sites."+name+".allow_users to the user of PHP-FPM (user = in its pool)")
		}
		for _, user := range site.AllowUsers {
			if uid, err := config.UserID(user); err == nil { // an unknown user is a mistake in the configuration
				e.reach(name, user, uid)
			}
		}
	}
	e.extension()
}

// spoolOf returns the path of a user's folder in the spool; empty without a spool.
func (e *exam) spoolOf(uid uint32) string {
	if e.Config.Daemon.SpoolDir == "" {
		return ""
	}
	return filepath.Join(e.Config.Daemon.SpoolDir, strconv.FormatUint(uint64(uid), 10))
}

// reach checks that a user may open the socket and put files into the spool.
func (e *exam) reach(site, user string, uid uint32) {
	for _, place := range []struct {
		path string
		bits os.FileMode
		what string
	}{
		{e.Config.Daemon.Socket, 2, "open the socket"},
		{e.spoolOf(uid), 3, "put changes into the spool"},
	} {
		info, err := os.Stat(place.path)
		if place.what == "put changes into the spool" && errors.Is(err, fs.ErrNotExist) && place.path != "" {
			e.fail("php", "spool", site,
				fmt.Sprintf("%s has no folder %s: its changes fail while the daemon is unreachable", user, place.path), prepareSpool)
		}
		if place.path == "" || err != nil {
			continue // a missing file has its own finding
		}
		if mayReach(place.path, info, uid, place.bits) {
			e.ok("php", "group", site, fmt.Sprintf("%s may %s", user, place.what))
			continue
		}
		group := groupName(groupOf(info))
		e.fail("php", "group", site, fmt.Sprintf("%s may not %s: no access to %s or to a folder above (mode %04o, group %s)",
			user, place.what, place.path,
			info.Mode().Perm(), group),
			fmt.Sprintf("usermod -aG %s %s && systemctl restart 'php*-fpm'; or set daemon.socket_group to a group of %s", group, user,
				user))
	}
}

// extension checks that PHP-FPM has msgpack, by the files of Debian's packages. On other systems Site Health asks PHP itself.
func (e *exam) extension() {
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
