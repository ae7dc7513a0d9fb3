package daemon

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
)

func TestSiteTable(t *testing.T) {
	t.Parallel()
	shop, blog := &fakeSite{}, &fakeSite{}
	table := NewAccessList(100, map[string]SiteAccess{
		"shop": {Site: shop, Users: []uint32{33}},
		"blog": {Site: blog, Users: []uint32{33}, Groups: []uint32{50}},
	})
	for name, c := range map[string]struct {
		peer Peer
		site string
		want Site
		code protocol.Code
	}{
		"by user":               {Peer{UID: 33, GID: 33}, "shop", shop, ""},
		"by group":              {Peer{UID: 9, GID: 50}, "blog", blog, ""},
		"by group, the other":   {Peer{UID: 9, GID: 50}, "shop", nil, protocol.CodeForbidden},
		"root":                  {Peer{}, "shop", shop, ""},
		"the daemon's own user": {Peer{UID: 100, GID: 100}, "blog", blog, ""},
		"a stranger":            {Peer{UID: 9, GID: 9}, "shop", nil, protocol.CodeForbidden},
		"unknown site":          {Peer{UID: 33, GID: 33}, "none", nil, protocol.CodeForbidden},
		"the only one":          {Peer{UID: 9, GID: 50}, "", blog, ""},
		"one of two":            {Peer{UID: 33, GID: 33}, "", nil, protocol.CodeInvalid},
		"none at all":           {Peer{UID: 9, GID: 9}, "", nil, protocol.CodeForbidden},
	} {
		got, err := table.For(c.peer, &protocol.SiteParams{Target: protocol.Target{Site: c.site}})
		if c.code != "" && !errors.Is(err, &protocol.Error{Code: c.code}) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
		if c.code == "" && (err != nil || got != c.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	table.Replace(map[string]SiteAccess{"shop": {Site: shop, Users: []uint32{9}}})
	if got, err := table.For(Peer{UID: 9, GID: 9}, &protocol.SiteParams{}); err != nil || got != Site(shop) {
		t.Errorf("after Replace: %v, %v", got, err)
	}
}

// Root, the daemon's own user and the log learn that a site does not exist. Other users get the same answer as for a site that
// they may not use.
func TestUnknownSite(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	sites := NewAccessList(100, map[string]SiteAccess{"main": {Site: &fakeSite{}}, "shop": {Site: &fakeSite{}, Users: []uint32{33}}})
	sites.UseLog(zerolog.New(&log))
	ask := func(uid uint32, site string) string {
		_, err := sites.For(Peer{UID: uid, GID: uid}, &protocol.SiteParams{Target: protocol.Target{Site: site}})
		if !errors.Is(err, &protocol.Error{Code: protocol.CodeForbidden}) {
			t.Errorf("user %d, site %s: %v, want forbidden", uid, site, err)
			return ""
		}
		return err.Error()
	}
	unknown := ask(33, "blog-2")
	if text := log.String(); !strings.Contains(text, "does not have") || !strings.Contains(text, `"site":"blog-2"`) {
		t.Errorf("the log says %s", text)
	}
	closed := ask(33, "main")
	if strings.ReplaceAll(closed, "main", "blog-2") != unknown || !strings.Contains(closed, "allow_users") {
		t.Errorf("the user can tell an unknown site from another's:\n%s\n%s", unknown, closed)
	}
	for _, uid := range []uint32{0, 100} {
		if text := ask(uid, "blog-2"); !strings.Contains(text, `no site "blog-2"`) || !strings.Contains(text, "main, shop") ||
			strings.Contains(text, "allow_users") {
			t.Errorf("an operator is told %s", text)
		}
	}
	log.Reset()
	sites.UseLog(zerolog.New(&log)) // whose limit begins anew
	ask(33, "main")
	if text := log.String(); !strings.Contains(text, "allow_users") || !strings.Contains(text, `"site":"main"`) {
		t.Errorf("the log says %s", text)
	}
}

// serving fits a site's own table, and WordPress' default name of the table.
func serving(own, byPrefix string) func(string) Fit {
	return func(table string) Fit { return map[string]Fit{byPrefix: FitPrefix, own: FitTable}[table] }
}

// TestSiteTableFindsTheTable: a request without a site goes to the site with the table in the request, a change from the
// spool to the site with the identity in the change; a request for another table goes to no site.
func TestSiteTableFindsTheTable(t *testing.T) {
	t.Parallel()
	shop, blog, custom, free := &fakeSite{}, &fakeSite{}, &fakeSite{}, &fakeSite{}
	holds := func(own string) func(string) (bool, bool) {
		return func(identity string) (bool, bool) { return identity == own, own != "" }
	}
	two := map[string]SiteAccess{
		"shop": {Site: shop, Users: []uint32{33}, Table: "wp.wp_t", Serves: serving("wp.wp_t", "wp.wp_t"), Holds: holds("s")},
		"blog": {Site: blog, Users: []uint32{33}, Table: "wp.b_t", Serves: serving("wp.b_t", "wp.b_t"), Holds: holds("b")},
	}
	more := maps.Clone(two)
	more["custom"] = SiteAccess{Site: custom, Users: []uint32{33}, Serves: serving("wp.own", "wp.wp_t"), Holds: holds("")}
	more["free"] = SiteAccess{Site: free, Users: []uint32{33}, Serves: func(string) Fit { return FitAny }}
	one := map[string]SiteAccess{"shop": two["shop"]}
	for name, c := range map[string]struct {
		sites                 map[string]SiteAccess
		site, table, identity string
		want                  Site
		code                  protocol.Code
		field                 string
	}{
		"by table":                           {two, "", "wp.b_t", "", blog, "", ""},
		"another table":                      {two, "", "wp2.wp_t", "", nil, protocol.CodeForbidden, "table"},
		"a site, and its table":              {two, "blog", "wp.b_t", "", blog, "", ""},
		"a site, and another's table":        {two, "blog", "wp.wp_t", "", nil, protocol.CodeForbidden, "table"},
		"a site that the user has not":       {two, "none", "wp.wp_t", "", nil, protocol.CodeForbidden, ""},
		"an older client":                    {two, "", "", "", nil, protocol.CodeInvalid, "site"},
		"the only site, another table":       {one, "", "wp.b_t", "", nil, protocol.CodeForbidden, "table"},
		"the only site, an older client":     {one, "", "", "", shop, "", ""},
		"by identity":                        {two, "", "", "b", blog, "", ""},
		"an identity that none has":          {two, "", "", "x", nil, protocol.CodeInvalid, "identity"},
		"an identity, and a table":           {two, "", "wp2.wp_t", "b", nil, protocol.CodeForbidden, "table"},
		"the table before the prefix":        {more, "", "wp.wp_t", "", shop, "", ""},
		"the table before any":               {more, "", "wp.own", "", custom, "", ""},
		"any table":                          {more, "", "wp2.wp_t", "", free, "", ""},
		"by identity, and one is not known":  {more, "", "", "b", blog, "", ""},
		"an identity that one may have":      {more, "", "", "x", nil, protocol.CodeUnavailable, ""},
		"a site without a table of its name": {more, "custom", "wp.wp_t", "", custom, "", ""},
	} {
		p := &protocol.SetParams{Change: protocol.Change{
			Target: protocol.Target{Site: c.site, Table: c.table}, Identity: c.identity,
		}}
		got, err := NewAccessList(100, c.sites).For(Peer{UID: 33, GID: 33}, p)
		refusal, refused := errors.AsType[*protocol.Error](err)
		switch {
		case c.want != nil && (refused || got != c.want):
			t.Errorf("%s: got %v, %v", name, got, err)
		case c.want == nil && (!refused || refusal.Code != c.code || refusal.Field != c.field):
			t.Errorf("%s: got %v, want %s %s", name, err, c.code, c.field)
		}
	}
	_, err := NewAccessList(100, two).For(Peer{UID: 33, GID: 33}, &protocol.SiteParams{Target: protocol.Target{Table: "wp2.wp_t"}})
	for _, part := range []string{`"wp2.wp_t"`, "wp.b_t (site blog), wp.wp_t (site shop)", `client_table = "wp2.wp_t"`, "--add"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal %v does not say %s", err, part)
		}
	}
}

// asked is a site that notes whom a status is for.
type asked struct {
	*fakeSite

	operator *bool
}

func (a asked) Status(ctx context.Context, operator bool) (protocol.SiteStatus, error) {
	*a.operator = operator
	return a.fakeSite.Status(ctx, operator)
}

// Warnings about other sites are for root and the daemon's own user: the users of a site learn of their site.
func TestStatusForOperators(t *testing.T) {
	t.Parallel()
	for uid, want := range map[uint32]bool{0: true, 100: true, 33: false} {
		operator := !want
		site := asked{&fakeSite{}, &operator}
		table := NewAccessList(100, map[string]SiteAccess{"main": {Site: site, Users: []uint32{33}}})
		d := NewDispatcher(table, NewConnections(1), "test", time.Second)
		request := protocol.Request{Method: protocol.MethodStatus, Params: "\x80"}
		if _, err := d.Handle(t.Context(), Peer{UID: uid}, request, nil); err != nil || operator != want {
			t.Errorf("user %d: %v, as an operator: %t", uid, err, operator)
		}
	}
}
