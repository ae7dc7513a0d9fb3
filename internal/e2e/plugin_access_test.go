package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// doors is everything of the plugin that can be reached over HTTP, as registered by the plugin itself, so that new entries
// are tested, too.
type doors struct {
	Routes     map[string][]string `json:"routes"`     // methods by REST route
	Actions    []string            `json:"actions"`    // of admin-post.php and admin-ajax.php, with that prefix
	Pages      []string            `json:"pages"`      // of wp-admin
	Shortcodes []string            `json:"shortcodes"` // without brackets
}

// state is PHP code that prints a ticket and the number of tickets.
const state = `
	$ticket = ticketd_get_ticket( (int) $argv[1] );
	ksort( $ticket['fields'] );
	echo wp_json_encode( array( $ticket, ticketd_count_tickets() ) );`

// findDoors asks WordPress.
func findDoors(t *testing.T, s *testenv.Stack) doors {
	t.Helper()
	out := run(t, s, `
		wp_set_current_user( 1 );
		require_once ABSPATH . 'wp-admin/includes/admin.php';
		do_action( 'admin_menu', '' );
		$found = array( 'routes' => new stdClass(), 'actions' => array(), 'pages' => array(), 'shortcodes' => array() );
		foreach ( rest_get_server()->get_routes( 'ticketd/v1' ) as $route => $handlers ) {
			foreach ( $handlers as $handler ) {
				$found['routes']->$route = array_merge( $found['routes']->$route ?? array(), array_keys( $handler['methods'] ) );
			}
		}
		foreach ( array_keys( $wp_filter ) as $hook ) {
			if ( preg_match( '/^(admin_post|wp_ajax)_(?:nopriv_)?(ticketd\w*)$/', $hook, $match ) ) {
				$found['actions'][] = ( 'wp_ajax' === $match[1] ? 'admin-ajax' : 'admin-post' ) . '.php?action=' . $match[2];
			}
		}
		foreach ( array_merge( $menu ?? array(), ...array_values( $submenu ?? array() ) ) as $item ) {
			if ( 0 === strpos( $item[2], 'ticketd' ) ) { $found['pages'][] = 'admin.php?page=' . $item[2]; }
		}
		foreach ( array_keys( $shortcode_tags ) as $name ) {
			if ( 0 === strpos( $name, 'ticketd' ) ) { $found['shortcodes'][] = $name; }
		}
		echo wp_json_encode( $found );`)
	var found doors
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(found.Routes) < 2 || len(found.Shortcodes) < 2 {
		t.Fatalf("found too little: %s", out)
	}
	return found
}

// Users without rights are refused at every door: a logged-out visitor, a subscriber, and an administrator's browser with a
// forged nonce. The test fails if any permission callback returns true.
func TestNobodyGetsInWhoMayNot(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Source: source})
		id := strings.TrimSpace(run(t, s, `echo ticketd_create_ticket( array( 'subject' => 'not for you', 'customer_id' => 1 ) );`))
		before := run(t, s, state, id)
		found := findDoors(t, s)

		nobody, subscriber, forger := newVisitor(t, s), newVisitor(t, s), newVisitor(t, s)
		subscriber.logIn(t, "sub", "subscriber")
		forger.logIn(t, "boss", "administrator")
		for _, v := range []struct {
			name  string
			who   *visitor
			nonce string
		}{
			{"a visitor", nobody, ""},
			{"a subscriber", subscriber, restNonce(t, s, "sub", subscriber)},
			{"a forger", forger, "0123456789"},
		} {
			walkRoutes(t, v.who, v.name, v.nonce, id, found.Routes)
			walkActions(t, v.who, v.name, found.Actions)
			if v.who != forger { // a page that only shows needs no nonce
				walkPages(t, v.who, v.name, found.Pages)
				walkShortcodes(t, v.who, v.name, id, found.Shortcodes)
			}
		}
		after := run(t, s, state, id)
		if before != after {
			t.Errorf("something got through: before\n%s\nafter\n%s", before, after)
		}
		noNotices(t, s)
	})
}

