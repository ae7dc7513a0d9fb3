package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// openToVisitors makes agents of all visitors, over REST, too.
const openToVisitors = "add_filter( 'ticketd_rest_permission', '__return_true' );" +
	"add_filter( 'user_has_cap', fn( $caps ) => array( 'ticketd_edit_tickets' => true ) + $caps );"

// rest makes a request of the plugin's REST route and decodes the reply.
func rest(t *testing.T, s *testenv.Stack, method, path string, body any) (status int, reply map[string]any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	url := s.WordPress.URL() + "/index.php?rest_route=/ticketd/v1" + path
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.WordPress.Nginx.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		t.Fatalf("%s %s: %s: not an object: %s", method, path, resp.Status, text)
	}
	return resp.StatusCode, reply
}

// noNotices fails the test if PHP complained about the plugin, or WordPress about a wrong call.
func noNotices(t *testing.T, s *testenv.Stack) {
	t.Helper()
	for _, about := range []string{"/plugins/ticketd/", "<strong>incorrectly</strong>", "<strong>deprecated</strong>"} {
		lines, err := s.WordPress.PHPFPM.Errors(about)
		if err != nil || len(lines) > 0 {
			t.Errorf("PHP reported (%v):\n%s", err, strings.Join(lines, "\n"))
		}
	}
}

// A ticket created through WordPress over HTTP is a plain hash in Redis at once, and a row in MySQL within a second; fifty
// updates within the linger cost a single row write.
func TestWordPressToRedisToMySQL(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{Source: source, MustUse: openToVisitors, Debug: true})
		redis, db := s.Redis.Client(t), s.MariaDB.DB(t, testenv.StackDatabase)

		status, made := rest(t, s, http.MethodPost, "/tickets", map[string]any{
			"fields": map[string]any{"subject": "Where is my order?", "customer_id": 7},
		})
		if status != http.StatusCreated {
			t.Fatalf("create: %d %v", status, made)
		}
		number, _ := made["id"].(float64)
		id := int64(number)
		hash, err := redis.HGetAll(t.Context(), fmt.Sprintf("ticket:%d", id)).Result()
		if err != nil || hash["subject"] != "Where is my order?" || hash["customer_id"] != "7" || hash["status"] != "open" {
			t.Fatalf("hash in Redis: %v (%v)", hash, err)
		}
		testenv.Eventually(t, time.Second, "the row is in MySQL", func() bool {
			return column(t, db, "subject", id) == "Where is my order?"
		})

		before := flushedRows(t, s)
		out, err := s.WordPress.Run(t.Context(), `
			$begin = hrtime( true );
			for ( $i = 0; $i < 50; $i++ ) {
				$done = ticketd_set_ticket( (int) $argv[1], array( 'status' => "s$i" ) );
				if ( is_wp_error( $done ) ) { echo $done->get_error_message(); exit( 1 ); }
			}
			$took = intdiv( hrtime( true ) - $begin, 1000000 );
			echo wp_json_encode( array( ticketd_get_ticket( (int) $argv[1] )['fields']['status'], $took ) );`, strconv.FormatInt(id, 10))
		if err != nil {
			t.Fatalf("fifty updates: %v\n%s", err, out)
		}
		var read []any
		if err := json.Unmarshal([]byte(out), &read); err != nil || read[0] != "s49" {
			t.Fatalf("after fifty updates: %v %s", err, out)
		}
		testenv.Eventually(t, time.Second, "the last update is in MySQL", func() bool {
			return column(t, db, "status", id) == "s49"
		})
		// A row write for each linger of 200 ms that the updates took; on a machine that is not overloaded they take a part of the
		// first linger.
		took, _ := read[1].(float64)
		rows, most := flushedRows(t, s)-before, 1+int64(took)/200
		if rows < 1 || rows > most {
			t.Errorf("fifty updates in %v ms cost %d row writes, want 1 at least and %d at most", took, rows, most)
		}
		noNotices(t, s)
	})
}

