package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// metaConfig is a site of post meta beside the stack's tickets.
const metaConfig = `[sites.desk]
dsn = DSN
kind = "postmeta"
table_prefix = "wp_"
key_prefix = "desk:"
%s
`

// metaKeys are the keys of most tests.
const metaKeys = `post_types = ["ticket"]
[sites.desk.keys]
status = "_wpas_status"
note = "_wpas_note"
`

// newMetaStack starts a site whose plugin takes post meta. more is further TOML of the daemon's site; the object cache is
// persistent and shared by all processes, or each process' own.
func newMetaStack(t *testing.T, more string, isPersistent bool, o testenv.StackOptions) *testenv.Stack {
	t.Helper()
	o.Sites, o.Debug = fmt.Sprintf(metaConfig, more), true
	if o.Source == "" {
		o.Source = testenv.WordPressSource(t, testenv.Newest)
	}
	s := testenv.NewStack(t, o)
	config := filepath.Join(t.TempDir(), "ticketd.toml")
	sites := strings.ReplaceAll(o.Sites, "DSN", fmt.Sprintf("%q", s.MariaDB.DSN(testenv.StackDatabase)))
	writeFile(t, config, s.Config(o.Site+"\n"+sites))
	migrate := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), "migrate", "--config", config, "--all")
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("ticketd migrate: %v\n%s", err, out)
	}
	if isPersistent {
		shareCache(t, s.WordPress, s.Redis)
	}
	testenv.Eventually(t, 20*time.Second, "the keys are installed", func() bool {
		out, err := s.WordPress.CLI(t.Context(), nil, "ticketd", "meta", "install")
		if err == nil && out.Code != 0 {
			t.Logf("wp ticketd meta install: %s%s", out.Stdout, out.Stderr)
		}
		return err == nil && out.Code == 0
	})
	return s
}

// realCache is the object-cache.php of a plugin that keeps the object cache in Redis, such as Redis Object Cache; empty: the
// tests' own is used.
func realCache() string { return os.Getenv("TICKETD_TEST_OBJECT_CACHE") }

// shareCache gives a WordPress an object cache that all of its processes share.
func shareCache(t *testing.T, w *testenv.WordPress, redis *testenv.Redis) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "object-cache.php"))
	if realCache() != "" {
		text = fmt.Appendf(nil, "<?php\ndefine( 'WP_REDIS_SCHEME', 'unix' );\ndefine( 'WP_REDIS_PATH', '%s' );\n"+
			"define( 'WP_REDIS_DATABASE', 3 );\ndefine( 'WP_REDIS_PREFIX', '%s' );\nrequire '%s';\n",
			redis.Socket(), w.Root(), realCache())
	}
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(w.Root(), "wp-content", "object-cache.php"), string(text))
}

// eval runs PHP code in one of the site's processes and returns what the code returns, as JSON.
func (m *wpMeta) eval(t *testing.T, worker int, code string) string {
	t.Helper()
	var answer struct {
		Returned json.RawMessage `json:"returned"`
		Thrown   string          `json:"thrown"`
		Warnings []string        `json:"warnings"`
	}
	if realCache() != "" { // a new page: these caches also keep what a process has read
		code = "wp_using_ext_object_cache() && wp_cache_flush_runtime();\n" + code
	}
	text := m.do(t, metaStep{Do: "eval", Code: code, worker: worker})
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Thrown != "" || len(answer.Warnings) > 0 {
		t.Fatalf("%s\n%s (%v)", code, text, err)
	}
	return string(answer.Returned)
}

// want fails unless code returns that JSON.
func (m *wpMeta) want(t *testing.T, worker int, code, want string) {
	t.Helper()
	if got := m.eval(t, worker, code); got != want {
		t.Errorf("process %d: %s\nreturns %s, want %s", worker, code, got, want)
	}
}

// post makes a ticket with a status that MySQL has.
func (m *wpMeta) post(t *testing.T, id int64) {
	t.Helper()
	m.eval(t, 0, fmt.Sprintf(`wp_insert_post( array( 'import_id' => %d,
		'post_type' => 'ticket', 'post_status' => 'publish', 'post_title' => 'x',
		'meta_input' => array( '_wpas_status' => 'open' ) ) );`, id))
	m.eval(t, 0, `return Ticketd\WordPress\Meta\Adapter::instance()->flush( 'post' );`)
}

