package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// step is a use of the guide's functions by a plugin: PHP code that returns a value, with $write, $update and $get, and $id
// of a ticket of its own. If documented is not empty, it is the line of docs/guide.md that says how ticketd's functions
// differ, and guide and ticketd are the two return values.
type step struct {
	name, code     string
	documented     string
	guide, ticketd string
}

var steps = []step{
	{name: "write and read", code: `return array(
		$write( $id, array( 'customer_id' => 7, 'created_at' => 1700000000, 'status' => 'open', 'subject' => 'Où?',
			'category' => 'billing' ) ),
		array_replace( array_flip( array( 'customer_id', 'created_at', 'status', 'subject', 'category' ) ),
			array_diff_key( $get( $id ), array( 'updated_at' => 0 ) ) ) );`},
	{name: "a date of a time", code: `$write( $id, array( 'created_at' => 1700000000 ) );
		return date( 'c', $get( $id )['created_at'] );`},
	{name: "now", code: `$now = time(); $write( $id, array( 'created_at' => $now ) );
		return $get( $id )['created_at'] === $now;`},
	{name: "a field of its own", code: `$write( $id, array( 'order_id' => 'A-9', 'created_at' => 1700000000 ) );
		return $get( $id )['order_id'];`},
	{name: "types", code: `$write( $id, array( 'customer_id' => '7', 'assigned_to' => 3, 'score' => 1.5, 'vip' => true,
			'priority' => 4, 'closed_at' => 1700000000, 'updated_at' => 1700000001 ) );
		$read = $get( $id );
		return array( $read['customer_id'], $read['assigned_to'], $read['score'], $read['vip'], $read['priority'],
			$read['updated_at'] );`},
	{name: "one field", code: `$write( $id, array( 'status' => 'open' ) );
		return array( $update( $id, 'status', 'closed' ), $update( $id, 'customer_id', 12 ), $update( $id, 'updated_at', 1700000000 ),
			$get( $id )['status'], $get( $id )['customer_id'], $get( $id )['updated_at'] );`},
	{name: "merge", code: `$write( $id, array( 'status' => 'open', 'category' => 'a' ) ); $write( $id, array( 'category' => 'b' ) );
		return array( $get( $id )['status'], $get( $id )['category'] );`},
	{name: "no such ticket", code: `return $get( 4000000 + $id );`},
	{name: "a field that was never written", code: `$write( $id, array( 'status' => 'open' ) );
		return isset( $get( $id )['category'] );`},
	{name: "an empty text", code: `$write( $id, array( 'category' => '' ) ); return $get( $id )['category'];`},
	{name: "a text like a date", code: `$write( $id, array( 'subject' => '2023-11-14 22:13:20' ) );
		return $get( $id )['subject'];`},
	{name: "an empty array", code: `$write( $id, array( 'status' => 'a' ) ); return $write( $id, array() );`},
	{name: "html", code: `$write( $id, array( 'subject' => '<b>&amp;</b>' ) ); return $get( $id )['subject'];`},

	{documented: "reads a ticket that it wrote without `created_at`", code: `$write( $id, array( 'category' => 'a' ) );
		$names = array_keys( $get( $id ) ); sort( $names ); return implode( ' ', $names );`,
		guide: `"category"`, ticketd: `"category created_at status subject updated_at"`},
	{documented: "writes null", code: `$write( $id, array( 'category' => null, 'status' => 'a' ) );
		return $get( $id )['category'] ?? 'absent';`,
		guide: `""`, ticketd: `"absent"`},
	{documented: "writes false", code: `$write( $id, array( 'vip' => false ) ); return $get( $id )['vip'];`,
		guide: `""`, ticketd: `"0"`},
	{documented: "writes `ticket_id` among the fields", code: `$done = $write( $id, array( 'ticket_id' => $id, 'status' => 'a' ) );
		return array( $done, isset( $get( $id )['ticket_id'] ) );`, guide: `[true,true]`, ticketd: `[true,false]`},
	{documented: "writes a `customer_id` that is no number", code: `$done = $write( $id, array( 'customer_id' => 'me' ) );
		return array( $done, $get( $id )['customer_id'] ?? 'absent' );`, guide: `[true,0]`, ticketd: `[false,"absent"]`},
	{documented: "writes a subject of 300 characters", code: `return $write( $id, array( 'subject' => str_repeat( 'x', 300 ) ) );`,
		guide: `true`, ticketd: `false`},
	{documented: "writes a time of before 1973 as a number", code: `return array( $write( $id, array( 'created_at' => 2678400 ) ),
		$write( $id, array( 'created_at' => '1970-02-01 00:00:00' ) ) );`, guide: `[true,true]`, ticketd: `[false,true]`},
	{documented: "writes a field whose name begins with `_`", code: `return $write( $id, array( '_lock' => 1 ) );`,
		guide: `true`, ticketd: `false`},
	{documented: "writes to a ticket 0", code: `return $write( 0, array( 'status' => 'a' ) );`, guide: `true`, ticketd: `false`},
	{documented: "writes to a ticket that was deleted in ticketd", code: `$write( $id, array( 'status' => 'a' ) );
		ticketd_delete_ticket( $id );
		return $write( $id, array( 'status' => 'b' ) );`, guide: `true`, ticketd: `false`},
}

