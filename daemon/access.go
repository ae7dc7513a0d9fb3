package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/protocol"
)

// SiteAccess is a site and the users and groups that may use the site.
type SiteAccess struct {
	Site Site
	// Users and Groups are user and group ids. A peer may use the site if Users has the peer's user or Groups has the peer's
	// primary group: the kernel reports no other groups.
	Users, Groups []uint32
	// Table is the site's table for messages, under the clients' name: "database.table".
	Table string
	// Serves returns how well a table, under the client's name ("database.table"), fits the site; nil compares nothing. Serves
	// must not block.
	Serves func(table string) Fit
	// Holds returns whether the identity belongs to the site's table, and whether the site knows its identity yet; with nil, the
	// site holds no identity. Holds must not block.
	Holds func(identity string) (holds, known bool)
}

// Fit is how well a client's table fits a site.
type Fit int

// If several sites fit, the best fit wins.
const (
	// FitNone: the table is another table.
	FitNone Fit = iota
	// FitAny: the site accepts any name for the table.
	FitAny
	// FitPrefix: the table's name is the default name of a WordPress that does not know the site's own table name.
	FitPrefix
	// FitTable: the table is the site's table.
	FitTable
)

func (a *SiteAccess) allows(p Peer) bool {
	return slices.Contains(a.Users, p.UID) || slices.Contains(a.Groups, p.GID)
}

// AccessList holds the daemon's sites by name. Replace may change the content while requests are served.
type AccessList struct {
	owner    uint32
	refusals zerolog.Logger
	current  atomic.Pointer[map[string]SiteAccess]
}

// NewAccessList returns a table. owner is the user of the daemon's process: like root, owner may use every site, because owner
// can read the sites' secrets anyway and operators run commands as root or owner.
func NewAccessList(owner uint32, sites map[string]SiteAccess) *AccessList {
	t := &AccessList{owner: owner}
	t.Replace(sites)
	return t
}

// UseLog makes the log say why requests for a named site are refused, at most once per limitPeriod. Call UseLog before the first
// request.
func (t *AccessList) UseLog(log zerolog.Logger) { t.refusals = logs.Limited(log, 1, limitPeriod) }

// Replace replaces all sites. Requests that have found their site already go on with their site.
func (t *AccessList) Replace(sites map[string]SiteAccess) {
	sites = maps.Clone(sites)
	t.current.Store(&sites)
}

// For implements [Sites].
func (t *AccessList) For(p Peer, of protocol.Params) (Site, error) {
	want := of.Wants()
	may := t.named(p, want.Site)
	if len(may) == 0 {
		return nil, t.refuse(p, want.Site)
	}
	meant := may.fitting(want.Table)
	if len(meant) == 0 {
		return nil, may.notServed(want.Table)
	}
	if change, is := asChange(of); is && change.Identity != "" && len(meant) > 1 {
		var err error
		if meant, err = meant.holding(change.Identity); err != nil {
			return nil, err
		}
	}
	if len(meant) > 1 {
		return nil, protocol.Invalid("site", "name one of the sites: %s", strings.Join(meant.names(), ", "))
	}
	return meant[0].Site, nil
}

// choice holds the sites that a request may be for.
type choice []namedSite

type namedSite struct {
	SiteAccess

	name string
}

// named returns the site of the given name, if the peer may use the site; without a name, all sites that the peer may use.
func (t *AccessList) named(p Peer, name string) (found choice) {
	sites := *t.current.Load()
	if name != "" {
		if a, ok := sites[name]; ok && t.may(p, &a) {
			found = choice{{a, name}}
		}
		return found
	}
	for n, a := range sites {
		if t.may(p, &a) {
			found = append(found, namedSite{a, n})
		}
	}
	return found
}

// fitting returns the sites that fit a client's table best; all sites if the client names no table.
func (c choice) fitting(table string) choice {
	if table == "" {
		return c
	}
	best, found := FitAny, choice(nil)
	for _, s := range c {
		fit := FitAny
		if s.Serves != nil {
			fit = s.Serves(table)
		}
		if fit > best {
			best, found = fit, nil
		}
		if fit == best {
			found = append(found, s)
		}
	}
	return found
}

