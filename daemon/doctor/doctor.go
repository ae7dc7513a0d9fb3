package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
)

// Verdict says how something is.
type Verdict string

// The verdicts: as it should be, should be changed, does not work or loses changes.
const (
	OK   Verdict = "ok"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Finding is one thing that was looked at.
type Finding struct {
	// Area is config, socket, redis, mysql, journal, spool or php; Check is what was looked at there, a stable name.
	Area    string  `json:"area"`
	Check   string  `json:"check"`
	Site    string  `json:"site,omitempty"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason"`
	// Fix is what to do; empty where nothing is to be done.
	Fix string `json:"fix,omitempty"`
}

// Options of [Run].
type Options struct {
	// Config is the daemon's; nil where it cannot be read, for the reason LoadError.
	Config    *config.Config
	LoadError error
	// User is the name or number of the daemon's user; empty takes the running daemon's, else "ticketd", else this process'.
	User string
	// Version is this program's.
	Version string
	// Root is put before the folders of the machine's own configuration; empty but in tests.
	Root string
}

// checkTimeout bounds the questions to one server.
const checkTimeout = 5 * time.Second

// exam is one run. What could not be read is never ok: it is a finding of its own, or none.
type exam struct {
	Options

	found []Finding
	uid   uint32 // the daemon's user
	// groups are those of the daemon that runs, as numbers.
	groups []string
}

// Run looks at everything, in the order in which things depend on each other.
func Run(ctx context.Context, o Options) []Finding {
	e := &exam{Options: o}
	if o.Config == nil {
		e.badConfig()
		return e.found
	}
	e.ok("config", "keys", "", "every key is known and within its bounds")
	e.findUser(ctx)
	e.socket(ctx)
	e.redis(ctx)
	for _, name := range o.Config.SiteNames() {
		e.mysql(ctx, name)
		e.identity(ctx, name)
	}
	e.folders()
	e.php()
	return e.found
}

// Worst returns the worst verdict of all.
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
		e.fail("config", "file", "", e.LoadError.Error(), "write one with 'ticketd init --wp /var/www/html', or name it with --config")
		return
	}
	for _, err := range mistakes.List {
		e.fail("config", "keys", "", err.Error(), "correct it in "+mistakes.Path+"; docs/configure.md has every key and its bounds")
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

// versionBelow compares the first two numbers of a version; known is false where they cannot be read.
func versionBelow(version string, major, minor int) (below, known bool) {
	var have [2]int
	if n, _ := fmt.Sscanf(version, "%d.%d", &have[0], &have[1]); n < len(have) {
		return false, false
	}
	return slices.Compare(have[:], []int{major, minor}) < 0, true
}
