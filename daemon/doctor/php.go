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

// php looks whether PHP can reach what it needs.
func (e *exam) php() {
	for _, name := range e.Config.SiteNames() {
		site := e.Config.Sites[name]
		if len(site.AllowUsers)+len(site.AllowGroups) == 0 {
			e.fail("php", "allow_users", name, "only root and the daemon's user may use the site",
				"set sites."+name+".allow_users to the user of PHP-FPM (user = in its pool)")
		}
		for _, user := range site.AllowUsers {
			if uid, err := config.UserID(user); err == nil { // as checked with the configuration
				e.reach(name, user, uid)
			}
		}
	}
	e.extension()
}

// spoolOf is the path of a user's folder in the spool; empty where there is no spool.
func (e *exam) spoolOf(uid uint32) string {
	if e.Config.Daemon.SpoolDir == "" {
		return ""
	}
	return filepath.Join(e.Config.Daemon.SpoolDir, strconv.FormatUint(uint64(uid), 10))
}

// reach looks whether a user may open the socket and put files into the spool.
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
			e.fail("php", "spool", site, fmt.Sprintf("%s has no folder %s: its changes fail while the daemon is away", user, place.path),
				prepareSpool)
		}
		if place.path == "" || err != nil {
			continue // what is missing has a finding of its own
		}
		if mayReach(place.path, info, uid, place.bits) {
			e.ok("php", "group", site, fmt.Sprintf("%s may %s", user, place.what))
			continue
		}
		group := groupName(groupOf(info))
		e.fail("php", "group", site, fmt.Sprintf("%s may not %s: %s, or a folder above it, is closed to it (mode %04o, group %s)",
			user, place.what, place.path,
			info.Mode().Perm(), group),
			fmt.Sprintf("usermod -aG %s %s && systemctl restart 'php*-fpm'; or set daemon.socket_group to a group of %s", group, user,
				user))
	}
}

// extension looks whether PHP-FPM has msgpack, by the files that Debian's packages leave: what other systems do is for Site
// Health to say, which asks PHP itself.
func (e *exam) extension() {
	pools, _ := filepath.Glob(e.Root + "/etc/php/*/fpm/conf.d") // the pattern is right
	for _, dir := range pools {
		version := filepath.Base(filepath.Dir(filepath.Dir(dir)))
		found, _ := filepath.Glob(filepath.Join(dir, "*msgpack.ini"))
		if len(found) == 0 {
			e.warn("php", "msgpack", "", "PHP-FPM "+version+" has no msgpack extension: the plugin does without, more slowly",
				"apt install php"+version+"-msgpack && systemctl restart php"+version+"-fpm")
			continue
		}
		e.ok("php", "msgpack", "", "PHP-FPM "+version+" has the extension")
	}
}
