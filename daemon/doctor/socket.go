package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/daemon/unit"
	"github.com/ticketd/ticketd/protocol"
)

func ownerOf(info fs.FileInfo) uint32 {
	stat, _ := info.Sys().(*syscall.Stat_t) // always this type on Linux
	return stat.Uid
}

func groupOf(info fs.FileInfo) uint32 {
	stat, _ := info.Sys().(*syscall.Stat_t)
	return stat.Gid
}

// checkSocket checks that the daemon answers, and reports the daemon's own warnings.
func checkSocket(ctx context.Context, e *exam) {
	path := e.Config.Daemon.Socket
	const start = "systemctl start ticketd, and journalctl -u ticketd if the daemon does not stay up"
	for i, site := range e.Config.SiteNames() {
		status, err := e.ask(ctx, site)
		var refused *protocol.Error
		switch {
		case errors.Is(err, fs.ErrNotExist) && e.fresh():
			e.warn("socket", "daemon", "", "the daemon has not been started on this host yet", start)
			return
		case errors.Is(err, fs.ErrNotExist):
			e.fail("socket", "daemon", "", path+" does not exist: the daemon is not started, or has another daemon.socket", start)
			return
		case errors.Is(err, syscall.ECONNREFUSED):
			e.fail("socket", "daemon", "", "no daemon listens on "+path, start)
			return
		case errors.Is(err, fs.ErrPermission):
			e.warn("socket", "daemon", "", "this user may not use "+path+", so the daemon cannot be queried", "run this as root")
			return
		case errors.As(err, &refused):
			e.fail("socket", "site", site, "the daemon does not serve the site to this user: "+refused.Message,
				"run this as root; for a new site, systemctl restart ticketd")
			continue
		case err != nil:
			e.fail("socket", "daemon", "", "the daemon does not answer: "+err.Error(), "systemctl restart ticketd, and read its log")
			return
		}
		if i == 0 {
			checkDaemon(e, &status)
		}
		checkSite(e, site, &status)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
		e.warn("socket", "mode", "", fmt.Sprintf("every user of this host may connect to %s (%04o)", path, info.Mode().Perm()),
			"set daemon.socket_mode to \"0660\" and daemon.socket_group to PHP's group, or SocketMode= and SocketGroup= of ticketd.socket")
	}
}

// checkDaemon judges the status of the whole daemon.
func checkDaemon(e *exam, s *protocol.StatusResult) {
	if s.Version != e.Version {
		e.warn("socket", "daemon", "", fmt.Sprintf("the running daemon is %s, this program is %s", s.Version, e.Version),
			"systemctl restart ticketd")
	} else {
		e.ok("socket", "daemon", "", "ticketd "+s.Version+" answers on "+e.Config.Daemon.Socket)
	}
	if s.ConnectionsOpen*10 > s.ConnectionsLimit*7 {
		e.warn("socket", "connections", "", fmt.Sprintf("%d of %d connections are open", s.ConnectionsOpen, s.ConnectionsLimit),
			"set daemon.max_connections to twice the sum of pm.max_children of all PHP-FPM pools")
	}
}

// checkSite judges the status of a site.
func checkSite(e *exam, name string, s *protocol.StatusResult) {
	for _, place := range []struct {
		name string
		protocol.Place
	}{{"store", s.Store}, {"mysql", s.Sink}} {
		switch place.State {
		case protocol.StateUp:
		case protocol.StateUnknown:
			e.warn("socket", "places", name, "the daemon does not know yet whether its "+place.name+" works: the daemon has not used the "+
				place.name+" since its start", "see the findings below, and run the check again")
		default:
			e.fail("socket", "places", name, fmt.Sprintf("the daemon finds its %s %s: %s", place.name, place.State, place.Reason),
				"see the findings below")
		}
	}
	if s.Dead > 0 {
		e.warn("socket", "dead letters", name, fmt.Sprintf("MySQL rejects %d tickets", s.Dead),
			"ticketd dead list gives the reasons; correct the field with a new write, or ticketd dead retry")
	}
	for _, warning := range s.Warnings {
		e.warn("socket", "warnings", name, "the daemon warns: "+warning, "follow the warning")
	}
}

// mayUse returns whether a user may open a file with these mode bits (4, 2 and 1 as in an octal digit), as owner, by group or
// by the bits for all users.
func mayUse(info fs.FileInfo, uid uint32, bits fs.FileMode) bool {
	mode := info.Mode().Perm()
	switch {
	case uid == 0:
		return true
	case ownerOf(info) == uid:
		return mode>>6&bits == bits
	case inGroup(uid, groupOf(info)):
		return mode>>3&bits == bits
	default:
		return mode&bits == bits
	}
}

// mayReach is mayUse, and also checks that the user may pass through the folders of the path.
func mayReach(path string, info fs.FileInfo, uid uint32, bits fs.FileMode) bool {
	const pass = 1
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if above, err := os.Stat(dir); err == nil && !mayUse(above, uid, pass) {
			return false
		}
	}
	return mayUse(info, uid, bits)
}

func inGroup(uid, gid uint32) bool {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, strconv.FormatUint(uint64(gid), 10))
}

func userName(uid uint32) string {
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		return u.Username
	}
	return strconv.FormatUint(uint64(uid), 10)
}

func groupName(gid uint32) string {
	if g, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10)); err == nil {
		return g.Name
	}
	return strconv.FormatUint(uint64(gid), 10)
}

// short returns an error as a single line.
func short(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// checkSandbox checks that the service's unit hides no socket of the configuration from the daemon, as this command sees all
// sockets, and that no password crosses a network without TLS.
func checkSandbox(ctx context.Context, e *exam) {
	view := e.Unit
	if view == nil {
		read := unit.Read(ctx)
		view = &read
	}
	look := func(site, key, path string) {
		if directive, dropIn := view.Hides(path); directive != "" {
			e.fail("config", "sandbox", site, fmt.Sprintf("%s: the service does not see %s, by %s in its unit", key, path, directive),
				"move the socket to /run, or: systemctl edit ticketd.service, with the lines [Service] and "+dropIn)
		}
	}
	look("", "daemon.socket", e.Config.Daemon.Socket)
	if path, unix := strings.CutPrefix(e.Config.Redis.Addr, "unix://"); unix {
		look("", "redis.addr", path)
	}
	for _, name := range e.Config.SiteNames() {
		site := e.Config.Sites[name]
		if site.Exposed() {
			e.warn("mysql", "tls", name, "the connection to MySQL has no TLS: whoever is on the way can read the password and the tickets",
				"set sites."+name+".tls = true, with tls_ca for a CA of your own; see docs/hosting.md")
		}
		if dsn, err := driver.ParseDSN(site.DSN.Reveal()); err == nil && dsn.Net == "unix" {
			look(name, "dsn", dsn.Addr)
		}
	}
}
