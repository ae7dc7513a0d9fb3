package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// awesomeSession is what Awesome Support wants of a library that it does not bring along.
const awesomeSession = `<?php
class WP_Session extends ArrayObject {
	private static $one;
	public static function get_instance() {
		self::$one = self::$one ?? new self();
		return self::$one;
	}
	public function regenerate_id( $delete_old = false ) {}
	public function json_out() { return json_encode( $this->getArrayCopy() ); }
	public static function write_data() {}
}
`

// awesomeLoader loads the classes of the plugin's REST interface, as its Composer's does.
const awesomeLoader = `<?php
spl_autoload_register( function ( $name ) {
	$file = dirname( __DIR__ ) . '/includes/rest-api/includes/' . strtr( substr( $name, 9 ), '\\', '/' ) . '.php';
	if ( 0 === strpos( $name, 'WPAS_API\\' ) && is_file( $file ) ) {
		require $file;
	}
} );
`

// awesomePlugin is a copy of the plugin in TICKETD_TEST_AWESOME_SUPPORT, with stand-ins of its libraries.
func awesomePlugin(t *testing.T) string {
	t.Helper()
	source := os.Getenv("TICKETD_TEST_AWESOME_SUPPORT")
	if source == "" {
		t.Skip("there is no Awesome Support: TICKETD_TEST_AWESOME_SUPPORT names the folder of its version 6.3")
	}
	folder := filepath.Join(t.TempDir(), "awesome-support")
	if err := os.CopyFS(folder, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(folder, "vendor", "ericmann", "wp-session-manager")
	if err := os.MkdirAll(library, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(library, "wp-session-manager.php"), awesomeSession)
	writeFile(t, filepath.Join(folder, "vendor", "autoload.php"), awesomeLoader)
	return folder
}

// awesomeCounts are the statements that PHP has sent.
type awesomeCounts struct {
	Ticket     int64    `json:"ticket"`
	Status     string   `json:"status"`
	Writes     int      `json:"writes"`
	Postmeta   int      `json:"postmeta"`
	Selects    int      `json:"selects"`
	Statements []string `json:"statements"`
}

// awesomeSteps are a ticket's life.
var awesomeSteps = []string{
	"open", "customer_reply", "agent_reply", "agent_reply", "state", "assign", "close", "reopen", "close",
}

// awesomeUsers is a further site of the daemon: the agents' counter.
const awesomeUsers = `[sites.agents]
dsn = DSN
kind = "usermeta"
table_prefix = "wp_"
key_prefix = "agents:"
` + behind + `[sites.agents.keys]
open_tickets = "wp_wpas_open_tickets"
`

// awesomeStep does a step in a PHP process of its own.
func awesomeStep(t *testing.T, w *testenv.WordPress, step string, ticket int64) awesomeCounts {
	t.Helper()
	code, err := os.ReadFile(filepath.Join("testdata", "awesome_life.php"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.Run(t.Context(), string(code), step, strconv.FormatInt(ticket, 10))
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var counts awesomeCounts
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &counts); err != nil {
		t.Fatalf("%s: %v\n%s", step, err, out)
	}
	return counts
}

// awesomeLife leads a ticket through its life.
func awesomeLife(t *testing.T, w *testenv.WordPress, name string) (total awesomeCounts) {
	t.Helper()
	var table strings.Builder
	for _, step := range awesomeSteps {
		counts := awesomeStep(t, w, step, total.Ticket)
		fmt.Fprintf(&table, "%-15s %3d / %2d / %3d\n", step, counts.Writes, counts.Postmeta, counts.Selects)
		total.Ticket, total.Status = counts.Ticket, counts.Status
		total.Writes += counts.Writes
		total.Postmeta += counts.Postmeta
		total.Selects += counts.Selects
		total.Statements = append(total.Statements, counts.Statements...)
	}
	t.Logf("%s: writes, of them on wp_postmeta, SELECTs\n%sin all          %3d / %2d / %3d",
		name, table.String(), total.Writes, total.Postmeta, total.Selects)
	return total
}

// awesomeRows are a ticket's metadata and the agents' counters; times are told from texts alone, as two lives differ in them.
func awesomeRows(t *testing.T, db *sql.DB, ticket int64) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT meta_key, meta_value FROM wp_postmeta WHERE post_id = ?"+
		" UNION ALL SELECT CONCAT(user_id, meta_key), meta_value FROM wp_usermeta WHERE meta_key LIKE '%wpas_open_tickets'"+
		" ORDER BY 1", ticket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var text strings.Builder
	for rows.Next() {
		var key string
		var value sql.NullString
		if err := rows.Scan(&key, &value); err != nil {
			t.Fatal(err)
		}
		if len(value.String) == len("2026-11-30 17:00:00") && strings.Count(value.String, ":") == 2 {
			value.String = "a time"
		}
		fmt.Fprintf(&text, "%s %v %q\n", key, value.Valid, value.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// A ticket's life in the real Awesome Support ends in rows that are equal to those without ticketd, PHP sends no statement that
// writes wp_postmeta, and the daemon needs few transactions: one for each query that must be fresh.
func TestMetaAwesomeSupport(t *testing.T) {
	t.Parallel()
	plugin := awesomePlugin(t)
	source := testenv.WordPressSource(t, testenv.Newest)
	without := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	if err := without.CreateDatabase(t.Context(), "plain"); err != nil {
		t.Fatal(err)
	}
	plain := testenv.NewWordPress(t, testenv.WordPressOptions{
		MariaDB: without, Database: "plain", Source: source, Plugins: []string{plugin},
	})
	awesomeStep(t, plain, "setup", 0)
	core := awesomeLife(t, plain, "without ticketd")

	for name, more := range map[string]string{"posts": "", "posts and users": awesomeUsers} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMetaStack(t, behind+"preset = \"awesome-support\"\n"+more, false,
				testenv.StackOptions{Source: source, Plugins: []string{plugin}})
			db := s.MariaDB.DB(t, testenv.StackDatabase)
			awesomeStep(t, s.WordPress, "setup", 0)
			before := commits(t, db)
			taken := awesomeLife(t, s.WordPress, "with ticketd")
			flushes := commits(t, db) - before
			t.Logf("%d transactions of the daemon", flushes)
			run(t, s, `foreach ( array( 'post', 'user' ) as $type ) { Ticketd\WordPress\Meta\Adapter::instance()->flush( $type ); }`)
			if want, got := awesomeRows(t, without.DB(t, "plain"), core.Ticket), awesomeRows(t, db, taken.Ticket); want != got {
				t.Errorf("rows with ticketd\n%s\nwithout\n%s", got, want)
			}
			if taken.Postmeta > 0 {
				t.Errorf("PHP sent %d statements:\n%s", taken.Postmeta, strings.Join(taken.Statements, "\n"))
			}
			if flushes > 6 {
				t.Errorf("%d transactions of the daemon, want 6 at most", flushes)
			}
			if lines, err := s.WordPress.PHPFPM.Errors("/plugins/ticketd/"); err != nil || len(lines) > 0 {
				t.Errorf("PHP reported (%v):\n%s", err, strings.Join(lines, "\n")) // Awesome Support itself loads texts too early
			}
		})
	}
}

// commits counts the transactions that the server has committed; WordPress begins none.
func commits(t *testing.T, db *sql.DB) int64 {
	t.Helper()
	var name string
	var count int64
	if err := db.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Com_commit'").Scan(&name, &count); err != nil {
		t.Fatal(err)
	}
	return count
}