// postSteps are the same where a ticket is a post: TICKETD_DROP_IN is "posts".
var postSteps = []step{
	{name: "write and read", code: `return array(
		$write( $id, array( 'customer_id' => 7, 'created_at' => 1700000000, 'status' => 'pending', 'subject' => 'Où? O\'Brien \\n',
			'updated_at' => 1730615400 ) ),
		array_replace( array_flip( array( 'customer_id', 'created_at', 'status', 'subject', 'updated_at' ) ), $get( $id ) ) );`},
	{name: "one field", code: `$write( $id, array( 'status' => 'draft', 'updated_at' => 1700000000 ) );
		return array( $update( $id, 'status', 'closed' ), $update( $id, 'customer_id', '12' ), $get( $id )['status'],
			$get( $id )['customer_id'] );`},
	{name: "numbers", code: `$write( $id, array( 'score' => 1.5, 'vip' => true, 'customer_id' => 3 ) ); $read = $get( $id );
		return array( $read['score'], $read['vip'], $read['customer_id'] );`},
	{name: "false", code: `$write( $id, array( 'vip' => false ) ); return $get( $id )['vip'];`},
	{name: "serialized text", code: `$write( $id, array( 'subject' => 'a:0:{}' ) ); return $get( $id )['subject'];`},
	{name: "no such post", code: `return $get( 4000000 + $id );`},

	{documented: "reads a post that it never wrote", code: `$names = $get( $id ) ? array_keys( $get( $id ) ) : array();
		sort( $names ); return implode( ' ', $names );`, guide: `""`, ticketd: `"status updated_at"`},
	{documented: "writes null to a meta key", code: `$write( $id, array( 'subject' => null ) );
		return $get( $id )['subject'] ?? 'absent';`, guide: `""`, ticketd: `"absent"`},
	{documented: "writes a field that is in neither `keys` nor `posts`", code: `return $write( $id, array( 'mood' => 'good' ) );`,
		guide: `true`, ticketd: `false`},
	{documented: "writes a status that no code has registered", code: `return $write( $id, array( 'status' => 'lost' ) );`,
		guide: `true`, ticketd: `false`},
	{documented: "writes to an id that is no post of the configured types",
		code: `return $write( 4000000 + $id, array( 'subject' => 'x' ) );`, guide: `true`, ticketd: `false`},
	{documented: "writes to a post that was deleted", code: `$write( $id, array( 'subject' => 'x' ) ); wp_delete_post( $id, true );
		return array( $write( $id, array( 'subject' => 'y' ) ), is_array( $get( $id ) ) );`,
		guide: `[true,true]`, ticketd: `[false,false]`},
}

// postSite is a site whose posts are a plugin's own tickets.
const postSite = behind + `post_types = ["ticket"]
[sites.desk.keys]
customer_id = "_customer"
created_at = "_created"
subject = "_subject"
score = "_score"
vip = "_vip"
[sites.desk.posts]
status = "post_status"
updated_at = "post_modified"
updated_gmt = "post_modified_gmt"
`

