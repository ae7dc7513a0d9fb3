package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// hourly is a site whose changes stay pending for an hour without a flush.
const hourly = "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\"\n"

// An update makes the new version's changes once, under a lock; WP-Cron flushes overdue changes and reports; settings come
// from constant, page, filter, default in this order.
func TestPluginsLife(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{
			Debug: true, Source: source, Site: hourly, Config: "define( 'TICKETD_RATE_LIMIT', 3 );",
		})
		db := s.MariaDB.DB(t, testenv.StackDatabase)

		out := run(t, s, `
			$plugin = new Ticketd\WordPress\Installer( WP_PLUGIN_DIR . '/ticketd/ticketd.php' );
			echo get_option( 'ticketd_version' ), '|', var_export( $plugin->upgrade(), true ), '|';
			update_option( 'ticketd_version', '0.0.1' );
			$wpdb->query( 'DROP TABLE wp_support_tickets_seq' );
			$other = new wpdb( DB_USER, DB_PASSWORD, DB_NAME, DB_HOST );
			$lock  = 'ticketd_' . md5( DB_NAME . $wpdb->prefix );
			$other->get_var( "SELECT GET_LOCK('$lock', 0)" );
			echo var_export( $plugin->upgrade(), true ), '|';
			$other->get_var( "SELECT RELEASE_LOCK('$lock')" );
			echo var_export( $plugin->upgrade(), true ), '|', get_option( 'ticketd_version' ), '|';
			echo $wpdb->get_var( "SHOW TABLES LIKE 'wp_support_tickets_seq'" );`)
		if want := "0.1.0|false|false|true|0.1.0|wp_support_tickets_seq"; out != want {
			t.Errorf("upgrading: %q, want %q", out, want)
		}

		out = run(t, s, `
			add_filter( 'ticketd_rate_limit', function () { return 7; } );
			add_filter( 'ticketd_rate_seconds', function () { return 7; } );
			add_filter( 'ticketd_overdue_seconds', function () { return 7; } );
			update_option( 'ticketd_settings', array( 'rate_limit' => 5, 'rate_seconds' => 5 ) );
			$settings = new Ticketd\WordPress\Settings();
			echo $settings->rate_limit(), $settings->rate_seconds(), $settings->overdue_seconds(), $settings->timeout_ms();
			delete_option( 'ticketd_settings' );`)
		if out != "3571000" {
			t.Errorf("constant, page, filter, default: %q, want 3, 5, 7, 1000", out)
		}

		run(t, s, `ticketd_create_ticket( array( 'subject' => 'late' ) );`)
		out = run(t, s, `
			do_action( 'ticketd_watchdog' );
			echo get_option( 'ticketd_watchdog_report' )['state'], '|';
			add_filter( 'ticketd_overdue_seconds', function () { return 1; } );
			usleep( 1100000 ); // a second is the shortest age that is overdue
			add_action( 'ticketd_watchdog_report', function ( $report ) { echo $report['state'], $report['flushed'], '|'; } );
			do_action( 'ticketd_watchdog' );
			echo false === wp_next_scheduled( 'ticketd_watchdog' ) ? 'never' : 'scheduled';`)
		if out != "ok|flushed1|scheduled" || column(t, db, "subject", 1) != "late" {
			t.Errorf("the watchdog: %q, want it to flush what is overdue", out)
		}

		testDeactivation(t, s)
		noNotices(t, s)
	})
}

