package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// eachWordPress runs a test on every version of WordPress that the plugin is tested with.
func eachWordPress(t *testing.T, test func(t *testing.T, source string)) {
	t.Helper()
	for _, version := range []string{testenv.Debian61, testenv.Newest} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, testenv.WordPressSource(t, version))
		})
	}
}

// run executes PHP code in the stack's WordPress.
func run(t *testing.T, s *testenv.Stack, code string, args ...string) string {
	t.Helper()
	out, err := s.WordPress.Run(t.Context(), code, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", code, err, out)
	}
	return out
}

// visitor is a client with a browser: cookies, and no automatic redirects.
type visitor struct {
	s      *testenv.Stack
	client *http.Client
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
	return &visitor{s: s, client: client}
}

// logIn makes a user of a role, unless the user exists, and logs the visitor in.
func (v *visitor) logIn(t *testing.T, name, role string) {
	t.Helper()
	run(t, v.s, `
		if ( ! username_exists( $argv[1] ) ) {
			wp_insert_user( array( 'user_login' => $argv[1], 'user_pass' => 'secret-' . $argv[1], 'role' => $argv[2],
				'user_email' => $argv[1] . '@example.org' ) );
		}`, name, role)
	v.get(t, "/wp-login.php") // sets the cookie that WordPress tests
	status, _, _ := v.post(t, "/wp-login.php", url.Values{
		"log": {name}, "pwd": {"secret-" + name}, "testcookie": {"1"}, "wp-submit": {"Log In"},
	})
	if status != http.StatusFound {
		t.Fatalf("logging in as %s: %d", name, status)
	}
}

// get fetches a page.
func (v *visitor) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	status, body, _ = v.do(t, http.MethodGet, path, nil, nil)
	return status, body
}

// post sends a form.
func (v *visitor) post(t *testing.T, path string, form url.Values) (status int, body, location string) {
	t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	return v.do(t, http.MethodPost, path, strings.NewReader(form.Encode()), header)
}

func (v *visitor) do(
	t *testing.T, method, path string, send io.Reader, header http.Header,
) (status int, body, location string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, v.s.WordPress.URL()+path, send)
	if err != nil {
		t.Fatal(err)
	}
	for name := range header {
		req.Header.Set(name, header.Get(name))
	}
	resp, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header.Get("Location")
}