// The functions on posts: the same differences as docs/guide.md lists; one change for a call; WordPress' actions; get_post_meta
// and get_post return the values, the latter after a flush; times in the blog's time zone, also in the hour that a clock passes
// twice.
func TestGuidesFunctionsOnPosts(t *testing.T) {
	t.Parallel()
	s := newMetaStack(t, postSite, true, testenv.StackOptions{
		Config: "define( 'TICKETD_DROP_IN', 'posts' );",
		MustUse: `add_action( 'init', function () { register_post_type( 'ticket' ); register_post_status( 'closed' ); } );
			add_filter( 'pre_option_timezone_string', function () { return 'America/New_York'; } );`,
	})
	compareGuide(t, s, postSteps, "## Where tickets are posts")
	out := run(t, s, `
		$id = wp_insert_post( array( 'post_type' => 'ticket', 'post_status' => 'publish', 'post_title' => 'x' ) );
		$said = array();
		add_action( 'added_post_meta', function ( $row, $id, $key, $value ) use ( &$said ) {
			$said[] = "added $key=$value " . get_post_meta( $id, '_subject', true ); }, 10, 4 );
		add_action( 'updated_post_meta', function ( $row, $id, $key, $value ) use ( &$said ) {
			$said[] = "updated $key=$value"; }, 10, 4 );
		my_support_plugin_write_ticket_metadata( $id, array( 'customer_id' => 7, 'subject' => 'a', 'status' => 'closed',
			'updated_at' => 1730615400 ) );
		my_support_plugin_write_ticket_metadata( $id, array( 'customer_id' => 7, 'subject' => 'b' ) );
		$said[] = get_post_meta( $id, '_subject', true );
		$said[] = get_post( $id )->post_status;
		$GLOBALS['wpdb']->get_var( "SELECT meta_value FROM {$GLOBALS['wpdb']->postmeta}
			WHERE meta_key = '_subject' AND post_id = $id" );
		foreach ( array( 'post_status', 'post_modified', 'post_modified_gmt' ) as $column ) {
			$said[] = get_post( $id )->$column;
		}
		$said[] = my_support_plugin_get_ticket_metadata( $id )['updated_at'];
		$GLOBALS['wpdb']->query( 'START TRANSACTION' );
		my_support_plugin_write_ticket_metadata( $id, array( 'subject' => 'c', 'status' => 'draft' ) );
		$said[] = my_support_plugin_get_ticket_metadata( $id )['subject'];
		$GLOBALS['wpdb']->query( 'ROLLBACK' );
		clean_post_cache( $id );
		$said[] = my_support_plugin_get_ticket_metadata( $id )['subject'];
		$said[] = my_support_plugin_get_ticket_metadata( $id )['status'];
		echo implode( '|', $said );`)
	want := "added _customer=7 a|added _subject=a a|updated _subject=b|b|publish|" +
		"closed|2024-11-03 01:30:00|2024-11-03 06:30:00|1730615400|updated _subject=c|c|b|closed"
	if out != want {
		t.Errorf("said\n%s, want\n%s", out, want)
	}
}

// The guide's functions and ticketd's do the same with the same input, except for the differences in docs/guide.md; and it
// lists no other differences.
func TestGuidesFunctions(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Config: "define( 'TICKETD_DROP_IN', '1' );"})
	compareGuide(t, s, steps, "## What is different")
	noNotices(t, s)
}

