package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// mirrorSource is a help desk with tables of its own, added after the first queries of a page, as a theme does.
const mirrorSource = `add_action( 'plugins_loaded', function () { $GLOBALS['wpdb']->query( 'SELECT 1' ); }, PHP_INT_MAX );
add_action( 'init', function () {
	add_filter( 'ticketd_mirror_sources', function ( $sources ) {
		return $sources + array( 'desk' => array(
			'tables' => array( 'desk_tickets', 'desk_archive' ),
			'joins'  => 'LEFT JOIN {prefix}desk_states s ON s.id = t.state',
			'fields' => array( 'subject' => 'LEFT(t.title, 255)', 'status' => 's.name', 'created_at' => 't.made',
				'updated_at' => 't.changed', 'mood' => 't.mood' ),
			'local'  => array( 'made', 'created_at' ),
		) );
	} );
} );
add_filter( 'pre_option_timezone_string', function () { return 'Europe/Berlin'; } );`

// mirrorTables are the help desk's tables, with three tickets.
var mirrorTables = []string{
	`CREATE TABLE wp_desk_tickets (id bigint unsigned NOT NULL auto_increment PRIMARY KEY, title text, state int NOT NULL default 1,
		mood varchar(20), made datetime, changed datetime)`,
	"CREATE TABLE wp_desk_archive LIKE wp_desk_tickets",
	"CREATE TABLE wp_desk_states (id int NOT NULL PRIMARY KEY, name varchar(32) NOT NULL)",
	"INSERT INTO wp_desk_states VALUES (1,'open'),(2,'closed')",
	`INSERT INTO wp_desk_tickets VALUES (1,'a',1,NULL,'2026-07-01 12:00:00','2026-07-01 12:00:00'),
		(2,'b',2,'good','2026-07-01 12:00:00','2026-07-01 12:00:00'),(3,NULL,1,NULL,NULL,NULL)`,
}

// mirror is a site that mirrors a help desk.
type mirror struct {
	s  *testenv.Stack
	db *sql.DB
}