// testDeactivation deactivates from the plugins page: with the daemon that flushes, without it asks for confirmation. Then it
// uninstalls.
func testDeactivation(t *testing.T, s *testenv.Stack) {
	t.Helper()
	db := s.MariaDB.DB(t, testenv.StackDatabase)
	boss := newVisitor(t, s)
	boss.logIn(t, "boss", "administrator")
	link := regexp.MustCompile(`href="(plugins\.php\?action=deactivate&amp;plugin=ticketd[^"]*)"`)
	deactivate := func() (int, string) {
		_, body := boss.get(t, "/wp-admin/plugins.php")
		found := link.FindStringSubmatch(body)
		if found == nil {
			t.Fatalf("the plugins page has no link: %s", body)
		}
		return boss.get(t, "/wp-admin/"+strings.ReplaceAll(found[1], "&amp;", "&"))
	}
	run(t, s, `ticketd_set_ticket( 1, array( 'status' => 'flushed' ) );`)
	if status, body := deactivate(); status != http.StatusFound || column(t, db, "status", 1) != "flushed" {
		t.Errorf("deactivating: %d, want what waited in MySQL: %s", status, body)
	}
	run(t, s, `require_once ABSPATH . 'wp-admin/includes/plugin.php'; activate_plugin( 'ticketd/ticketd.php' );`)
	s.Ticketd.Kill()
	status, body := deactivate()
	anyway := regexp.MustCompile(`href='?"?([^'"]*ticketd_anyway=1[^'"]*)`).FindStringSubmatch(body)
	if status != http.StatusServiceUnavailable || anyway == nil {
		t.Fatalf("deactivating without the daemon: %d, want to be asked: %s", status, body)
	}
	address, err := url.Parse(strings.NewReplacer("&#038;", "&", "&amp;", "&").Replace(anyway[1]))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := boss.get(t, address.RequestURI()); status != http.StatusFound {
		t.Errorf("deactivating all the same: %d %s", status, body)
	}
	left := func(keep string) string {
		return run(t, s, `
			update_option( 'ticketd_settings', array( 'keep' => $argv[1] ) );
			set_transient( 'ticketd_rate_x', 1, 600 );
			update_option( 'ticketd_version', '0.1.0' );
			require_once ABSPATH . 'wp-admin/includes/plugin.php';
			uninstall_plugin( 'ticketd/ticketd.php' );
			echo $wpdb->get_var( "SELECT COUNT(*) FROM wp_options WHERE option_name LIKE '%ticketd%'" ), '|',
				$wpdb->get_var( "SHOW TABLES LIKE 'wp_support_tickets'" ), '|',
				$wpdb->get_var( "SHOW TABLES LIKE 'wp_ticketd_revisions'" );`, keep)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE wp_ticketd_revisions (post_id bigint unsigned PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	// In this order: each setting keeps less than the former.
	for _, c := range []struct{ keep, want string }{
		{"all", "5|wp_support_tickets|wp_ticketd_revisions"},
		{"tickets", "0|wp_support_tickets|wp_ticketd_revisions"}, {"nothing", "0||"},
	} {
		if got := left(c.keep); got != c.want {
			t.Errorf("uninstalling and keeping %s leaves %q options and table, want %q", c.keep, got, c.want)
		}
	}
}

// WordPress' privacy tools export and erase a person's data in tickets, dirty tickets and dead letters included.
func TestPrivacy(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Source: source, Site: hourly})
		db := s.MariaDB.DB(t, testenv.StackDatabase)
		out := run(t, s, `
			$ann = wp_create_user( 'ann', 'x', 'ann@example.org' );
			ticketd_create_ticket( array( 'subject' => 'by her account', 'customer_id' => $ann, 'message' => 'private' ) );
			ticketd_create_ticket( array( 'subject' => 'by her address', 'customer_email' => 'Ann@example.org',
				'customer_name' => 'Ann' ) );
			$wpdb->query( "ALTER TABLE wp_support_tickets ADD CONSTRAINT good CHECK (status <> 'bad')" );
			ticketd_create_ticket( array( 'subject' => 'a dead letter of hers', 'customer_id' => $ann, 'status' => 'bad' ) );
			ticketd_create_ticket( array( 'subject' => 'somebody else', 'customer_email' => 'bob@example.org' ) );
			// A table that has got the column later: the address is still among the extra fields.
			ticketd_flush();
			$wpdb->query( "UPDATE wp_support_tickets SET customer_email = NULL, extra = '{\"customer_email\": \"Ann@example.org\"}'
				WHERE ticket_id = 2" );
			ticketd_create_ticket( array( 'subject' => 'by her address, too', 'customer_email' => 'Ann@example.org' ) );
			ticketd_create_ticket( array( 'subject' => 'deleted, but hers', 'customer_id' => $ann, 'message' => 'private' ) );
			ticketd_flush(); // A deletion that comes before its ticket leaves nothing of it.
			ticketd_delete_ticket( 6 );
			$export = apply_filters( 'wp_privacy_personal_data_exporters', array() )['ticketd']['callback'];
			$result = $export( 'ann@example.org', 1 );
			echo count( $result['data'] ), var_export( $result['done'], true ), substr_count( wp_json_encode( $result ), 'private' ), '|';
			add_filter( 'ticketd_exported_fields', fn( $fields ) => array_diff_key( $fields, array( 'message' => 1 ) ) );
			echo substr_count( wp_json_encode( $export( 'ann@example.org', 1 ) ), 'private' ), '|';
			ticketd_set_ticket( 1, array( 'message' => 'changed meanwhile' ) );
			$erase  = apply_filters( 'wp_privacy_personal_data_erasers', array() )['ticketd']['callback'];
			$result = $erase( 'ann@example.org', 1 );
			echo is_wp_error( $result ) ? $result->get_error_message() : wp_json_encode( $result ), '|';
			echo count( $export( 'ann@example.org', 1 )['data'] ), count( $export( 'bob@example.org', 1 )['data'] );`)
		want := `5true2|0|{"items_removed":true,"items_retained":false,"messages":[],"done":true}|01`
		if out != want {
			t.Errorf("exporting and erasing: %s, want %s", out, want)
		}
		for _, secret := range []string{"changed meanwhile", "Ann@example.org", "by her", "of hers", "but hers", "private"} {
			var n int
			err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM wp_support_tickets WHERE CONCAT_WS(' ', subject, extra) LIKE ?",
				"%"+secret+"%").Scan(&n)
			if err != nil || n != 0 {
				t.Errorf("MySQL still holds %q in %d tickets (%v)", secret, n, err)
			}
		}
		s.Ticketd.Kill()
		out = run(t, s, `
			$export = apply_filters( 'wp_privacy_personal_data_exporters', array() )['ticketd']['callback'];
			echo is_wp_error( $export( 'ann@example.org', 1 ) ) ? 'refused' : 'half an answer';`)
		if out != "refused" {
			t.Errorf("exporting without the daemon: %s", out)
		}
		noNotices(t, s)
	})
}
