package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// secondDatabase is the database of a second WordPress of a stack's user, with the same name wp_support_tickets for its
// table.
const secondDatabase = "shop2"

// secondWordPress starts another WordPress of the stack's user, on its own database and the stack's daemon.
func secondWordPress(t *testing.T, s *testenv.Stack, config string) *testenv.WordPress {
	t.Helper()
	if err := s.MariaDB.CreateDatabase(t.Context(), secondDatabase); err != nil {
		t.Fatal(err)
	}
	w, err := testenv.StartWordPress(t.Context(), testenv.Folder(t), testenv.WordPressOptions{
		MariaDB: s.MariaDB, Database: secondDatabase, Plugins: []string{filepath.Join("..", "..", "php-client", "ticketd")},
		Config: fmt.Sprintf("define( 'TICKETD_SOCKET', '%s' );\ndefine( 'TICKETD_SPOOL', '%s' );\n%s", s.Socket, s.Spool(), config),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Stop() })
	return w
}

// Two WordPress of the same Unix user, without the name of a site: while the second has no section in ticketd.toml it is
// refused, sees none of the first's tickets, spools nothing, and Site Health is red. With a section each has its own tickets.
func TestTwoWordPressOfOneUser(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{NoRedis: true})
	second := secondWordPress(t, s, "")
	shop := func(code string) string {
		t.Helper()
		out, err := second.Run(t.Context(), code)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	const create = `$made = ticketd_create_ticket( array( 'subject' => 'private of ' . DB_NAME, 'customer_id' => 1 ) );
		echo is_wp_error( $made ) ? $made->get_error_code() : $made;`
	if out := run(t, s, create); out != "1" {
		t.Fatalf("the first shop's ticket: %s", out)
	}
	out := shop(`
		$calls = array(
			ticketd_get_ticket( 1 ), ticketd_get_tickets( array( 1 ) ), ticketd_list_tickets(), ticketd_count_tickets(),
			ticketd_create_ticket( array( 'subject' => 'x' ) ), ticketd_set_ticket( 1, array( 'subject' => 'x' ) ),
			ticketd_set_tickets( array( 1 => array( 'subject' => 'x' ) ) ), ticketd_delete_ticket( 1 ), ticketd_flush(),
			ticketd_status(),
		);
		foreach ( $calls as $call ) {
			echo is_wp_error( $call ) ? $call->get_error_code() : wp_json_encode( $call ), ' ';
		}
		echo $calls[0]->get_error_message();`)
	if !strings.HasPrefix(out, strings.Repeat("ticketd_forbidden ", 10)) ||
		!strings.Contains(out, "wordpress.wp_support_tickets (site main)") || !strings.Contains(out, "client_table") {
		t.Errorf("a shop without a site: %s", out)
	}
	out = shop(`
		$user = wp_create_user( 'bob', 'x', 'b@example.org' );
		wp_set_current_user( $user );
		$r = rest_do_request( new WP_REST_Request( 'GET', '/ticketd/v1/tickets/1' ) );
		echo $r->get_status(), wp_json_encode( $r->get_data() ), do_shortcode( '[ticketd_my_tickets]' );
		$tests = apply_filters( 'site_status_tests', array( 'direct' => array() ) )['direct'];
		$test  = call_user_func( $tests['ticketd_connection']['test'] );
		echo ' health: ', $test['status'], ' ', $test['label'];`)
	if !strings.HasPrefix(out, "403") || strings.Contains(out, "private") || strings.Contains(out, "wordpress.") ||
		!strings.HasSuffix(out, "health: critical ticketd does not serve this site") {
		t.Errorf("what its customers and its administrator see: %s", out)
	}
	if files, err := filepath.Glob(filepath.Join(s.Spool(), "*", "*.frame")); err != nil || len(files) > 0 {
		t.Errorf("it spooled %v (%v)", files, err)
	}

	config := s.Config("[sites.shop2]\nkey_prefix = \"shop2:\"\ndsn = " + fmt.Sprintf("%q", s.MariaDB.DSN(secondDatabase)))
	if err := s.Ticketd.WriteConfig(config); err != nil {
		t.Fatal(err)
	}
	if err := s.Ticketd.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out := shop(create); out != "1" {
		t.Errorf("the second shop's ticket: %s", out)
	}
	for name, do := range map[string]func(string) string{
		testenv.StackDatabase: func(code string) string { return run(t, s, code) }, secondDatabase: shop,
	} {
		out := do(`echo wp_json_encode( ticketd_flush() ), ticketd_get_ticket( 1 )['fields']['subject'], '|', ticketd_count_tickets(),
			'|', $wpdb->get_var( 'SELECT subject FROM wp_support_tickets' );`)
		if want := fmt.Sprintf("private of %s|1|private of %[1]s", name); !strings.HasSuffix(out, want) {
			t.Errorf("%s: %s, want %s", name, out, want)
		}
	}
}