// status is the status that MySQL has.
func (m *wpMeta) status(t *testing.T, id int64) string {
	t.Helper()
	var value string
	err := m.db.QueryRowContext(t.Context(), "SELECT COALESCE(GROUP_CONCAT(COALESCE(meta_value, 'NULL')), '') FROM wp_postmeta"+
		" WHERE post_id = ? AND meta_key = '_wpas_status'", id).Scan(&value)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// byStatus is code for the posts that a meta query finds.
func byStatus(status string) string {
	return `return ( new WP_Query( array( 'post_type' => 'ticket', 'fields' => 'ids',
		'meta_key' => '_wpas_status', 'meta_value' => '` + status + `' ) ) )->posts;`
}

const (
	getStatus = `return get_post_meta( 812, '_wpas_status', true );`
	setClosed = `return update_post_meta( 812, '_wpas_status', 'closed' );`
	flushMeta = `return Ticketd\WordPress\Meta\Adapter::instance()->flush( 'post' );`
	newPage   = `wp_using_ext_object_cache() || wp_cache_flush(); Ticketd\WordPress\Meta\Adapter::instance()->use_client( null );`
)

// behind keeps the daemon from flushing by itself during a test.
const behind = `strategy = "interval"
period = "1h"
max_age = "2h"
`

// With a persistent object cache that processes share, every reader has the newest value before and after the flush. A naive
// adapter caches the old row, or the old answer of a query, for good.
func TestMetaNothingOldIsCached(t *testing.T) {
	t.Parallel()
	s := newMetaStack(t, behind+metaKeys, true, testenv.StackOptions{})
	m := newWPMeta(t, s.WordPress, s.MariaDB.DB(t, testenv.StackDatabase))
	m.post(t, 812)
	m.want(t, 0, byStatus("open"), "[812]")
	m.want(t, 1, getStatus, `"open"`)

	m.want(t, 0, setClosed, "true")
	if got := m.status(t, 812); got != "open" {
		t.Errorf("MySQL has %q before the flush", got)
	}
	m.want(t, 1, getStatus, `"closed"`) // fills the entry
	m.want(t, 0, getStatus, `"closed"`)
	m.want(t, 1, `return array_map( 'maybe_unserialize', get_post_meta( 812 )['_wpas_status'] );`, `["closed"]`)
	if got := m.status(t, 812); got != "open" {
		t.Errorf("MySQL has %q after reads of the cache alone", got)
	}
	m.want(t, 1, byStatus("open"), "[]") // flushes
	m.want(t, 1, byStatus("closed"), "[812]")
	if got := m.status(t, 812); got != "closed" {
		t.Errorf("MySQL has %q after a query", got)
	}
	for worker := range 2 {
		m.want(t, worker, flushMeta, "true")
		m.want(t, worker, getStatus, `"closed"`)
		m.want(t, worker, byStatus("open"), "[]")
		m.want(t, worker, byStatus("closed"), "[812]")
	}
	noNotices(t, s)
}

// While the daemon is unreachable a change is spooled; all processes of the host read it, and nothing is cached. Once the daemon
// is back, the row is right, and so is every cache.
func TestMetaWithoutTheDaemon(t *testing.T) {
	t.Parallel()
	s := newMetaStack(t, behind+metaKeys, true, testenv.StackOptions{})
	m := newWPMeta(t, s.WordPress, s.MariaDB.DB(t, testenv.StackDatabase))
	m.post(t, 812)
	m.want(t, 1, getStatus, `"open"`)
	s.Ticketd.Kill()

	m.want(t, 0, setClosed, "true")
	m.want(t, 0, getStatus, `"closed"`)
	m.eval(t, 1, newPage)
	m.want(t, 1, getStatus, `"closed"`)
	m.want(t, 1, `return metadata_exists( 'post', 812, '_wpas_status' );`, "true")
	m.want(t, 1, `return wp_cache_get( 812, 'post_meta' );`, "false")
	m.want(t, 1, `return delete_post_meta( 812, '_wpas_status' );`, "false")

	if err := s.Ticketd.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.eval(t, 1, newPage)
	m.want(t, 1, getStatus, `"closed"`)
	m.want(t, 0, flushMeta, "true")
	if got := m.status(t, 812); got != "closed" {
		t.Errorf("MySQL has %q after the outage", got)
	}
	m.want(t, 0, getStatus, `"closed"`)
	noNotices(t, s)
}

// A row that another transaction has locked delays a page by query_wait; the answer is old, reported, and not kept.
func TestMetaStaleQuery(t *testing.T) {
	t.Parallel()
	s := newMetaStack(t, behind+metaKeys, true, testenv.StackOptions{})
	m := newWPMeta(t, s.WordPress, s.MariaDB.DB(t, testenv.StackDatabase))
	m.post(t, 812)
	m.want(t, 1, byStatus("closed"), "[]")
	lock, err := m.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback() }()
	if _, err := lock.ExecContext(t.Context(), "UPDATE wp_postmeta SET meta_value = 'locked' WHERE post_id = 812"); err != nil {
		t.Fatal(err)
	}
	m.want(t, 0, setClosed, "true")
	m.eval(t, 1, `$GLOBALS['stale'] = array();
		add_action( 'ticketd_stale_query', function ( $sql, $age ) { $GLOBALS['stale'][] = $age >= 0; }, 10, 2 );`)
	m.want(t, 1, `$begin = hrtime( true );
		new WP_Query( array( 'post_type' => 'ticket', 'meta_key' => '_wpas_status', 'meta_value' => 'closed' ) );
		new WP_Query( array( 'post_type' => 'ticket', 'meta_key' => '_wpas_status', 'meta_value' => 'none' ) );
		return hrtime( true ) - $begin < 3000000000;`, "true")
	m.want(t, 1, byStatus("closed"), "[]")
	m.want(t, 1, `return $GLOBALS['stale'];`, "[true]")
	m.want(t, 1, getStatus, `"closed"`)
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	m.eval(t, 1, newPage)
	m.want(t, 1, byStatus("closed"), "[812]")
	noNotices(t, s)
}

