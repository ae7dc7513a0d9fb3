package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// imports runs wp ticketd import in one process after the other. The arguments are the folder of the stand-in for WP-CLI, and the
// steps as JSON. Each step prints a line of JSON: the counts, the warnings and the error.
const imports = `
	foreach ( array( 'wp-cli.php', 'WP_CLI.php', 'Formatter.php' ) as $file ) {
		require_once $argv[1] . '/' . $file;
	}
	$api     = Ticketd\WordPress\Plugin::instance()->api();
	$command = new Ticketd\WordPress\Cli\ImportCommand( $api, new Ticketd\WordPress\Settings() );
	foreach ( json_decode( $argv[2], true ) as $step ) {
		WP_CLI::$printed = WP_CLI::$warnings = array();
		$error = '';
		eval( $step['before'] );
		try {
			$command->{$step['command']}( array( $step['source'] ), $step['options'] );
		} catch ( RuntimeException $e ) {
			$error = $e->getMessage();
		}
		$counts = WP_CLI::$printed[0][1][0] ?? null;
		echo json_encode( array( 'counts' => $counts, 'warnings' => WP_CLI::$warnings, 'error' => $error ) ), "\n";
	}`

// importStep is an import.
type importStep struct {
	what string
	// Before is PHP code that runs before the import.
	Before  string         `json:"before"`
	Command string         `json:"command"`
	Source  string         `json:"source"`
	Options map[string]any `json:"options"`
	// want are the numbers of lines: created, changed, unchanged, refused.
	want [4]int
	says []string
}

type counted struct {
	Created   int `json:"created"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Refused   int `json:"refused"`
}

// runImports makes each import twice, first as a dry run, which must say the same and change nothing.
func runImports(t *testing.T, s *testenv.Stack, steps []importStep) {
	t.Helper()
	support, err := filepath.Abs("../../php-client/tests/Support")
	if err != nil {
		t.Fatal(err)
	}
	var all []importStep
	for _, one := range steps {
		dry := one
		dry.Options = map[string]any{"dry-run": true}
		for name, value := range one.Options {
			if name != "refused" {
				dry.Options[name] = value
			}
		}
		one.Before = ""
		all = append(all, dry, one)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(run(t, s, imports, support, string(text))), "\n")
	if len(lines) != len(all) {
		t.Fatalf("%d answers to %d imports:\n%s", len(lines), len(all), strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		var got struct {
			Counts   *counted `json:"counts"`
			Warnings []string `json:"warnings"`
			Error    string   `json:"error"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		one, counts := all[i], counted{}
		if got.Counts != nil {
			counts = *got.Counts
		}
		what := one.what
		if i%2 == 0 {
			what = "dry run of " + what
		}
		if (counts != counted{one.want[0], one.want[1], one.want[2], one.want[3]}) {
			t.Errorf("%s: %+v, want %v; it says %q and %q", what, counts, one.want, got.Warnings, got.Error)
		}
		said := strings.Join(append(got.Warnings, got.Error), "\n")
		for _, text := range one.says {
			if !strings.Contains(said, text) {
				t.Errorf("%s says %q, want %q", what, said, text)
			}
		}
		if len(one.says) == 0 && said != "" {
			t.Errorf("%s says %q", what, said)
		}
	}
}

// csvs makes files, and steps that import them.
type csvs struct {
	t      *testing.T
	folder string
	count  int
}

func (c *csvs) of(what, text string, options map[string]any, want [4]int, says ...string) importStep {
	c.t.Helper()
	c.count++
	path := filepath.Join(c.folder, fmt.Sprintf("%d.csv", c.count))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if options == nil {
		options = map[string]any{}
	}
	return importStep{what: what, Command: "csv", Source: path, Options: options, want: want, says: says}
}

// with returns options.
func with(pairs ...string) map[string]any {
	options := map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		options[pair[0]] = pair[1]
		if pair[1] == "" && pair[0] != "null" {
			options[pair[0]] = true
		}
	}
	return options
}

