package e2e

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// user is a visitor of the screens, with the test at hand.
type user struct {
	*visitor
	t    *testing.T
	rest string // REST's nonce, which requests with cookies need; empty for a logged-out client
}

// newUser logs in a new user of a role.
func newUser(t *testing.T, s *testenv.Stack, name, role string) *user {
	t.Helper()
	v := newVisitor(t, s)
	v.logIn(t, name, role)
	u := &user{visitor: v, t: t}
	_, _, u.rest = u.get("/wp-admin/admin-ajax.php?action=rest-nonce")
	return u
}

func (u *user) get(path string) (status int, location, body string) {
	u.t.Helper()
	return u.send(http.MethodGet, path, nil)
}

func (u *user) post(path string, form url.Values) (status int, location, body string) {
	u.t.Helper()
	return u.send(http.MethodPost, path, form)
}

// send adds REST's nonce, unless the form has its own.
func (u *user) send(method, path string, form url.Values) (status int, location, body string) {
	u.t.Helper()
	header := http.Header{}
	if form != nil {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if u.rest != "" && !form.Has("_wpnonce") {
		header.Set("X-Wp-Nonce", u.rest)
	}
	status, body, location = u.do(u.t, method, path, strings.NewReader(form.Encode()), header)
	return status, location, body
}

// tap stands before the daemon's socket and counts the requests that pass.
type tap struct {
	path     string
	listener net.Listener
	target   string
	all      sync.WaitGroup

	mu    sync.Mutex
	n     int
	conns []net.Conn
}

func newTap(t *testing.T, target string) *tap {
	t.Helper()
	p := &tap{path: filepath.Join(testenv.Folder(t), "tap.sock"), target: target}
	var config net.ListenConfig
	var err error
	if p.listener, err = config.Listen(t.Context(), "unix", p.path); err != nil {
		t.Fatal(err)
	}
	p.all.Go(func() {
		for {
			client, err := p.listener.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(t.Context(), "unix", p.target)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			p.all.Go(func() { p.requests(server, client) })
			p.all.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
		}
	})
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.all.Wait()
	})
	return p
}

// requests passes on frame by frame.
func (p *tap) requests(server, client net.Conn) {
	defer func() { _ = server.Close() }()
	head := make([]byte, protocol.HeaderBytes)
	for {
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		p.mu.Lock()
		p.n++
		p.mu.Unlock()
		length := int64(binary.BigEndian.Uint32(head) & 0xffffff)
		if _, err := server.Write(head); err != nil {
			return
		}
		if _, err := io.CopyN(server, client, length); err != nil {
			return
		}
	}
}

// taken returns the number of requests since the last call.
func (p *tap) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.n
	p.n = 0
	return n
}

// An agent's page with 50 tickets costs at most two round trips to the daemon, with any filter and sort; so do a ticket and
// its form. With a count for each status in turn it was six.
func TestAgentsPagesCostTwoRoundTrips(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Site: "strategy = \"interval\"\nperiod = \"6h\""})
	counted := newTap(t, s.Socket)
	if _, err := s.WordPress.Run(t.Context(), `
		for ( $i = 0; $i < 60; $i++ ) {
			$status = array( 'open', 'pending', 'odd' )[ $i % 3 ];
			ticketd_create_ticket( array( 'subject' => "Ticket $i", 'status' => $status, 'customer_id' => 1 ) );
		}
		// Before the first page is asked for: PHP-FPM keeps what it has compiled.
		$config = ABSPATH . 'wp-config.php';
		file_put_contents( $config, str_replace( TICKETD_SOCKET, $argv[1], file_get_contents( $config ) ) );`,
		counted.path); err != nil {
		t.Fatal(err)
	}
	agent := newUser(t, s, "agent", "editor")
	page := "/wp-admin/admin.php?page=ticketd"
	for _, query := range []string{
		"", "&status=open", "&status=odd&orderby=priority&order=asc", "&s=Ticket", "&s=%237",
		"&customer=admin&assigned_to=none", "&ticket=1",
	} {
		status, _, body := agent.get(page + query)
		if n := counted.taken(); status != http.StatusOK || n < 1 || n > 2 {
			t.Errorf("%q: %d, %d round trips", query, status, n)
		}
		if rows := strings.Count(body, `name="ids[]"`); query == "" && rows != 50 {
			t.Errorf("%d tickets on the page, want 50", rows)
		}
	}
	_, _, body := agent.get(page)
	nonce := hidden(t, body, "_wpnonce")
	counted.taken()
	status, location, _ := agent.post(page, url.Values{"action": {"status:closed"}, "ids[]": {"1", "2", "3"}, "_wpnonce": {nonce}})
	if n := counted.taken(); status != http.StatusFound || n != 1 {
		t.Errorf("bulk change: %d to %s, %d round trips; want one", status, location, n)
	}
	noNotices(t, s)
}

// hidden finds the value of a hidden field.
func hidden(t *testing.T, body, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	if found == nil {
		t.Fatalf("no field %s in %s", name, body)
	}
	return found[1]
}