// What is deleted stays deleted, whatever was pending.
func TestMetaDeletions(t *testing.T) {
	t.Parallel()
	s := newMetaStack(t, behind+metaKeys, false, testenv.StackOptions{})
	m := newWPMeta(t, s.WordPress, s.MariaDB.DB(t, testenv.StackDatabase))
	m.post(t, 812)
	m.eval(t, 0, `for ( $i = 0; $i < 50; $i++ ) {
		wp_insert_post( array( 'import_id' => 900 + $i, 'post_type' => 'ticket', 'post_status' => 'publish', 'post_title' => 'x',
			'meta_input' => array( '_wpas_status' => "s$i", '_wpas_note' => 'n' ) ) );
	}`)
	m.want(t, 1, `return delete_post_meta_by_key( '_wpas_note' );`, "true")
	m.want(t, 0, flushMeta, "true")
	var left int
	const count = "SELECT COUNT(*) FROM wp_postmeta WHERE meta_key = '_wpas_note'"
	if err := m.db.QueryRowContext(t.Context(), count).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows of a key that was deleted (%v)", left, err)
	}

	m.want(t, 0, setClosed, "true")
	m.eval(t, 1, newPage)
	m.want(t, 1, `return delete_post_meta( 812, '_wpas_status', 'closed' );`, "true")
	m.want(t, 1, getStatus, `""`)
	m.want(t, 1, flushMeta, "true")
	m.eval(t, 0, newPage)
	m.want(t, 0, getStatus, `""`)
	m.want(t, 0, setClosed, "true")
	m.want(t, 0, `return (bool) wp_delete_post( 812, true );`, "true")
	m.want(t, 0, flushMeta, "true")
	if got := m.status(t, 812); got != "" {
		t.Errorf("a deleted post has the status %q", got)
	}
	// A late change, of a process that has not seen the deletion.
	late := exec.CommandContext(t.Context(), testenv.TicketdBinary(t),
		"set", "812", "status=late", "--socket", s.Socket, "--site", "desk")
	if out, err := late.CombinedOutput(); err == nil || !strings.Contains(string(out), "not_found") {
		t.Errorf("a late change of a deleted post: %v\n%s", err, out)
	}
	m.want(t, 0, flushMeta, "true")
	if got := m.status(t, 812); got != "" {
		t.Errorf("a deleted post has the status %q after a late change", got)
	}
	noNotices(t, s)
}

// To deactivate the plugin flushes, and WordPress writes all metadata itself again.
func TestMetaGoesBack(t *testing.T) {
	t.Parallel()
	s := newMetaStack(t, behind+metaKeys, false, testenv.StackOptions{})
	m := newWPMeta(t, s.WordPress, s.MariaDB.DB(t, testenv.StackDatabase))
	m.post(t, 812)
	if out := cli(t, s, nil, 0, "meta", "status", "--format=count"); strings.TrimSpace(out.Stdout) != "2" {
		t.Errorf("meta status prints %s%s", out.Stdout, out.Stderr)
	}
	out, err := s.WordPress.CLI(t.Context(), nil, "ticketd", "doctor", "--format=csv")
	if err != nil || !strings.Contains(out.Stdout, "metadata,good") {
		t.Errorf("doctor says (%v)\n%s%s", err, out.Stdout, out.Stderr)
	}
	m.want(t, 0, setClosed, "true")
	cli(t, s, nil, 0, "meta", "uninstall")
	if got := m.status(t, 812); got != "closed" {
		t.Errorf("MySQL has %q after the end", got)
	}
	page := `$id = 812; update_post_meta( $id, '_wpas_status', 'again' ); echo get_post_meta( $id, '_wpas_status', true );`
	if got := run(t, s, page); got != "again" {
		t.Errorf("WordPress reads %q after the end", got)
	}
	if got := m.status(t, 812); got != "again" {
		t.Errorf("MySQL has %q after WordPress' own write", got)
	}
	if _, err := os.Stat(filepath.Join(s.WordPress.Root(), "wp-content", "mu-plugins", "ticketd-meta.php")); !os.IsNotExist(err) {
		t.Errorf("the loader is still there: %v", err)
	}
}