// restNonce makes the nonce that the visitor's own pages would have, so that only the missing permission refuses.
func restNonce(t *testing.T, s *testenv.Stack, name string, v *visitor) string {
	t.Helper()
	address, err := url.Parse(s.WordPress.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range v.client.Jar.Cookies(address) {
		if strings.HasPrefix(cookie.Name, "wordpress_logged_in") {
			value, err := url.QueryUnescape(cookie.Value)
			if err != nil {
				t.Fatal(err)
			}
			return run(t, s, `
				$_COOKIE[ LOGGED_IN_COOKIE ] = $argv[2];
				wp_set_current_user( get_user_by( 'login', $argv[1] )->ID );
				echo wp_create_nonce( 'wp_rest' );`, name, value)
		}
	}
	t.Fatal("the visitor is not logged in")
	return ""
}

var routeArgument = regexp.MustCompile(`\(\?P<\w+>[^)]*\)`)

func walkRoutes(t *testing.T, v *visitor, name, nonce, id string, routes map[string][]string) {
	t.Helper()
	for route, methods := range routes {
		if route == "/ticketd/v1" {
			continue // WordPress' own index of the routes
		}
		for _, method := range methods {
			path := "/index.php?rest_route=" + url.QueryEscape(routeArgument.ReplaceAllStringFunc(route, func(argument string) string {
				if first, _, isChoice := strings.Cut(argument, "|"); isChoice {
					return first[strings.IndexByte(first, '>')+1:]
				}
				return id
			}))
			header := http.Header{"Content-Type": {"application/json"}}
			if nonce != "" {
				header.Set("X-Wp-Nonce", nonce)
			}
			body := `{"fields":{"status":"stolen"},"ids":[` + id + `],"confirm":true}`
			if method == http.MethodGet {
				body = ""
			}
			status, text, _ := v.do(t, method, path, strings.NewReader(body), header)
			if !slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden}, status) || strings.Contains(text, "not for you") {
				t.Errorf("%s: %s %s: %d %.300s, want a refusal", name, method, route, status, text)
			}
		}
	}
}

func walkActions(t *testing.T, v *visitor, name string, actions []string) {
	t.Helper()
	for _, action := range actions {
		form := url.Values{"ids[]": {"1"}, "id": {"1"}}
		for _, field := range []string{"_wpnonce", "_ajax_nonce", "nonce"} {
			form.Set(field, "0123456789")
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			path, send := "/wp-admin/"+action, form.Encode()
			if method == http.MethodGet {
				path, send = path+"&"+send, ""
			}
			header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
			status, text, location := v.do(t, method, path, strings.NewReader(send), header)
			toLogIn := status == http.StatusFound && strings.Contains(location, "wp-login.php")
			refused := slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, status)
			if !toLogIn && !refused {
				t.Errorf("%s: %s %s: %d %.300s, want a refusal", name, method, action, status, text)
			}
		}
	}
}

func walkPages(t *testing.T, v *visitor, name string, pages []string) {
	t.Helper()
	for _, page := range pages {
		status, text, location := v.do(t, http.MethodGet, "/wp-admin/"+page, nil, nil)
		if status != http.StatusForbidden && (status != http.StatusFound || !strings.Contains(location, "wp-login.php")) {
			t.Errorf("%s: %s: %d %.300s, want a refusal", name, page, status, text)
		}
	}
}

// walkShortcodes visits a page with all shortcodes: they show no user another user's ticket.
func walkShortcodes(t *testing.T, v *visitor, name, id string, shortcodes []string) {
	t.Helper()
	page := makePage(t, v.s, "["+strings.Join(shortcodes, "]\n\n[")+"]")
	for _, path := range []string{page, page + "?ticketd_ticket=" + id} {
		if status, text := v.get(t, path); status != http.StatusOK || strings.Contains(text, "not for you") {
			t.Errorf("%s: the page %s: %d, want it without a stranger's ticket: %.300s", name, path, status, text)
		}
	}
}

// makePage publishes a page and returns its path.
func makePage(t *testing.T, s *testenv.Stack, content string) string {
	t.Helper()
	address := run(t, s, `
		$id = wp_insert_post( array( 'post_type' => 'page', 'post_status' => 'publish', 'post_title' => 'Help',
			'post_content' => $argv[1] ) );
		echo get_permalink( $id );`, content)
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.RequestURI()
}
