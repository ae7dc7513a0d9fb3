package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/unit"
	"github.com/ticketd/ticketd/protocol"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts: correct; should be changed; does not work or loses changes.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Finding is the result of a single check.
type Finding struct {
	// Area is config, socket, redis, mysql, feed, journal, spool or php; Check is the stable name of a check in the area.
	Area    string  `json:"area"`
	Check   string  `json:"check"`
	Site    string  `json:"site,omitempty"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	// Fix is the remedy; empty if none is needed.
	Fix string `json:"fix,omitempty"`
}

// Options of [Run].
type Options struct {
	// Config is the daemon's configuration; nil if loading failed with LoadError.
	Config    *config.Config
	LoadError error
	// Path is the configuration's file.
	Path string
	// User is the name or number of the daemon's user; empty stands for the running daemon's user, else "ticketd", else this
	// process' user.
	User string
	// Version is this program's version.
	Version string
	// Unit is what the service's unit hides from the daemon; nil asks systemd.
	Unit *unit.View
	// Root stands before the folders of the machine's own configuration; empty except in tests.
	Root string
}

// checkTimeout bounds the queries to a server.
const checkTimeout = 5 * time.Second

// exam is a run of the checks. Unreadable facts never count as ok: they have their own finding, or none.
type exam struct {
	Options

	found []Finding
	uid   uint32 // the daemon's user
	// groups are the groups of the running daemon, as numbers.
	groups []string
	// servers are the MySQL servers whose connections were checked.
	servers map[string]bool
}

// Run runs all checks, in the order of their dependencies.
func Run(ctx context.Context, o Options) []Finding {
	e := &exam{Options: o, servers: make(map[string]bool)}
	if o.Config == nil {
		e.badConfig()
		return e.found
	}
	e.ok("config", "keys", "", "every key is known and within its bounds")
	e.findUser(ctx)
	checkFiles(e)
	checkSandbox(ctx, e)
	checkSocket(ctx, e)
	checkRedis(ctx, e)
	for _, name := range o.Config.SiteNames() {
		checkMySQL(ctx, e, name)
		checkIdentity(ctx, e, name)
		checkFeed(ctx, e, name)
	}
	checkFolders(e)
	checkPHP(e)
	return e.found
}

// Worst returns the worst verdict.
func Worst(found []Finding) Verdict {
	worst := OK
	for i := range found {
		if v := found[i].Verdict; v == Fail || (v == Warn && worst == OK) {
			worst = v
		}
	}
	return worst
}

func (e *exam) badConfig() {
	var mistakes *config.MistakesError
	if !errors.As(e.LoadError, &mistakes) {
		e.fail("config", "file", "", e.LoadError.Error(),
			"write a configuration with 'ticketd init --wp /var/www/html', or name its path with --config")
		return
	}
	for _, err := range mistakes.List {
		e.fail("config", "keys", "", mistakes.Text(err),
			"correct the key in "+mistakes.Path+"; docs/configure.md lists every key with its bounds")
	}
}

func (e *exam) ok(area, check, site, reason string) {
	e.found = append(e.found, Finding{Area: area, Check: check, Site: site, Verdict: OK, Reason: reason})
}

func (e *exam) warn(area, check, site, reason, fix string) {
	e.found = append(e.found, Finding{Area: area, Check: check, Site: site, Verdict: Warn, Reason: reason, Fix: fix})
}

func (e *exam) fail(area, check, site, reason, fix string) {
	e.found = append(e.found, Finding{Area: area, Check: check, Site: site, Verdict: Fail, Reason: reason, Fix: fix})
}

// versionBelow compares the first two numbers of a version; known is false for an unreadable version.
func versionBelow(version string, major, minor int) (below, known bool) {
	var have [2]int
	if n, _ := fmt.Sscanf(version, "%d.%d", &have[0], &have[1]); n < len(have) {
		return false, false
	}
	return slices.Compare(have[:], []int{major, minor}) < 0, true
}

// defaultUser is the daemon's user in the packages.
const defaultUser = "ticketd"

// findUser decides which user's rights are checked.
func (e *exam) findUser(ctx context.Context) {
	e.uid = uint32(os.Geteuid()) //nolint:gosec // a user id is never negative here
	if e.User != "" {
		if uid, err := config.UserID(e.User); err == nil {
			e.uid = uid
		} else {
			e.fail("config", "user", "", fmt.Sprintf("no user %q on this machine", e.User), "name the daemon's user with --user")
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

// ask queries the running daemon for a site's status.
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

// fresh says that no daemon has been started with this configuration yet: neither its socket nor its files are on the disk.
func (e *exam) fresh() bool {
	c := &e.Config.Daemon
	if c.StateDir == "" {
		return false
	}
	if _, err := os.Stat(c.Socket); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	files, err := os.ReadDir(c.StateDir)
	return len(files) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist))
}

// groupsOf returns the groups of a process, which may be more than its user's groups: a unit can add groups.
func groupsOf(pid int64) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // empty if the process has just ended
	for line := range strings.Lines(string(text)) {
		if groups, found := strings.CutPrefix(line, "Groups:"); found {
			return strings.Fields(groups)
		}
	}
	return nil
}

// remedy is what an error of a server asks the operator to do: the check that fails, what the error means, and the commands. An
// empty meaning leaves the server's own words alone.
type remedy struct{ check, meaning, fix string }

// certificateRemedy finds the remedy of a certificate that this host does not trust. ca and host name where the operator corrects
// the two.
func certificateRemedy(err error, ca, host string) (remedy, bool) {
	r := remedy{check: "tls"}
	_, strange := errors.AsType[x509.UnknownAuthorityError](err)
	_, other := errors.AsType[x509.HostnameError](err)
	_, refused := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case strange:
		r.fix = "name or install " + ca + " (update-ca-certificates)"
	case other:
		r.fix = "correct " + host + ": the certificate is for another name"
	case refused:
		r.fix = "renew the server's certificate, or set this host's clock"
	default:
		return remedy{}, false
	}
	return r, true
}
