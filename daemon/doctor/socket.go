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

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/protocol"
)

// defaultUser is the user that the packages make for the daemon.
const defaultUser = "ticketd"

// findUser decides whose rights count as the daemon's.
func (e *exam) findUser(ctx context.Context) {
	e.uid = uint32(os.Geteuid()) //nolint:gosec // a user id is never negative here
	if e.User != "" {
		if uid, err := config.UserID(e.User); err == nil {
			e.uid = uid
		} else {
			e.fail("config", "user", "", fmt.Sprintf("there is no user %q on this machine", e.User), "name the daemon's user with --user")
		}
		return
	}
	if status, err := e.ask(ctx, e.Config.SiteNames()[0]); err == nil {
		if info, err := os.Stat(fmt.Sprintf("/proc/%d", status.PID)); err == nil {
			e.uid, e.groups = ownerOf(info), groupsOf(status.PID)
			return
		}
	}
	if uid, err := config.UserID(defaultUser); err == nil {
		e.uid = uid
	}
}

// groupsOf are the groups that a process has, which may be more than its user's: a unit can give it some.
func groupsOf(pid int64) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // none where it has just ended
	for line := range strings.Lines(string(text)) {
		if groups, found := strings.CutPrefix(line, "Groups:"); found {
			return strings.Fields(groups)
		}
	}
	return nil
}

func ownerOf(info fs.FileInfo) uint32 {
	stat, _ := info.Sys().(*syscall.Stat_t) // what Linux always gives
	return stat.Uid
}

func groupOf(info fs.FileInfo) uint32 {
	stat, _ := info.Sys().(*syscall.Stat_t)
	return stat.Gid
}

// ask asks the running daemon how a site does.
func (e *exam) ask(ctx context.Context, site string) (protocol.StatusResult, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	client, err := protocol.Dial(ctx, e.Config.Daemon.Socket)
	if err != nil {
		return protocol.StatusResult{}, err
	}
	defer func() { _ = client.Close() }()
	client.Site = site
	return client.Status(ctx)
}

// socket looks whether the daemon answers, and what it says.
func (e *exam) socket(ctx context.Context) {
	path := e.Config.Daemon.Socket
	const start = "systemctl start ticketd, and journalctl -u ticketd where it does not stay up"
	for i, site := range e.Config.SiteNames() {
		status, err := e.ask(ctx, site)
		var refused *protocol.Error
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.fail("socket", "daemon", "", "there is no "+path+": the daemon is not started, or has another daemon.socket", start)
			return
		case errors.Is(err, syscall.ECONNREFUSED):
			e.fail("socket", "daemon", "", "no daemon listens on "+path, start)
			return
		case errors.Is(err, fs.ErrPermission):
			e.warn("socket", "daemon", "", "this user may not use "+path+", so that the daemon cannot be asked", "run this as root")
			return
		case errors.As(err, &refused):
			e.fail("socket", "site", site, "the daemon does not serve it to this user: "+refused.Message,
				"run this as root; where the site is new, systemctl restart ticketd")
			continue
		case err != nil:
			e.fail("socket", "daemon", "", "the daemon does not answer: "+err.Error(), "systemctl restart ticketd, and look at its log")
			return
		}
		if i == 0 {
			e.daemon(&status)
		}
		e.site(site, &status)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
		e.warn("socket", "mode", "", fmt.Sprintf("every user of this host may connect to %s (%04o)", path, info.Mode().Perm()),
			"set daemon.socket_mode to \"0660\" and daemon.socket_group to PHP's group, or SocketMode= and SocketGroup= of ticketd.socket")
	}
}

// daemon judges what holds for the whole daemon.
func (e *exam) daemon(s *protocol.StatusResult) {
	if s.Version != e.Version {
		e.warn("socket", "daemon", "", fmt.Sprintf("the daemon that runs is %s, this program is %s", s.Version, e.Version),
			"systemctl restart ticketd")
	} else {
		e.ok("socket", "daemon", "", "ticketd "+s.Version+" answers on "+e.Config.Daemon.Socket)
	}
	if s.ConnectionsOpen*10 > s.ConnectionsLimit*7 {
		e.warn("socket", "connections", "", fmt.Sprintf("%d of %d connections are open", s.ConnectionsOpen, s.ConnectionsLimit),
			"set daemon.max_connections to twice the sum of pm.max_children of all PHP-FPM pools")
	}
}

// site judges what the daemon says of a site.
func (e *exam) site(name string, s *protocol.StatusResult) {
	for _, place := range []struct {
		name string
		protocol.Place
	}{{"store", s.Store}, {"mysql", s.Sink}} {
		switch place.State {
		case protocol.StateUp:
		case protocol.StateUnknown:
			e.warn("socket", "places", name, "the daemon does not know yet whether its "+place.name+" works: it has not read or written "+
				"anything there since its start", "see the findings below, and ask again")
		default:
			e.fail("socket", "places", name, fmt.Sprintf("the daemon finds its %s %s: %s", place.name, place.State, place.Reason),
				"see the findings below")
		}
	}
	if s.Dead > 0 {
		e.warn("socket", "dead letters", name, fmt.Sprintf("MySQL refuses %d tickets", s.Dead),
			"ticketd dead list says why; correct the field with a new write, or ticketd dead retry")
	}
	for _, warning := range s.Warnings {
		e.warn("socket", "warnings", name, "the daemon says: "+warning, "do as it says")
	}
}

// mayUse says whether a user may open a file with these mode bits (4, 2 and 1 as in an octal digit): as its owner, in its group
// or as anybody.
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

// mayReach is mayUse with the folders that lead to the path, which a user must be able to pass through.
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

// short makes one line of an error.
func short(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
