package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// In a network each blog has its own tables, site and tickets, whether it existed before the plugin or came later; a deleted
// blog's changes are flushed to MySQL first, and its tables are removed with it.
func TestNetwork(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{
			Debug: true, Source: source, Multisite: true,
			Sites: "[sites.blog-2]\ndsn = DSN\ntable_prefix = \"wp_2_\"\nkey_prefix = \"b2:\"\n" + hourly +
				"[sites.blog-3]\ndsn = DSN\ntable_prefix = \"wp_3_\"\nkey_prefix = \"b3:\"\n" +
				"[sites.tableless]\ndsn = DSN\ntable_prefix = \"wp_9_\"\nkey_prefix = \"b9:\"\nclient_table = \"*\"\n",
		})
		tables := func(prefix string) string { // except for the identity's table, which the daemon makes when it first meets the others
			return run(t, s, `
				$like = $wpdb->esc_like( $argv[1] ) . '%';
				$all  = $wpdb->get_col( $wpdb->prepare( 'SHOW TABLES LIKE %s', $like ) );
				echo implode( ' ', array_diff( $all, array( $argv[1] . '_identity' ) ) );`, prefix)
		}
		if got := tables("wp_support_tickets"); got != "wp_support_tickets wp_support_tickets_seq" {
			t.Errorf("network activation made %q", got)
		}
		run(t, s, `$id = wpmu_create_blog( 'localhost', '/shop/', 'Shop', 1 ); if ( 2 !== $id ) { print_r( $id ); exit( 1 ); }`)
		if got := tables("wp_2_support_tickets"); got != "wp_2_support_tickets wp_2_support_tickets_seq" {
			t.Errorf("the new blog got %q", got)
		}
		out := run(t, s, `
			ticketd_create_ticket( array( 'subject' => 'of the first' ) );
			switch_to_blog( 2 );
			$id = ticketd_create_ticket( array( 'subject' => 'of the second' ) );
			echo is_wp_error( $id ) ? $id->get_error_message() : ticketd_get_ticket( $id )['fields']['subject'];
			restore_current_blog();
			echo '|' . ticketd_get_ticket( 1 )['fields']['subject'] . '|' . ticketd_status()['site'];`)
		if out != "of the second|of the first|main" {
			t.Errorf("two blogs: %q", out)
		}
		// The daemon checks at intervals whether the second blog's table exists; until then its ticket may be pending in the spool.
		testenv.Eventually(t, 10*time.Second, "the spool is empty", func() bool {
			return run(t, s, `echo ticketd_status()['spool']['files'];`) == "0"
		})
		// The second blog's interval is an hour, so its ticket is pending; deleting the blog flushes it before the tables are
		// removed.
		// The tables of its posts' metadata go with it, too.
		run(t, s, `foreach ( array( 'ticketd_revisions', 'postmeta_identity' ) as $name ) {
			$wpdb->query( "CREATE TABLE wp_2_$name (post_id bigint unsigned PRIMARY KEY)" );
		}`)
		out = run(t, s, `
			add_action( 'wp_uninitialize_site', function () { global $wpdb;
				echo $wpdb->get_var( 'SELECT subject FROM wp_2_support_tickets' ); }, 1 );
			require_once ABSPATH . 'wp-admin/includes/admin.php';
			wpmu_delete_blog( 2, true );`)
		if out != "of the second" {
			t.Errorf("before the tables went, the table held %q", out)
		}
		if got := tables("wp_2_"); got != "" {
			t.Errorf("the deleted blog left %q", got)
		}
		// If a flush is not possible, a blog is not deleted.
		run(t, s, `wpmu_create_blog( 'localhost', '/other/', 'Other', 1 );`)
		testBlogWithSpooledChanges(t, s)
		testBlogWithoutASite(t, s)
		s.Ticketd.Kill()
		out = run(t, s, `$result = wp_delete_site( 3 ); echo is_wp_error( $result ) ? $result->get_error_code() : 'deleted';`)
		if out != "ticketd_flush" || !strings.Contains(tables("wp_3_support"), "wp_3_support_tickets") {
			t.Errorf("deleting a blog without the daemon: %q", out)
		}
		noNotices(t, s)
	})
}

// testBlogWithSpooledChanges tries to delete a blog while a ticket is pending in the spool, because the site's table is
// missing: the flush before the deletion is refused, otherwise the ticket would be lost with the blog.
func testBlogWithSpooledChanges(t *testing.T, s *testenv.Stack) {
	t.Helper()
	const tableless = `add_filter( 'ticketd_site', function () { return 'tableless'; }, 20 ); `
	run(t, s, tableless+`ticketd_create_ticket( array( 'subject' => 'waits in the spool' ) );`)
	out := run(t, s, tableless+`$result = wp_delete_site( 3 );
		echo is_wp_error( $result ) ? $result->get_error_message() : 'deleted', '|', ticketd_status()['spool']['files'];`)
	if !strings.Contains(out, "wait in the spool") || !strings.HasSuffix(out, "|1") {
		t.Errorf("deleting a blog while a ticket waits in the spool: %q", out)
	}
}

// testBlogWithoutASite asks from a blog whose site the configuration does not have: root, as whom PHP runs here, and the log
// learn that the site is unknown.
func testBlogWithoutASite(t *testing.T, s *testenv.Stack) {
	t.Helper()
	out := run(t, s, `
		$id = wpmu_create_blog( 'localhost', '/fourth/', 'Fourth', 1 );
		switch_to_blog( $id );
		echo $id, '|', ticketd_get_ticket( 1 )->get_error_message();`)
	if !strings.HasPrefix(out, "4|") || !strings.Contains(out, `has no site "blog-4"`) {
		t.Errorf("a blog without a site is told %q", out)
	}
	log := s.Ticketd.Log()
	if !strings.Contains(log, "a site that the configuration does not have") || !strings.Contains(log, "blog-4") {
		t.Errorf("the log does not name the unknown site:\n%s", log)
	}
}