// holding returns the sites whose table has the identity.
func (c choice) holding(identity string) (found choice, err error) {
	unknown := false
	for _, s := range c {
		holds, known := false, true
		if s.Holds != nil {
			holds, known = s.Holds(identity)
		}
		if holds {
			found = append(found, s)
		}
		unknown = unknown || !known
	}
	switch {
	case len(found) > 0:
		return found, nil
	case unknown:
		return nil, protocol.Errorf(protocol.CodeUnavailable, "which of the sites %s has the change's table is not known yet",
			strings.Join(c.names(), ", "))
	default:
		return nil, ErrNotMeant
	}
}

// notServed refuses a client whose table none of these sites serves.
func (c choice) notServed(table string) *protocol.Error {
	served := make([]string, len(c))
	for i, s := range c {
		served[i] = s.Table + " (site " + s.name + ")"
	}
	slices.Sort(served)
	err := protocol.Errorf(protocol.CodeForbidden, "ticketd does not serve the table %q to this request, but %s. Give the table a "+
		"site of its own: 'ticketd init --wp FOLDER --add NAME'. If a site above has this table under another name, set "+
		"client_table = %[1]q in the site's section of ticketd.toml", table, strings.Join(served, ", "))
	err.Field = fieldTable
	return err
}

// fieldTable is the field of the refusal of a client whose table no site serves.
const fieldTable = "table"

// IsOtherTable returns whether a change was refused because no site serves the table that the change names. The configuration may
// name the table again later.
func IsOtherTable(refusal *protocol.Error) bool {
	return refusal != nil && refusal.Code == protocol.CodeForbidden && refusal.Field == fieldTable
}

// names returns the sites' names in order.
func (c choice) names() []string {
	names := make([]string, len(c))
	for i, s := range c {
		names[i] = s.name
	}
	slices.Sort(names)
	return names
}

// Of returns the sites that the peer may use, in no order.
func (t *AccessList) Of(p Peer) []Site {
	var found []Site
	for _, a := range *t.current.Load() {
		if t.may(p, &a) {
			found = append(found, a.Site)
		}
	}
	return found
}

// Admit returns why a peer may not connect: the peer may use no site.
func (t *AccessList) Admit(p Peer) *protocol.Error {
	for _, a := range *t.current.Load() {
		if t.may(p, &a) {
			return nil
		}
	}
	if t.Operates(p) {
		return nil // and looks for the reason
	}
	return protocol.Closing(protocol.CodeForbidden, "%s", forbidden(p).Message)
}

func (t *AccessList) may(p Peer, a *SiteAccess) bool { return t.Operates(p) || a.allows(p) }

// Operates implements [Access]: the peer is root or the daemon's own user, who may read the configuration.
func (t *AccessList) Operates(p Peer) bool { return p.UID == 0 || p.UID == t.owner }

// refuse refuses a peer that may not use the named site. The log and operators learn whether the site exists; the answer to other
// peers is the same in either case.
func (t *AccessList) refuse(p Peer, site string) *protocol.Error {
	if site == "" {
		return forbidden(p)
	}
	sites := *t.current.Load()
	if _, exists := sites[site]; exists {
		t.refusals.Warn().Str("site", site).Stringer("peer", p).
			Msg("refused a user that may not use the site; the site's allow_users can name the user")
	} else {
		t.refusals.Warn().Str("site", site).Stringer("peer", p).
			Msg("refused a request for a site that the configuration does not have; a multisite's blog 2 asks for blog-2")
	}
	if t.Operates(p) {
		return protocol.Errorf(protocol.CodeForbidden, "ticketd's configuration has no site %q, but %s: add [sites.%s], or correct "+
			"TICKETD_SITE, the plugin's setting or the filter ticketd_site", site,
			strings.Join(slices.Sorted(maps.Keys(sites)), ", "), site)
	}
	return protocol.Errorf(protocol.CodeForbidden, "%s may not use the site %q: ticketd's configuration has no such site, or the "+
		"site's allow_users and allow_groups do not name this user; ticketd's log says which", nameOf(p), site)
}

func forbidden(p Peer) *protocol.Error {
	return protocol.Errorf(protocol.CodeForbidden,
		"%s may not use this site: see allow_users and allow_groups in ticketd's configuration", nameOf(p))
}

// nameOf returns a peer's user and group for a message.
func nameOf(p Peer) string {
	if p.GID == NoGroup {
		return fmt.Sprintf("user %d, whose group is not known,", p.UID)
	}
	return fmt.Sprintf("user %d, group %d", p.UID, p.GID)
}
