package e2e

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// visitor is a browser without a screen: cookies, forms.
type visitor struct {
	t    *testing.T
	site *testenv.Stack
	http *http.Client
	rest string // the nonce that REST asks for beside the cookies; empty: nobody is logged in
}

func newVisitor(t *testing.T, s *testenv.Stack) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := s.WordPress.Nginx.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(client.CloseIdleConnections)
	return &visitor{t: t, site: s, http: client}
}

const adminPassword = "a long password of the tests"

// newUser logs in a new user of a role.
func newUser(t *testing.T, s *testenv.Stack, name, role string) *visitor {
	t.Helper()
	_, err := s.WordPress.Run(t.Context(), `
		$user = array( 'user_login' => $argv[1], 'user_pass' => $argv[2], 'role' => $argv[3] );
		$made = wp_insert_user( $user + array( 'user_email' => "$argv[1]@example.org" ) );
		if ( is_wp_error( $made ) ) { echo $made->get_error_message(); exit( 1 ); }`, name, adminPassword, role)
	if err != nil {
		t.Fatal(err)
	}
	v := newVisitor(t, s)
	v.get("/wp-login.php") // sets the cookie that WordPress asks back
	if status, _, body := v.post("/wp-login.php", url.Values{"log": {name}, "pwd": {adminPassword}}); status != http.StatusFound {
		t.Fatalf("log-in of %s: %d %s", name, status, body)
	}
	_, _, v.rest = v.get("/wp-admin/admin-ajax.php?action=rest-nonce")
	return v
}

func (v *visitor) get(path string) (status int, location, body string) {
	v.t.Helper()
	return v.send(http.MethodGet, path, nil)
}

func (v *visitor) post(path string, form url.Values) (status int, location, body string) {
	v.t.Helper()
	return v.send(http.MethodPost, path, form)
}

func (v *visitor) send(method, path string, form url.Values) (status int, location, body string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.site.WordPress.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.rest != "" && !form.Has("_wpnonce") {
		req.Header.Set("X-Wp-Nonce", v.rest)
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
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

// taken returns how many requests there were since it was last called.
func (p *tap) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.n
	p.n = 0
	return n
}

// An agent's page with 50 tickets costs two round trips to the daemon at most, whatever it is filtered and sorted by; so do a
// ticket and what is posted from them. With the numbers asked for one status after the other it was six.
func TestAgentsPagesCostTwoRoundTrips(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Site: "strategy = \"interval\"\nperiod = \"6h\""})
	counted := newTap(t, s.Socket)
	agent := newUser(t, s, "agent", "editor")
	if _, err := s.WordPress.Run(t.Context(), `
		for ( $i = 0; $i < 60; $i++ ) {
			$status = array( 'open', 'pending', 'odd' )[ $i % 3 ];
			ticketd_create_ticket( array( 'subject' => "Ticket $i", 'status' => $status, 'customer_id' => 1 ) );
		}
		$text = "<?php add_filter( 'ticketd_socket', function () { return '" . $argv[1] . "'; } );";
		wp_mkdir_p( WPMU_PLUGIN_DIR );
		file_put_contents( WPMU_PLUGIN_DIR . '/tap.php', $text );`, counted.path); err != nil {
		t.Fatal(err)
	}
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

// A visitor, a subscriber and whoever forges a nonce are refused by every screen, action and route of wp-admin; an editor has the
// tickets and not the daemon.
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
		{"/index.php?rest_route=/ticketd/v1/operations/status", nil, true},
		{"/index.php?rest_route=/ticketd/v1/operations/flush", url.Values{}, true},
		{"/index.php?rest_route=/ticketd/v1/operations/flush", forged(), true},
	}
	send := func(v *visitor, path string, form url.Values) (int, string) {
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		got, location, _ := v.send(method, path, form)
		return got, location
	}
	agent := newUser(t, s, "agent", "editor")
	for who, v := range map[string]*visitor{
		"visitor": newVisitor(t, s), "subscriber": newUser(t, s, "customer", "subscriber"), "editor": agent,
		"administrator": newUser(t, s, "manager", "administrator"),
	} {
		for _, r := range requests {
			got, location := send(v, r.path, r.form)
			refused := got == http.StatusForbidden || got == http.StatusUnauthorized ||
				got == http.StatusFound && strings.Contains(location, "wp-login.php") ||
				who == "visitor" && got == http.StatusBadRequest // admin-post.php knows no action of visitors
			allowed := !r.form.Has("_wpnonce") && (who == "administrator" || who == "editor" && !r.manager)
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

// The capabilities are given to roles once: what an administrator takes away stays away; revoking leaves nothing behind.
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
		{`Ticketd\WordPress\Capabilities::revoke();` + show, "00 00 00 00"},
		{`echo get_option( 'ticketd_capabilities' );`, "1"}, // given again by this very request
	} {
		if got := run(step.code); got != step.want {
			t.Errorf("%s: %q, want %q", step.code, got, step.want)
		}
	}
}