// compareGuide runs steps with the guide's functions and with ticketd's. heading is that of the documented differences.
func compareGuide(t *testing.T, s *testenv.Stack, steps []step, heading string) {
	t.Helper()
	guide := filepath.Join(testenv.Folder(t), "guide.php")
	writeFile(t, guide, guidesFunctions(t))
	script := `
		define( 'SUPPORT_REDIS_SOCKET', $argv[1] );
		define( 'SUPPORT_REDIS_DB', 2 );
		require $argv[2];
		$returned = array();
		$id       = 100;
		foreach ( json_decode( $argv[3] ) as $code ) {
			$id = 'posts' === TICKETD_DROP_IN
				? wp_insert_post( array( 'post_type' => 'ticket', 'post_status' => 'publish', 'post_title' => 'x' ) ) : $id + 1;
			foreach ( array( 'Guide\\', '' ) as $of ) {
				$write      = "{$of}my_support_plugin_write_ticket_metadata";
				$update     = "{$of}my_support_plugin_update_ticket_metadata_field";
				$get        = "{$of}my_support_plugin_get_ticket_metadata";
				$returned[] = wp_json_encode( eval( $code ), JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES );
			}
		}
		echo wp_json_encode( $returned );`
	codes := make([]string, len(steps))
	for i := range steps {
		codes[i] = steps[i].code
	}
	text, err := json.Marshal(codes)
	if err != nil {
		t.Fatal(err)
	}
	var returned []string
	if out := run(t, s, script, s.Redis.Socket(), guide, string(text)); json.Unmarshal([]byte(out), &returned) != nil ||
		len(returned) != 2*len(steps) {
		t.Fatalf("the steps returned:\n%s", out)
	}
	documented := documentedDifferences(t, heading)
	for i, step := range steps {
		guide, ticketd := returned[2*i], returned[2*i+1]
		switch {
		case step.documented == "" && guide != ticketd:
			t.Errorf("%s: the guide's functions return %s and ticketd's %s", step.name, guide, ticketd)
		case step.documented != "" && (guide != step.guide || ticketd != step.ticketd):
			t.Errorf("who %s gets %s and %s, want %s and %s", step.documented, guide, ticketd, step.guide, step.ticketd)
		case step.documented != "" && !documented[step.documented]:
			t.Errorf("docs/guide.md does not have %q", step.documented)
		}
		delete(documented, step.documented)
	}
	if len(documented) > 0 {
		t.Errorf("no step tries %q of docs/guide.md", slices.Collect(maps.Keys(documented)))
	}
}

// guidesFunctions are the functions of the plugin written after the guide, in a namespace.
func guidesFunctions(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/support/support.php")
	if err != nil {
		t.Fatal(err)
	}
	_, functions, found := strings.Cut(string(text), "// --- functions ---")
	functions, _, end := strings.Cut(functions, "// --- page ---")
	if !found || !end {
		t.Fatal("testdata/support/support.php has lost its marks")
	}
	return "<?php\nnamespace Guide;\n" + functions
}

// documentedDifferences are the first column of the table below a heading of docs/guide.md.
func documentedDifferences(t *testing.T, heading string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	found := make(map[string]bool)
	for _, line := range regexp.MustCompile(`(?m)^\| (.+?) \|`).FindAllStringSubmatch(section, -1) {
		if line[1] != "---" && line[1] != "a plugin" {
			found[line[1]] = true
		}
	}
	if len(found) == 0 {
		t.Fatal("docs/guide.md has no table of differences")
	}
	return found
}

// Another plugin defines a function first: its function stays, and doctor, Site Health and a notice name its file.
func TestGuidesFunctionsOfAnotherPlugin(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{
		Debug: true, Config: "define( 'TICKETD_DROP_IN', true );",
		MustUse: "function my_support_plugin_get_ticket_metadata( int $id ) { return array( 'theirs' => 1 ); }",
	})
	out := run(t, s, `
		$api = Ticketd\WordPress\Plugin::instance()->api();
		$checks = new Ticketd\WordPress\Checks( new Ticketd\WordPress\Health( $api ), new Ticketd\WordPress\Settings() );
		foreach ( $checks->all() as $finding ) {
			'drop-in' === $finding['check'] && print( implode( '|', $finding ) . "\n" );
		}
		foreach ( $checks->alerts() as $alert ) {
			echo 'alert ', implode( '|', $alert ), "\n";
		}
		wp_set_current_user( 1 );
		do_action( 'admin_notices' );
		echo json_encode( my_support_plugin_get_ticket_metadata( 1 ) );`)
	problem := regexp.MustCompile(`my_support_plugin_get_ticket_metadata\(\) belong to \S+/mu-plugins/stack\.php:`)
	if n := len(problem.FindAllString(out, -1)); n != 3 || !strings.HasSuffix(out, `{"theirs":1}`) ||
		!strings.Contains(out, "drop-in|site|error|") || !strings.Contains(out, "alert error|") {
		t.Errorf("named %d times instead of 3:\n%s", n, out)
	}
	noNotices(t, s)
}
