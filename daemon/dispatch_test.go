package daemon

import (
	"context"
	"errors"
	"maps"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// TestEveryMethod calls each method through the socket once.
func TestEveryMethod(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c, ctx := r.client(t), t.Context()
	fields := []protocol.Field{{Name: "status", Value: protocol.Text("open")}}
	for m, call := range map[protocol.Method]func() error{
		protocol.MethodPing:   func() error { _, err := c.Ping(ctx); return err },
		protocol.MethodCreate: func() error { _, err := c.Create(ctx, fields, ""); return err },
		protocol.MethodSet:    func() error { _, err := c.Set(ctx, protocol.SetParams{ID: 1, Fields: fields}); return err },
		protocol.MethodSetMany: func() error {
			_, err := c.SetMany(ctx, []protocol.TicketFields{{ID: 1, Fields: fields}}, "")
			return err
		},
		protocol.MethodGet:     func() error { _, err := c.Get(ctx, 1); return err },
		protocol.MethodGetMany: func() error { _, err := c.GetMany(ctx, []int64{1, 2}); return err },
		protocol.MethodDelete:  func() error { _, err := c.Delete(ctx, 1, ""); return err },
		protocol.MethodFlush:   func() error { _, err := c.Flush(ctx, nil, nil); return err },
		protocol.MethodList:    func() error { _, err := c.List(ctx, protocol.ListParams{}); return err },
		protocol.MethodCount:   func() error { _, err := c.Count(ctx, protocol.Selection{}); return err },

		protocol.MethodDeadList:  func() error { _, err := c.DeadList(ctx, 0, 0); return err },
		protocol.MethodDeadRetry: func() error { _, err := c.DeadRetry(ctx, nil); return err },
		protocol.MethodDeadDrop:  func() error { _, err := c.DeadDrop(ctx, []int64{1}); return err },
		protocol.MethodStatus: func() error {
			s, err := c.Status(ctx)
			if err == nil && (s.ConnectionsOpen != 1 || s.ConnectionsLimit != 16 || s.Version != "test" || s.Site != "main") {
				t.Errorf("status: %+v", s)
			}
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", m, err)
		}
		if _, ok := methods[m]; !ok {
			t.Errorf("%s is not in the table", m)
		}
	}
}

// TestReplyTooLarge: a reply over the limit is an error for that request alone.
func TestReplyTooLarge(t *testing.T) {
	t.Parallel()
	c := newRig(t, rigOptions{}).client(t)
	if _, err := c.Get(t.Context(), protocol.MaxPayload); !errors.Is(err, &protocol.Error{Code: protocol.CodeTooLarge}) {
		t.Errorf("got %v, want too_large", err)
	}
	if _, err := c.Ping(t.Context()); err != nil {
		t.Errorf("the connection is closed: %v", err)
	}
}

// TestFlushProgress: the first report is sent at once, one straight after it is dropped.
func TestFlushProgress(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: &fakeSite{flush: func(_ context.Context, progress func(done, total int64)) error {
		progress(1, 3)
		progress(2, 3)
		return nil
	}}})
	var seen []int64
	_, err := r.client(t).Flush(t.Context(), nil, func(done, _ int64) { seen = append(seen, done) })
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0] != 1 {
		t.Errorf("got reports %v, want the first alone", seen)
	}
}

// TestFlushEndsWithItsClient: a flush whose client is gone is found out by its progress and cancelled.
func TestFlushEndsWithItsClient(t *testing.T) {
	t.Parallel()
	entered, gone, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{site: &fakeSite{flush: func(ctx context.Context, progress func(done, total int64)) error {
		defer close(ended)
		close(entered)
		<-gone
		progress(1, 3)
		<-ctx.Done()
		return ctx.Err()
	}}})
	conn := r.raw(t)
	write(t, conn, requestFrame(t, 1, protocol.MethodFlush, &protocol.FlushParams{All: true}))
	<-entered
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	close(gone)
	<-ended
}