// wp ticketd import csv: every line is counted once, as created, changed, unchanged or refused, and a dry run says beforehand
// what the import says. The states of a ticket are set in their order; importing an earlier file again undoes the later one; no
// line makes a second ticket, whatever path its file has.
func TestWPImportCSV(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true})
	c := &csvs{t: t, folder: t.TempDir()}
	open, closed := "id,status\n7,open\n8,open\n", "id,status\n7,closed\n8,closed\n"
	long := strings.Repeat("x", 300)
	news := "status,subject\nopen,a\nopen,b\nopen,a\n"
	steps := []importStep{
		c.of("new ids", open, nil, [4]int{2}),
		c.of("the same again", open, nil, [4]int{0, 0, 2}),
		c.of("other values", closed, nil, [4]int{0, 0, 0, 2}, "2: status: The ticket exists and differs in status; --overwrite"),
		c.of("other values, overwriting", closed, with("overwrite", ""), [4]int{0, 2}),
		c.of("the first values, to undo", open, with("overwrite", ""), [4]int{0, 2}),
		c.of("states of a ticket", "id,status\n20,open\n20,pending\n21,open\n20,open\n20,open\n", nil, [4]int{2, 2, 1}),
		c.of("states of a ticket again", "id,status\n20,open\n20,pending\n20,open\n", nil, [4]int{0, 0, 3}),
		c.of("states of a ticket, overwriting", "id,status\n20,open\n20,pending\n20,open\n", with("overwrite", ""),
			[4]int{0, 2, 1}),
		c.of("values that the table rejects", "id,status,created_at\n30,"+long+",\n31,open,yesterday\n32,open,2026-01-02\n",
			nil, [4]int{1, 0, 0, 2}, "2: status: ", "3: created_at: "),
		c.of("lines without ids", news, nil, [4]int{3}),
		c.of("lines without ids, at another path", news, nil, [4]int{0, 0, 3}),
		c.of("lines without ids, with one more", news+"open,c\n", nil, [4]int{1, 0, 3}),
		c.of("lines without ids, as new ones", news, with("again", ""), [4]int{3}),
		c.of("lines without ids, other fields", news, with("map", "subject:category"),
			[4]int{0, 0, 0, 3}, "made a ticket of this line, with other fields; --again"),
		c.of("a deleted ticket of an id", "id,status\n8,open\n", with("overwrite", ""),
			[4]int{0, 0, 0, 1}, "2: the ticket does not exist"),
		c.of("a deleted ticket of a line", "status,subject\nopen,b\n", nil,
			[4]int{0, 0, 0, 1}, "was made of this line and deleted since; --again"),
	}
	steps[14].Before = "ticketd_delete_ticket( 8 );"
	steps[15].Before = `
		$args = array( 'where' => array( 'subject' => 'b' ), 'order' => 'asc' );
		ticketd_delete_ticket( ticketd_list_tickets( $args )['tickets'][0]['id'] );`
	runImports(t, s, steps)
	var states string
	err := s.MariaDB.DB(t, testenv.StackDatabase).QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(status ORDER BY ticket_id) "+
		"FROM wp_support_tickets WHERE ticket_id IN (7, 20, 21)").Scan(&states)
	if err != nil || states != "open,open,open" {
		t.Errorf("tickets 7, 20 and 21 are %s (%v), want open", states, err)
	}
	noNotices(t, s)
}