// A visitor, a subscriber and a forged nonce are refused by every screen, action and route of wp-admin; an editor and a support
// agent may use the tickets but not the daemon.
func TestAdminRefuses(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true})
	if _, err := s.WordPress.Run(t.Context(), `ticketd_create_ticket( array( 'subject' => 'untouched' ) );`); err != nil {
		t.Fatal(err)
	}
	const tickets = "/wp-admin/admin.php?page=ticketd"
	const status, dead = tickets + "-status", tickets + "-dead"
	forged := func(pairs ...string) url.Values {
		form := url.Values{"_wpnonce": {"0123456789"}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return form
	}
	requests := []struct {
		path    string
		form    url.Values
		manager bool // is for managers alone
	}{
		{tickets, nil, false},
		{tickets + "&ticket=1", nil, false},
		{tickets, forged("action", "status:closed", "ids[]", "1"), false},
		{tickets + "&ticket=1", forged("fields[subject]", "forged", "seen[subject]", "untouched", "revision", "1"), false},
		{status, nil, true},
		{dead, nil, true},
		{dead, forged("action", "retry", "ids[]", "1"), true},
		{dead, forged("drop", "1"), true},
		{dead, forged("ticketd_drop", "1", "ids[]", "1"), true},
		{"/wp-admin/admin-post.php", forged("action", "ticketd_flush"), true},
		{"/wp-admin/admin-post.php", forged("action", "ticketd_feed_control", "name", "crm", "do", "pause"), true},
		{"/index.php?rest_route=/ticketd/v1/operations/status", nil, true},
		{"/index.php?rest_route=/ticketd/v1/operations/feed/crm/pause", forged(), true},
		{"/index.php?rest_route=/ticketd/v1/operations/flush", url.Values{}, true},
		{"/index.php?rest_route=/ticketd/v1/operations/flush", forged(), true},
	}
	send := func(v *user, path string, form url.Values) (got int, location string) {
		if form == nil {
			got, location, _ = v.get(path)
		} else {
			got, location, _ = v.post(path, form)
		}
		return got, location
	}
	agent := newUser(t, s, "agent", "editor")
	for who, v := range map[string]*user{
		"visitor": {visitor: newVisitor(t, s), t: t}, "subscriber": newUser(t, s, "customer", "subscriber"), "editor": agent,
		"support agent": newUser(t, s, "helper", "ticketd_agent"), "administrator": newUser(t, s, "manager", "administrator"),
	} {
		for _, r := range requests {
			got, location := send(v, r.path, r.form)
			refused := got == http.StatusForbidden || got == http.StatusUnauthorized ||
				got == http.StatusFound && strings.Contains(location, "wp-login.php") ||
				who == "visitor" && got == http.StatusBadRequest // admin-post.php knows no action of visitors
			allowed := !r.form.Has("_wpnonce") && (who == "administrator" || (who == "editor" || who == "support agent") && !r.manager)
			if allowed != (got == http.StatusOK) || !allowed && !refused {
				t.Errorf("%s %s %v: %d %s, allowed is %t", who, r.path, r.form, got, location, allowed)
			}
		}
	}
	out, err := s.WordPress.Run(t.Context(), `echo wp_json_encode( ticketd_get_ticket( 1 )['fields']['subject'] );`)
	if err != nil || out != `"untouched"` {
		t.Errorf("the ticket is %s (%v)", out, err)
	}
	noNotices(t, s)
}

// Roles get the capabilities once: a capability that an administrator removes stays removed, also when the plugin's role comes
// with a later version; revoking leaves nothing behind.
func TestCapabilitiesOfRoles(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true})
	run := func(code string) string {
		out, err := s.WordPress.Run(t.Context(), code)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const show = `
		$has = array();
		foreach ( array( 'administrator', 'editor', 'author', 'subscriber' ) as $role ) {
			$has[] = (int) get_role( $role )->has_cap( 'ticketd_manage' ) . (int) get_role( $role )->has_cap( 'ticketd_edit_tickets' );
		}
		echo implode( ' ', $has );`
	for _, step := range []struct{ code, want string }{
		{show, "11 01 00 00"},
		{`get_role( 'editor' )->remove_cap( 'ticketd_edit_tickets' );`, ""},
		{show, "11 00 00 00"},
		{`remove_role( 'ticketd_agent' ); update_option( 'ticketd_capabilities', 1 );`, ""}, // an earlier version of the map
		{
			`echo implode( ' ', array_keys( get_role( 'ticketd_agent' )->capabilities ) );`,
			"read ticketd_edit_tickets view_admin_dashboard",
		},
		{show, "11 00 00 00"},
		{`$user = get_userdata( wp_create_user( 'helper', 'x', 'helper@example.org' ) );
			$user->set_role( 'ticketd_agent' );
			foreach ( array( $user, get_userdata( 1 ) ) as $who ) {
				$asked = apply_filters( 'login_redirect', home_url(), home_url(), $who );
				$to    = apply_filters( 'login_redirect', admin_url(), '', $who );
				echo str_replace( admin_url(), '', $to ), '|', $asked === home_url(), '|';
			}`, "admin.php?page=ticketd|1||1|"},
		{`Ticketd\WordPress\Capabilities::revoke();` + show + `echo null === get_role( 'ticketd_agent' );`, "00 00 00 001"},
		{`echo get_option( 'ticketd_capabilities' );`, "2"}, // given again by this very request
	} {
		if got := run(step.code); got != step.want {
			t.Errorf("%s: %q, want %q", step.code, got, step.want)
		}
	}
}