func TestSiteTable(t *testing.T) {
	t.Parallel()
	shop, blog := &fakeSite{}, &fakeSite{}
	table := NewSiteTable(100, map[string]SiteAccess{
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

// serving fits a site's own table, and the name that its WordPress gives it.
func serving(own, byPrefix string) func(string) Fit {
	return func(table string) Fit { return map[string]Fit{byPrefix: FitPrefix, own: FitTable}[table] }
}

// TestSiteTableFindsTheTable: a request without a site is for the one whose table it names, a change out of the spool for the one
// whose identity it has; nothing is for a site of another table, whoever asks.
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
		got, err := NewSiteTable(100, c.sites).For(Peer{UID: 33, GID: 33}, p)
		refusal, refused := errors.AsType[*protocol.Error](err)
		switch {
		case c.want != nil && (refused || got != c.want):
			t.Errorf("%s: got %v, %v", name, got, err)
		case c.want == nil && (!refused || refusal.Code != c.code || refusal.Field != c.field):
			t.Errorf("%s: got %v, want %s %s", name, err, c.code, c.field)
		}
	}
	_, err := NewSiteTable(100, two).For(Peer{UID: 33, GID: 33}, &protocol.SiteParams{Target: protocol.Target{Table: "wp2.wp_t"}})
	for _, part := range []string{`"wp2.wp_t"`, "wp.b_t (site blog), wp.wp_t (site shop)", `client_table = "wp2.wp_t"`, "--add"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal %v does not say %s", err, part)
		}
	}
}

// TestSilentFlushEndsWithItsClient: so is one that has nothing to report, as it waits for MySQL. Requests that were sent
// behind it do not hide that its client is gone.
func TestSilentFlushEndsWithItsClient(t *testing.T) {
	t.Parallel()
	entered, ended := make(chan struct{}), make(chan struct{})
	r := newRig(t, rigOptions{
		Options: Options{HangUpCheck: time.Millisecond},
		site: &fakeSite{flush: func(ctx context.Context, _ func(done, total int64)) error {
			defer close(ended)
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}},
	})
	conn := r.raw(t)
	write(t, conn, requestFrame(t, 1, protocol.MethodFlush, &protocol.FlushParams{All: true}))
	<-entered
	write(t, conn, setFrame(t, 2))
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// TestHalfClosedFlushGoesOn: a client that has shut its writing side waits for its reply, and so does one whose requests a
// stopping daemon does not read any more.
func TestHalfClosedFlushGoesOn(t *testing.T) {
	t.Parallel()
	for name, shut := range map[string]func(r *rig, client *net.UnixConn) error{
		"by the client": func(_ *rig, client *net.UnixConn) error { return client.CloseWrite() },
		"by the daemon": func(r *rig, _ *net.UnixConn) error {
			r.server.each(func(c *conn) { c.shutReading() })
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered, checked := make(chan struct{}), make(chan struct{})
			r := newRig(t, rigOptions{
				Options: Options{HangUpCheck: time.Microsecond},
				site: &fakeSite{flush: func(ctx context.Context, _ func(done, total int64)) error {
					close(entered)
					<-checked
					return ctx.Err()
				}},
			})
			client := r.raw(t)
			write(t, client, requestFrame(t, 1, protocol.MethodFlush, &protocol.FlushParams{All: true}))
			<-entered
			if err := shut(r, client); err != nil {
				t.Fatal(err)
			}
			r.server.each(func(c *conn) {
				if c.hungUp() {
					t.Error("a client that still reads is taken for gone")
				}
			})
			close(checked)
			if reply := readReply(t, client); reply == nil || reply.Err != nil {
				t.Errorf("got %+v, want the reply", reply)
			}
		})
	}
}

// A request has four fifths of the time that its client waits, and never more than the daemon's own limit, however the two are
// configured: so a client hears of what does not answer in time from the daemon, and does not take that for a daemon that hangs.
// Where the client's time is left out of account, the first three fail.
func TestDaemonAnswersBeforeItsClientGivesUp(t *testing.T) {
	t.Parallel()
	for told, want := range map[time.Duration]time.Duration{
		0:                800 * time.Millisecond, // a second, as clients wait that do not say
		time.Millisecond: 800 * time.Microsecond,
		2 * time.Second:  1600 * time.Millisecond,
		time.Minute:      2 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			var ended time.Duration
			site := &fakeSite{hook: func(ctx context.Context, _ int64) error {
				began := time.Now()
				<-ctx.Done()
				ended = time.Since(began)
				return ctx.Err()
			}}
			table := NewSiteTable(1, map[string]SiteAccess{"main": {Site: site, Users: []uint32{self.UID}}})
			d := NewDispatcher(table, NewConnections(1), "test", 2*time.Second)
			var e protocol.Encoder
			frame, err := e.Request(1, protocol.MethodSet, &protocol.SetParams{
				Change: protocol.Change{Timed: protocol.Timed{Timeout: told}},
				ID:     1, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("open")}},
			})
			if err != nil {
				t.Fatal(err)
			}
			req, err := protocol.DecodeRequest(frame[protocol.HeaderBytes:])
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Handle(t.Context(), self, req, func(_, _ int64) {})
			if !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) || ended != want {
				t.Errorf("a client that says %v: %v after %v, want unavailable after %v", told, err, ended, want)
			}
		})
	}
}