// cli runs `wp ticketd mirror`, and returns the exit code and what was printed.
func (m *mirror) cli(t *testing.T, args ...string) (code int, printed string) {
	t.Helper()
	out, err := m.s.WordPress.CLI(t.Context(), nil, append([]string{"ticketd", "mirror"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out.Code, out.Stdout + out.Stderr
}

// page runs PHP as a page, whose end copies what it has changed.
func (m *mirror) page(t *testing.T, code string) string {
	t.Helper()
	return run(t, m.s, "global $wpdb;\n"+code)
}

// exec changes the database past WordPress.
func (m *mirror) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := m.db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// want fails unless ticketd's tickets have that subject, status and mood.
func (m *mirror) want(t *testing.T, when string, want ...string) {
	t.Helper()
	got := m.page(t, `$all = array();
		foreach ( range( 1, 60 ) as $id ) {
			$ticket = ticketd_get_ticket( $id );
			if ( ! is_wp_error( $ticket ) ) {
				$all[] = "$id " . implode( ' ', array_map( fn( $name ) => $ticket['fields'][ $name ] ?? '-',
					array( 'subject', 'status', 'mood' ) ) );
			}
		}
		echo implode( '|', $all );`)
	if got != strings.Join(want, "|") {
		t.Errorf("%s: ticketd has\n%s, want\n%s", when, got, strings.Join(want, "|"))
	}
}

// A help desk with tables of its own is mirrored: what a page changes is in ticketd when the page has ended, however the
// statements look; what is changed past WordPress is found by verify. Tickets of ticketd's own are left alone.
func TestMirror(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, MustUse: mirrorSource})
	m := &mirror{s, s.MariaDB.DB(t, testenv.StackDatabase)}
	if code, printed := m.cli(t, "start", "desk"); code == 0 || !strings.Contains(printed, "no table wp_desk_tickets") {
		t.Errorf("without its tables: exit code %d\n%s", code, printed)
	}
	for _, query := range mirrorTables {
		m.exec(t, query)
	}
	m.page(t, `ticketd_set_ticket( 50, array( 'subject' => 'own' ) );`)
	if code, printed := m.cli(t, "start", "desk"); code != 0 ||
		!strings.Contains(printed, "Tickets compared: 3. Changes copied: 3.") {
		t.Errorf("start: exit code %d\n%s", code, printed)
	}
	m.want(t, "after the start", "1 a open -", "2 b closed good", "3  open -", "50 own open -")
	const times = `$fields = ticketd_get_ticket( 1 )['fields']; echo $fields['created_at'], ' ', $fields['updated_at'];`
	if got := m.page(t, times); got != "2026-07-01 10:00:00 2026-07-01 12:00:00" {
		t.Errorf("times %s: the first is in the blog's time zone, the second in UTC", got)
	}

	m.page(t, `$desk = $wpdb->prefix . 'desk_tickets';
		$wpdb->update( $desk, array( 'title' => "it's WHERE id = 9" ), array( 'id' => 1 ) );
		$wpdb->query( "UPDATE $desk SET mood = 'bad' WHERE $desk.id IN (2, 3)" );
		$wpdb->insert( $wpdb->postmeta, array( 'post_id' => 1, 'meta_key' => 'x' ) );
		$wpdb->query( "INSERT INTO $desk (title) VALUES ('Où')" );
		$wpdb->insert( $desk, array( 'title' => 'given', 'id' => 20 ) );
		$wpdb->query( "INSERT INTO {$wpdb->prefix}desk_archive SELECT $desk.* FROM $desk WHERE id = 2" );
		$wpdb->query( "DELETE FROM $desk WHERE id = 2" );
		$wpdb->delete( $desk, array( 'id' => 3 ) );
		$wpdb->query( 'START TRANSACTION' );
		$wpdb->update( $desk, array( 'mood' => 'undone' ), array( 'id' => 1 ) );
		$wpdb->query( 'ROLLBACK' );`)
	m.want(t, "after a page", "1 it's WHERE id = 9 open -", "2 b closed bad", "4 Où open -", "20 given open -", "50 own open -")

	// Another process changes the row while this page copies an older value of it.
	m.page(t, fmt.Sprintf(`add_filter( 'ticketd_ticket_fields', function ( $fields ) {
			static $done = false;
			if ( ! $done ) {
				$done = true;
				$other = new wpdb( DB_USER, DB_PASSWORD, DB_NAME, DB_HOST );
				$other->update( '%[1]s', array( 'mood' => 'newest' ), array( 'id' => 4 ) );
			}
			return $fields;
		} );
		$wpdb->update( '%[1]s', array( 'mood' => 'older' ), array( 'id' => 4 ) );`, "wp_desk_tickets"))
	m.want(t, "after a race", "1 it's WHERE id = 9 open -", "2 b closed bad", "4 Où open newest", "20 given open -", "50 own open -")

	// A statement without ids: the watchdog's next look. An id that is a ticket of ticketd's own.
	m.page(t, `$wpdb->query( "UPDATE wp_desk_tickets SET state = 2 WHERE title = 'given'" );
		$wpdb->insert( 'wp_desk_tickets', array( 'title' => 'theirs', 'id' => 50 ) );`)
	m.page(t, `do_action( 'ticketd_watchdog' );`)
	m.want(t, "after a look", "1 it's WHERE id = 9 open -", "2 b closed bad", "4 Où open newest", "20 given closed -",
		"50 own open -")
	m.exec(t, "DELETE FROM wp_desk_tickets WHERE id = 50")

	m.exec(t, "UPDATE wp_desk_tickets SET mood = 'past' WHERE id = 1")
	m.exec(t, "DELETE FROM wp_desk_tickets WHERE id = 4")
	m.exec(t, "INSERT INTO wp_desk_tickets (id,title) VALUES (30,'past')")
	m.page(t, `ticketd_flush();`)
	if code, printed := m.cli(t, "verify"); code != 1 || strings.Count(printed, "\n") < 4 ||
		!strings.Contains(printed, "differ: 3") {
		t.Errorf("verify: exit code %d\n%s", code, printed)
	}
	if code, printed := m.cli(t, "verify", "--no-repair"); code != 1 || !strings.Contains(printed, "Changes copied: 0.") {
		t.Errorf("verify --no-repair: exit code %d\n%s", code, printed)
	}
	if code, printed := m.cli(t, "verify", "--repair"); code != 0 || !strings.Contains(printed, "Changes copied: 3.") {
		t.Errorf("repair: exit code %d\n%s", code, printed)
	}
	want := []string{"1 it's WHERE id = 9 open past", "2 b closed bad", "20 given closed -", "30 past open -", "50 own open -"}
	m.want(t, "after a repair", want...)

	m.long(t)
	m.asked(t)
	m.moved(t)
	m.gone(t, want)
	if code, printed := m.cli(t, "stop"); code != 0 {
		t.Errorf("stop: exit code %d\n%s", code, printed)
	}
	const left = `echo $wpdb->get_var( "SELECT COUNT(*) FROM wp_options WHERE option_name LIKE 'ticketd_mirror%'" );`
	if got := m.page(t, left); got != "0" {
		t.Errorf("the stop leaves %s options", got)
	}
	m.page(t, `$wpdb->update( 'wp_desk_tickets', array( 'title' => 'later' ), array( 'id' => 1 ) );`)
	m.want(t, "after the stop", want...)
}

// long sends a statement beyond PCRE's limits, whose ids are not known: all tickets are compared.
func (m *mirror) long(t *testing.T) {
	t.Helper()
	const place = `echo get_option( 'ticketd_mirror_place' );`
	if got := m.page(t, place); strings.Contains(got, " all") {
		t.Errorf("before: the next look is at %q", got)
	}
	m.page(t, `$sql   = "UPDATE wp_desk_tickets SET mood = '" . str_repeat( "x\\'", 9999 ) . "' WHERE id = 1";
		$limit = ini_set( 'pcre.backtrack_limit', '100' );
		apply_filters( 'query', $sql );
		ini_set( 'pcre.backtrack_limit', $limit );`)
	if got := m.page(t, place); !strings.HasPrefix(got, "source_ids 0 all") {
		t.Errorf("after a long statement the next look is at %q", got)
	}
}

// asked has all tickets compared while a look is running, which itself began so: the look's end does not undo it.
func (m *mirror) asked(t *testing.T) {
	t.Helper()
	got := m.page(t, `add_filter( 'query', function ( $sql ) {
			static $done = false;
			if ( ! $done && 1 === preg_match( '/FROM .wp_desk_tickets. t /', $sql ) ) {
				$done = true; // As another process does, past this one's cache.
				$here = wp_cache_get( 'ticketd_mirror_place', 'options' );
				Ticketd\WordPress\Mirror\Mirror::look_at_all();
				wp_cache_set( 'ticketd_mirror_place', $here, 'options' );
			}
			return $sql;
		} );
		do_action( 'ticketd_watchdog' );
		echo get_option( 'ticketd_mirror_place' );`)
	if !strings.HasPrefix(got, "source_ids 0 all") {
		t.Errorf("after a look during which all tickets were to be compared, the next is at %q", got)
	}
	if got = m.page(t, `do_action( 'ticketd_watchdog' ); echo get_option( 'ticketd_mirror_place' );`); got != "source_ids 0 few" {
		t.Errorf("after a look at all tickets the next is at %q", got)
	}
}

// moved moves a ticket to the archive while the mirror reads it, after the archive and before the table: the ticket is in
// neither answer, and stays.
func (m *mirror) moved(t *testing.T) {
	t.Helper()
	m.page(t, `ticketd_set_ticket( 20, array( 'priority' => 'of ticketd' ) );`)
	m.page(t, `add_filter( 'query', function ( $sql ) {
			static $done = false;
			if ( ! $done && 1 === preg_match( '/FROM .wp_desk_tickets. t /', $sql ) ) {
				$done  = true;
				$other = new wpdb( DB_USER, DB_PASSWORD, DB_NAME, DB_HOST );
				$other->query( 'INSERT INTO wp_desk_archive (id,title,state) SELECT id, title, state FROM wp_desk_tickets WHERE id = 20' );
				$other->query( 'DELETE FROM wp_desk_tickets WHERE id = 20' );
			}
			return $sql;
		} );
		$wpdb->query( 'UPDATE wp_desk_tickets SET state = state WHERE id = 20' );`)
	if got := m.page(t, `$ticket = ticketd_get_ticket( 20 );
		echo is_wp_error( $ticket ) ? $ticket->get_error_code() : $ticket['fields']['priority'];`); got != "of ticketd" {
		t.Errorf("a ticket that moved while it was read: %q, want the priority that it had", got)
	}
}

// gone drops the help desk's table, and fails if tickets follow it: a table that is not there, or a query that fails, says
// nothing about the tickets.
func (m *mirror) gone(t *testing.T, want []string) {
	t.Helper()
	m.page(t, `add_filter( 'query', fn( $sql ) => str_replace( 'SHOW TABLES', 'FAIL', $sql ) );
		$wpdb->query( 'UPDATE wp_desk_tickets SET state = state WHERE id IN (1, 20)' );
		do_action( 'ticketd_watchdog' );`)
	m.want(t, "after failed queries", want...)
	m.exec(t, "RENAME TABLE wp_desk_tickets TO aside")
	m.page(t, `do_action( 'ticketd_watchdog' ); do_action( 'ticketd_watchdog' );`)
	if code, printed := m.cli(t, "verify", "--repair"); code != 1 || !strings.Contains(printed, "no table wp_desk_tickets") {
		t.Errorf("verify without the table: exit code %d\n%s", code, printed)
	}
	m.want(t, "after the help desk's end", want...)
	m.exec(t, "RENAME TABLE aside TO wp_desk_tickets")
}

// mirrored runs a real help desk: its life in PHP code, and the fields of its ticket in ticketd at each step.
func mirrored(t *testing.T, variable, source, activate string, steps [][2]string) {
	t.Helper()
	plugin := os.Getenv(variable)
	if plugin == "" {
		t.Skipf("there is no %s: %s names its folder", source, variable)
	}
	s := testenv.NewStack(t, testenv.StackOptions{Source: testenv.WordPressSource(t, testenv.Newest), Plugins: []string{plugin}})
	m := &mirror{s, s.MariaDB.DB(t, testenv.StackDatabase)}
	m.page(t, activate)
	m.page(t, ``)
	// Not by WP-CLI: these plugins have commands that need the real one.
	const all = `$all = Ticketd\WordPress\Mirror\Mirror::of_blog( Ticketd\WordPress\Plugin::instance()->api() )->all( false );
		echo json_encode( array_merge( $all['different'], $all['problems'] ) );`
	m.page(t, `update_option( 'ticketd_mirror', '`+source+`', true );`)
	for _, step := range steps {
		m.page(t, step[0])
		got := m.page(t, `$ticket = ticketd_get_ticket( 1 );
			if ( is_wp_error( $ticket ) ) { echo $ticket->get_error_code(); return; }
			foreach ( array( 'customer_name', 'customer_email', 'subject', 'status', 'priority', 'assigned_to' ) as $name ) {
				echo $ticket['fields'][ $name ] ?? '-', '|';
			}`)
		if got != step[1] {
			t.Errorf("%s\nticketd has %s, want %s", step[0], got, step[1])
		}
		if found := m.page(t, all); found != "[]" {
			t.Errorf("%s\nverify finds %s", step[0], found)
		}
	}
}

// The real SupportCandy: a ticket's life.
func TestMirrorOfSupportCandy(t *testing.T) {
	t.Parallel()
	const find = `wp_set_current_user( 1 ); $ticket = new WPSC_Ticket( 1 ); `
	mirrored(t, "TICKETD_TEST_SUPPORTCANDY", "supportcandy", ``, [][2]string{
		{`$customer = WPSC_Customer::insert( array( 'user' => 0, 'name' => 'Ada', 'email' => 'ada@example.com' ) );
			$now = ( new DateTime() )->format( 'Y-m-d H:i:s' );
			WPSC_Ticket::insert( array( 'customer' => $customer->id, 'subject' => 'Où?', 'status' => 1, 'priority' => 1, 'category' => 1,
				'date_created' => $now, 'date_updated' => $now, 'user_type' => 'guest', 'last_reply_by' => $customer->id ) );`,
			"Ada|ada@example.com|Où?|Open|Low|-|"},
		{find + `$agent = WPSC_Agent::insert( array( 'user' => 1, 'name' => 'Bob', 'role' => 1, 'is_active' => 1 ) );
			WPSC_Individual_Ticket::$ticket = $ticket;
			WPSC_Individual_Ticket::change_assignee( array(), array( $agent ), 0 );`, "Ada|ada@example.com|Où?|Open|Low|1|"},
		{find + `WPSC_Individual_Ticket::$ticket = $ticket;
			WPSC_Individual_Ticket::change_status( 1, 4, 0 );`, "Ada|ada@example.com|Où?|Closed|Low|1|"},
		{find + `$ticket->is_active = 0; $ticket->save();`, "Ada|ada@example.com|Où?|Closed|Low|1|"},
		{find + `WPSC_Ticket::destroy( $ticket );`, "ticketd_not_found"},
	})
}

// The real Fluent Support: a ticket's life.
func TestMirrorOfFluentSupport(t *testing.T) {
	t.Parallel()
	const find = `wp_set_current_user( 1 ); $ticket = FluentSupport\App\Models\Ticket::find( 1 );
		$agent = FluentSupport\App\Models\Agent::where( 'user_id', 1 )->first(); `
	mirrored(t, "TICKETD_TEST_FLUENT_SUPPORT", "fluent-support",
		`require_once WP_PLUGIN_DIR . '/fluent-support/database/DBMigrator.php';
			FluentSupport\Database\DBMigrator::run();`, [][2]string{
			{`$customer = FluentSupport\App\Models\Customer::create( array( 'first_name' => 'Ada', 'last_name' => 'L',
				'email' => 'ada@example.com' ) );
				FluentSupport\App\Models\Agent::create( array( 'first_name' => 'Bob', 'email' => 'bob@example.com', 'user_id' => 1 ) );
				FluentSupport\App\Models\Ticket::create( array( 'customer_id' => $customer->id, 'title' => 'Où?', 'content' => 'x',
					'priority' => 'normal', 'mailbox_id' => 1 ) );`, "Ada L|ada@example.com|Où?|new|normal|-|"},
			{find + `$ticket->agent_id = $agent->id; $ticket->priority = 'critical'; $ticket->save();`,
				"Ada L|ada@example.com|Où?|new|critical|1|"},
			{find + `( new FluentSupport\App\Services\Tickets\TicketService() )->close( $ticket, $agent );`,
				"Ada L|ada@example.com|Où?|closed|critical|1|"},
			{find + `( new FluentSupport\App\Services\Tickets\TicketService() )->reopen( $ticket, $agent );`,
				"Ada L|ada@example.com|Où?|active|critical|1|"},
			{find + `( new FluentSupport\App\Services\Tickets\TicketService() )->delete( $ticket );`, "ticketd_not_found"},
		})
}
