package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ticketd/ticketd/protocol"
)

// SiteAccess is one site and who may use it.
type SiteAccess struct {
	Site Site
	// Users and Groups are user and group ids. A peer may use the site if its user is among Users or its primary group
	// among Groups: the kernel reports no others.
	Users, Groups []uint32
	// Table is the site's table for people, as clients call it: "database.table".
	Table string
	// Serves says how well a table, as a client calls it ("database.table"), fits the site; nil compares nothing. It must not block.
	Serves func(table string) Fit
	// Holds says whether the identity is that of the site's table, and whether that is known yet; nil knows of none. It must not
	// block.
	Holds func(identity string) (holds, known bool)
}

// Fit says how well a client's table fits a site.
type Fit int

// Where several sites fit, the best one is meant.
const (
	// FitNone is another table.
	FitNone Fit = iota
	// FitAny is of a site that takes whatever its clients call the table.
	FitAny
	// FitPrefix is the name that a WordPress gives the table which does not know that the site's has a name of its own.
	FitPrefix
	// FitTable is the site's table.
	FitTable
)

func (a *SiteAccess) allows(p Peer) bool {
	return slices.Contains(a.Users, p.UID) || slices.Contains(a.Groups, p.GID)
}

// SiteTable is the daemon's sites by name. Its content may be replaced while requests are served.
type SiteTable struct {
	owner   uint32
	current atomic.Pointer[map[string]SiteAccess]
}

// NewSiteTable makes a table. owner is the user the daemon runs as: like root, it may use every site, since it can
// read the sites' secrets anyway and the operator's commands run as either.
func NewSiteTable(owner uint32, sites map[string]SiteAccess) *SiteTable {
	t := &SiteTable{owner: owner}
	t.Replace(sites)
	return t
}

// Replace puts other sites in place of all. Requests that have found their site already go on with it.
func (t *SiteTable) Replace(sites map[string]SiteAccess) {
	sites = maps.Clone(sites)
	t.current.Store(&sites)
}

// For implements [Sites].
func (t *SiteTable) For(p Peer, of protocol.Params) (Site, error) {
	want := of.Wants()
	may := t.named(p, want.Site)
	if len(may) == 0 {
		return nil, forbidden(p)
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

// choice are sites that a request may be for.
type choice []namedSite

type namedSite struct {
	SiteAccess

	name string
}

// named are the sites of that name that the peer may use; without a name, all that it may use.
func (t *SiteTable) named(p Peer, name string) (found choice) {
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

// fitting are those that a client's table fits best; all of them where the client does not say which it means.
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

// holding are those whose table has the identity.
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

// notServed refuses a client whose table is none of these sites'.
func (c choice) notServed(table string) *protocol.Error {
	served := make([]string, len(c))
	for i, s := range c {
		served[i] = s.Table + " (site " + s.name + ")"
	}
	slices.Sort(served)
	err := protocol.Errorf(protocol.CodeForbidden, "ticketd does not serve the table %q to this request, but %s. Give the table a "+
		"site of its own: 'ticketd init --wp FOLDER --add NAME'. If it is the table of a site above under another name, set "+
		"client_table = %[1]q in the site's section of ticketd.toml", table, strings.Join(served, ", "))
	err.Field = "table"
	return err
}

// names are the sites' names in order.
func (c choice) names() []string {
	names := make([]string, len(c))
	for i, s := range c {
		names[i] = s.name
	}
	slices.Sort(names)
	return names
}

// Of returns the sites that the peer may use, in no order.
func (t *SiteTable) Of(p Peer) []Site {
	var found []Site
	for _, a := range *t.current.Load() {
		if t.may(p, &a) {
			found = append(found, a.Site)
		}
	}
	return found
}

// Admit says why a peer may not connect: there is no site that it may use.
func (t *SiteTable) Admit(p Peer) *protocol.Error {
	for _, a := range *t.current.Load() {
		if t.may(p, &a) {
			return nil
		}
	}
	if p.UID == 0 || p.UID == t.owner {
		return nil // who asks why there is no site
	}
	return protocol.Closing(protocol.CodeForbidden, "%s", forbidden(p).Message)
}

func (t *SiteTable) may(p Peer, a *SiteAccess) bool {
	return p.UID == 0 || p.UID == t.owner || a.allows(p)
}

func forbidden(p Peer) *protocol.Error {
	who := fmt.Sprintf("user %d, group %d", p.UID, p.GID)
	if p.GID == NoGroup {
		who = fmt.Sprintf("user %d, whose group is not known,", p.UID)
	}
	return protocol.Errorf(protocol.CodeForbidden,
		"%s may not use this site: see allow_users and allow_groups in ticketd's configuration", who)
}