// flushedRows reads the count after a complete flush, so that no round is running.
func flushedRows(t *testing.T, s *testenv.Stack) int64 {
	t.Helper()
	c, err := protocol.Dial(t.Context(), s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var rows int64
	testenv.Eventually(t, 5*time.Second, "nothing waits", func() bool {
		status, err := c.Status(t.Context())
		rows = status.FlushedRows
		return err == nil && status.Dirty == 0
	})
	return rows
}

// The REST route answers with the codes that its clients expect, and PHP reports nothing on the way.
func TestRESTRoute(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{Source: source, MustUse: openToVisitors, Debug: true})
		fields := func(pairs ...any) map[string]any {
			f := map[string]any{}
			for i := 0; i < len(pairs); i += 2 {
				f[fmt.Sprint(pairs[i])] = pairs[i+1]
			}
			return map[string]any{"fields": f}
		}
		for _, c := range []struct {
			method, path string
			body         any
			status       int
			code         string
		}{
			{http.MethodPost, "/tickets", fields("subject", "hello"), http.StatusCreated, ""},
			{http.MethodPatch, "/tickets/1", fields("status", "pending", "category", nil), http.StatusOK, ""},
			{http.MethodGet, "/tickets/1", nil, http.StatusOK, ""},
			{http.MethodPatch, "/tickets/1", map[string]any{"fields": map[string]any{"status": "x"}, "if_revision": 1},
				http.StatusConflict, "ticketd_conflict"},
			{http.MethodPatch, "/tickets/1", fields("status", strings.Repeat("x", 33)), http.StatusBadRequest, "ticketd_invalid"},
			{http.MethodPatch, "/tickets/99", fields("status", "open"), http.StatusNotFound, "ticketd_not_found"},
			{http.MethodPatch, "/tickets/99", map[string]any{"fields": map[string]any{"status": "x"}, "if_revision": 1},
				http.StatusNotFound, "ticketd_not_found"},
			{http.MethodGet, "/tickets/99", nil, http.StatusNotFound, "ticketd_not_found"},
			{http.MethodGet, "/tickets/1&rev=2", nil, http.StatusBadRequest, "rest_invalid_param"},
			{http.MethodGet, "/tickets&page=2", nil, http.StatusBadRequest, "rest_invalid_param"},
			{http.MethodGet, "/tickets&offset=10", nil, http.StatusBadRequest, "rest_invalid_param"},
			{http.MethodDelete, "/tickets/1", nil, http.StatusOK, ""},
			{http.MethodGet, "/tickets/1", nil, http.StatusNotFound, "ticketd_not_found"},
		} {
			status, reply := rest(t, s, c.method, c.path, c.body)
			if code, _ := reply["code"].(string); status != c.status || code != c.code {
				t.Errorf("%s %s: %d %v, want %d %q", c.method, c.path, status, reply, c.status, c.code)
			}
		}
		if status, reply := rest(t, s, http.MethodPost, "/tickets", fields("subject", "hello again")); status != http.StatusCreated {
			t.Fatalf("create: %d %v", status, reply)
		}
		if _, err := s.WordPress.Run(t.Context(), "ticketd_flush();"); err != nil {
			t.Fatal(err)
		}
		s.Ticketd.Kill()
		if status, reply := rest(t, s, http.MethodPatch, "/tickets/2", fields("status", "pending")); status != http.StatusAccepted {
			t.Errorf("a change without the daemon: %d %v, want 202", status, reply)
		}
		status, reply := rest(t, s, http.MethodGet, "/tickets/2", nil)
		read, _ := reply["fields"].(map[string]any)
		if status != http.StatusOK || reply["stale"] != true || read["status"] != "pending" || read["subject"] != "hello again" {
			t.Errorf("a read without the daemon: %d %v, want the row with the change over it, marked stale", status, reply)
		}
		noNotices(t, s)
	})
}

// Without the filter a visitor has no rights.
func TestRESTRefusesVisitors(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{Source: source, Debug: true})
		for _, c := range []struct{ method, path string }{
			{http.MethodPost, "/tickets"}, {http.MethodGet, "/tickets/1"},
			{http.MethodPatch, "/tickets/1"}, {http.MethodDelete, "/tickets/1"},
		} {
			body := map[string]any{"fields": map[string]any{"status": "open"}}
			if status, reply := rest(t, s, c.method, c.path, body); status != http.StatusUnauthorized {
				t.Errorf("%s %s: %d %v, want 401", c.method, c.path, status, reply)
			}
		}
		noNotices(t, s)
	})
}