// Keys that are no ticket ids are refused, or kept in a field: lines of a key are about one ticket, in later imports, too. A
// table is read whole, whatever its key is.
func TestWPImportKeys(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true})
	c := &csvs{t: t, folder: t.TempDir()}
	log := "number,state\nINC1,new\nINC1,open\nINC2,new\nINC1,new\nINC3,new\nINC2,closed\n"
	keys := func(more ...string) map[string]any {
		return with(append([]string{"key-column", "number", "map", "state:status"}, more...)...)
	}
	table := func(what, name string, options map[string]any, want [4]int, says ...string) importStep {
		return importStep{what: what, Command: "table", Source: name, Options: options, want: want, says: says}
	}
	steps := []importStep{
		c.of("keys as ids", "id,status\nT-100,open\n1-364285768,open\n0,open\n-5,open\n", nil, [4]int{0, 0, 0, 4},
			`2: "T-100" is no ticket id; as a key in a field of a new ticket: --key-column=id --map=id:source_key`,
			`3: "1-364285768"`, `4: "0"`),
		c.of("a log of keys", log, keys(), [4]int{3, 3}),
		c.of("the log again", log, keys(), [4]int{0, 0, 6}),
		c.of("the log, grown", log+"INC3,open\nINC4,open\n", keys(),
			[4]int{1, 0, 6, 1}, "8: status: The ticket exists and differs in status"),
		c.of("the log, overwriting", log, keys("overwrite", ""), [4]int{0, 4, 2}),
		c.of("a line without a key", "number,state\n,new\n", keys(), [4]int{0, 0, 0, 1}, "2: The line has no key."),
		c.of("the key of a deleted ticket", "number,state\nINC4,new\n", keys(),
			[4]int{0, 0, 0, 1}, "was made of this line and deleted since"),
		c.of("another column as id", "number,id,state\n50,x,new\n", with("id-column", "number", "map", "state:status,id:"),
			[4]int{1}),
		table("a table of integers", "old_numbers", with("key", "no"),
			[4]int{2, 0, 0, 2}, `0: "0" is no ticket id`, `-3: "-3" is no ticket id`),
		table("a table of texts", "old_texts", with("id-column", "code"),
			[4]int{1, 0, 0, 2}, `"T-100" is no ticket id`, "--key-column=code"),
		table("a table of texts, keeping keys", "old_texts", with("key-column", "code"), [4]int{3}),
		table("a table of texts, keeping keys, again", "old_texts", with("key-column", "code"), [4]int{0, 0, 3}),
		table("a table without a key", "old_events", with("id-column", "ticket"), [4]int{2, 1}),
		table("a table without ids", "old_events", with("map", "ticket:"),
			[4]int{}, "Name the --id-column or the --key-column; there are: ticket, status."),
		table("no table", "old_none", nil, [4]int{}, "The database has no table old_none."),
	}
	steps[6].Before = `ticketd_delete_ticket( ticketd_list_tickets( array( 'limit' => 1 ) )['tickets'][0]['id'] );`
	for i := range steps {
		if steps[i].Options == nil {
			steps[i].Options = map[string]any{}
		}
	}
	db := s.MariaDB.DB(t, testenv.StackDatabase)
	for _, sql := range []string{
		"CREATE TABLE old_numbers (no INT NOT NULL PRIMARY KEY, status VARCHAR(20))",
		"INSERT INTO old_numbers VALUES (-3,'open'), (0,'open'), (101,'open'), (102,'closed')",
		"CREATE TABLE old_texts (code VARCHAR(20) NOT NULL PRIMARY KEY, status VARCHAR(20))",
		"INSERT INTO old_texts VALUES ('T-100','open'), ('1-364285768','closed'), ('110','open')",
		"CREATE TABLE old_events (ticket INT, status VARCHAR(20))",
		"INSERT INTO old_events VALUES (120,'open'), (121,'open'), (120,'closed')",
	} {
		if _, err := db.ExecContext(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	runImports(t, s, steps)
	var kept string
	err := db.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(JSON_VALUE(extra, '$.number'), '=', status ORDER BY ticket_id) "+
		"FROM wp_support_tickets WHERE JSON_VALUE(extra, '$.number') LIKE 'INC%' AND deleted_at IS NULL").Scan(&kept)
	if err != nil || kept != "INC1=new,INC2=closed,INC3=new" {
		t.Errorf("the keys' tickets are %s (%v)", kept, err)
	}
	noNotices(t, s)
}