// A staging clone on the host of production: its wp-config.php names production's site, its tables have production's identity.
// What it spools while the daemon is away stays where it is afterwards, and the status says so; production's tickets are as they
// were.
func TestSpoolOfAClone(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{NoRedis: true})
	run(t, s, `ticketd_create_ticket( array( 'subject' => 'of production' ) ); ticketd_flush();`)
	clone := secondWordPress(t, s, "define( 'TICKETD_SITE', 'main' );\n")
	db := s.MariaDB.DB(t, secondDatabase)
	for _, name := range []string{"wp_support_tickets", "wp_support_tickets_seq", "wp_support_tickets_identity"} {
		runSQL(t, db, "DROP TABLE IF EXISTS "+name)
		runSQL(t, db, "CREATE TABLE "+name+" LIKE "+testenv.StackDatabase+"."+name)
		//nolint:unqueryvet // a copy has all columns
		runSQL(t, db, "INSERT INTO "+name+" SELECT * FROM "+testenv.StackDatabase+"."+name)
	}
	s.Ticketd.Kill()
	out, err := clone.Run(t.Context(), `
		echo ticketd_set_ticket( 1, array( 'subject' => 'of staging' ) ), '|', ticketd_get_ticket( 1 )['fields']['subject'], '|';
		echo is_int( ticketd_create_ticket( array( 'subject' => 'of staging' ) ) ) ? 'spooled' : 'refused';`)
	if err != nil || out != "0|of staging|spooled" {
		t.Fatalf("the clone without the daemon: %s (%v)", out, err)
	}
	if out := run(t, s, `echo ticketd_get_ticket( 1 )['fields']['subject'];`); out != "of production" {
		t.Errorf("production shows the clone's change: %s", out)
	}
	if err := s.Ticketd.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	out = run(t, s, `ticketd_flush();
		echo wp_json_encode( $wpdb->get_col( 'SELECT subject FROM wp_support_tickets' ) ), ticketd_status()['spool']['bad'];`)
	if out != `["of production"]0` {
		t.Errorf("production's tickets, and the files in bad/: %s", out)
	}
	files, err := filepath.Glob(filepath.Join(s.Spool(), "*", "*.frame"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v (%v)", files, err)
	}
	if out := run(t, s, `echo implode( '|', ticketd_status()['warnings'] );`); !strings.Contains(out, "another table") {
		t.Errorf("the warnings: %s", out)
	}
}

// The clients' names of the table, and the configuration's.
func TestTableOfAClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{noRedis: true})
	var database string
	if err := r.db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	text := r.text
	for _, o := range []struct {
		config  string
		served  []string
		refused []string
	}{
		{"", []string{"", "DB.wp_support_tickets"},
			[]string{"other.wp_support_tickets", "DB.wp_2_support_tickets", "DB.WP_support_tickets"}},
		{"table = \"wp_support_tickets\"\ntable_prefix = \"shop_\"", []string{"DB.wp_support_tickets", "DB.shop_support_tickets"},
			[]string{"other.shop_support_tickets"}},
		{"client_table = \"alias.wp_support_tickets\"", []string{"", "alias.wp_support_tickets"}, []string{"DB.wp_support_tickets"}},
		{"client_table = \"*\"", []string{"", "other.any"}, nil},
	} {
		if err := r.WriteConfig(text + o.config + "\n"); err != nil {
			t.Fatal(err)
		}
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := r.dial(t)
		for i, table := range append(o.served, o.refused...) {
			c.Table = strings.Replace(table, "DB", database, 1)
			_, err := c.Status(t.Context())
			refused := errors.Is(err, &protocol.Error{Code: protocol.CodeForbidden})
			if refused != (i >= len(o.served)) || !refused && err != nil {
				t.Errorf("%q, a client of %q: %v", o.config, c.Table, err)
			}
		}
	}
}

// A second site is added while changes without a site are pending in the spool: each change goes to the site with its table,
// or its table's identity.
func TestSpoolWhenASiteIsAdded(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{noRedis: true})
	c := r.dial(t)
	var database, identity string
	for id := int64(1); id <= 2; id++ {
		if _, err := c.Set(t.Context(), set(id, "subject", "before")); err != nil {
			t.Fatal(err)
		}
	}
	flushed(t, c)
	row := r.db.QueryRowContext(t.Context(), "SELECT DATABASE(), identity FROM wp_support_tickets_identity WHERE id = 1")
	if err := row.Scan(&database, &identity); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	sp := &spooler{dir: r.own()}
	for id := int64(1); id <= 2; id++ {
		p := set(id, "subject", "spooled")
		p.RequestID, p.Remember = fmt.Sprint("r", id), 10*time.Minute
		if p.Identity = identity; id == 2 {
			p.Identity, p.Table = "", database+".wp_support_tickets"
		}
		sp.put(t, protocol.MethodSet, id, &p)
	}
	_, site, _ := strings.Cut(r.text, "[sites.main]")
	r.text += "[sites.shop]\n" + strings.Replace(site, `key_prefix = ""`, `key_prefix = "shop:"`, 1) + "table_prefix = \"shop_\"\n"
	if err := r.WriteConfig(r.text); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = r.dial(t)
	c.Site = "main"
	flushed(t, c)
	for id := int64(1); id <= 2; id++ {
		if got := column(t, r.db, "subject", id); got != "spooled" {
			t.Errorf("ticket %d has the subject %q, want the spooled one", id, got)
		}
	}
}
