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
}

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
func (t *SiteTable) For(p Peer, name string) (Site, error) {
	sites := *t.current.Load()
	if name != "" {
		if a, ok := sites[name]; ok && t.may(p, &a) {
			return a.Site, nil
		}
		return nil, forbidden(p)
	}
	var found []string
	for n, a := range sites {
		if t.may(p, &a) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return nil, forbidden(p)
	case 1:
		return sites[found[0]].Site, nil
	default:
		slices.Sort(found)
		return nil, protocol.Invalid("site", "name one of the sites: %s", strings.Join(found, ", "))
	}
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
