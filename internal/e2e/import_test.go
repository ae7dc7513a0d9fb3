package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
)

// hashesEnv sets how many hashes TestImportRedis takes over; 20,000 is the long form.
const hashesEnv = "TICKETD_TEST_HASHES"

func hashes(t *testing.T) int {
	t.Helper()
	text := os.Getenv(hashesEnv)
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 {
		t.Fatalf("%s=%q: a number from 100 on", hashesEnv, text)
	}
	return n
}

// writeHashes writes tickets like a plugin that keeps them in Redis: every second ticket as phpredis 6 writes a list. Ticket
// 50 has an invalid date, ticket 51 a subject that is too long, and two keys are no tickets.
func writeHashes(t *testing.T, client *goredis.Client, prefix string, n int) {
	t.Helper()
	_, err := client.Pipelined(t.Context(), func(pipe goredis.Pipeliner) error {
		for id := 1; id <= n; id++ {
			pairs := []any{
				"ticket_id", id, "customer_id", 100 + id, "created_at", 1700000000 + id, "status", "open", "subject", fmt.Sprint("No. ", id),
				"category", "", "order_id", fmt.Sprint("A-", id),
			}
			switch id {
			case 50:
				pairs[5] = "yesterday"
			case 51:
				pairs[9] = strings.Repeat("long", 100)
			}
			if id%2 == 0 {
				list := make([]any, 0, 2*len(pairs))
				for i, text := range pairs {
					list = append(list, strconv.Itoa(i), text)
				}
				pairs = list
			}
			pipe.HSet(t.Context(), prefix+strconv.Itoa(id), pairs...)
		}
		pipe.Set(t.Context(), prefix+"lock", "1", 0)
		pipe.Set(t.Context(), prefix+strconv.Itoa(n+1), "no hash", 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Hashes in the site's own database are imported in place; importing again changes nothing; a rejected hash is named in the
// file, and stays.
func TestImportRedisInPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	n := hashes(t)
	writeHashes(t, r.redis, r.prefix+"ticket:", n)
	if out, err := onHost(t, r, "import", "redis", "--dry-run", "--pattern", r.prefix+"ticket:*"); err == nil ||
		!strings.Contains(out, fmt.Sprintf("%d would be imported in place", n-2)) {
		t.Errorf("a dry run (%v) says:\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "refused.jsonl")
	began := time.Now()
	out, err := onHost(t, r, "import", "redis", "--pattern", r.prefix+"ticket:*", "--refused", file)
	t.Logf("%d hashes in %v", n, time.Since(began))
	want := fmt.Sprintf("%d imported in place, 0 created, 0 changed, 0 unchanged, 0 already ticketd's, 3 rejected", n-2)
	if err == nil || !strings.Contains(out, want) {
		t.Fatalf("import (%v) says:\n%s", err, out)
	}
	refused := readRefused(t, file)
	if len(refused) != 3 || refused["50"] != "created_at" || refused["51"] != "subject" {
		t.Errorf("refused are %v", refused)
	}
	checkImported(t, r, n)
	if out, err = onHost(t, r, "import", "redis", "--pattern", r.prefix+"ticket:*"); err == nil ||
		!strings.Contains(out, fmt.Sprintf("%d already ticketd's, 3 rejected", n-2)) {
		t.Errorf("a second import (%v) says:\n%s", err, out)
	}
	hash, err := r.redis.HGetAll(t.Context(), r.prefix+"ticket:51").Result()
	if err != nil || hash["order_id"] != "A-51" || len(hash["subject"]) != 400 {
		t.Errorf("what is refused has become %v (%v), want it as it was", hash, err)
	}
}

// Hashes of another Redis are copied and stay. A ticket that was changed since is not overwritten by importing again.
func TestImportRedisFromElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	other, prefix := testenv.SharedRedis(t)
	from := []string{"import", "redis", "--addr", "unix://" + other.Socket(), "--db", "0", "--pattern", prefix + "old:*"}
	n := hashes(t)
	writeHashes(t, other.Client(t), prefix+"old:", n)
	began := time.Now()
	out, err := onHost(t, r, from...)
	t.Logf("%d hashes in %v", n, time.Since(began))
	want := fmt.Sprintf("0 imported in place, %d created, 0 changed, 0 unchanged, 0 already ticketd's, 3 rejected", n-2)
	if err == nil || !strings.Contains(out, want) {
		t.Fatalf("import (%v) says:\n%s", err, out)
	}
	checkImported(t, r, n)
	c := r.dial(t)
	if _, err := c.Set(t.Context(), set(7, "status", "closed")); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []string{"--dry-run", "--dry-run=false"} { // both say the same
		out, err = onHost(t, r, append(from, dry)...)
		if err == nil || !strings.Contains(out, fmt.Sprintf("%d unchanged, 0 already ticketd's, 4 rejected", n-3)) ||
			!strings.Contains(out, prefix+"old:7: status: the ticket exists and differs in status") {
			t.Errorf("a second import %s (%v) says:\n%s", dry, err, out)
		}
	}
	if one, err := c.Get(t.Context(), 7); err != nil || field(one.Fields, "status").Text() != "closed" {
		t.Errorf("ticket 7 is %+v (%v): the import has overwritten it", one, err)
	}
	if _, err := c.Delete(t.Context(), 8, ""); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []string{"--dry-run", "--dry-run=false"} {
		out, err = onHost(t, r, append(from, dry, "--overwrite")...)
		if err == nil || !strings.Contains(out, prefix+"old:8: the ticket does not exist, or was deleted") ||
			!strings.Contains(strings.ReplaceAll(out, "would be ", ""), fmt.Sprintf("0 created, 1 changed, %d unchanged", n-4)) {
			t.Errorf("an import over a deleted ticket %s (%v) says:\n%s", dry, err, out)
		}
	}
	if left, err := other.Client(t).HGet(t.Context(), prefix+"old:1", "customer_id").Result(); err != nil || left != "101" {
		t.Errorf("the source's hash has customer %q (%v)", left, err)
	}
}

// checkImported checks MySQL's rows and the next id.
func checkImported(t *testing.T, r *rig, n int) {
	t.Helper()
	c := r.dial(t)
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	var count, wrong int
	err := r.db.QueryRowContext(t.Context(), "SELECT COUNT(*), COALESCE(SUM(NOT (customer_id = 100 + ticket_id AND status = 'open' "+
		"AND subject = CONCAT('No. ', ticket_id) AND category <=> IF(category = '', '', NULL) AND "+
		"UNIX_TIMESTAMP(CONVERT_TZ(created_at, '+00:00', @@session.time_zone)) = 1700000000 + ticket_id AND "+
		"JSON_VALUE(extra, '$.order_id') = CONCAT('A-', ticket_id))), 0) FROM wp_support_tickets").Scan(&count, &wrong)
	if err != nil || count != n-2 || wrong != 0 {
		t.Errorf("MySQL has %d tickets, %d of them wrong (%v); want %d", count, wrong, err, n-2)
	}
	var next int
	if err := r.db.QueryRowContext(t.Context(), "SELECT next FROM wp_support_tickets_seq").Scan(&next); err != nil || next <= n {
		t.Errorf("the next id is %d (%v), within those that were imported", next, err)
	}
}

// readRefused returns the field of each refusal by id.
func readRefused(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		var one struct {
			ID     int64  `json:"id"`
			Key    string `json:"key"`
			Field  string `json:"field"`
			Reason string `json:"reason"`
		}
		err := json.Unmarshal([]byte(line), &one)
		id := strconv.FormatInt(one.ID, 10)
		if err != nil || one.Reason == "" || !strings.HasSuffix(one.Key, id) {
			t.Fatalf("%s (%v)", line, err)
		}
		refused[id] = one.Field
	}
	return refused
}

// wp ticketd import redis does the same over phpredis: from another database, and from the site's own.
func TestWPImportRedis(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true})
	const n = 300
	elsewhere := s.Redis.Client(t)
	if err := elsewhere.Do(t.Context(), "SELECT", 0).Err(); err != nil {
		t.Fatal(err)
	}
	writeHashes(t, elsewhere, "old:", n)
	writeHashes(t, elsewhere, "ticket:", n) // the site's own keys
	script := `
		foreach ( array( 'wp-cli.php', 'WP_CLI.php', 'Formatter.php' ) as $file ) {
			require_once $argv[1] . '/' . $file;
		}
		$api     = Ticketd\WordPress\Plugin::instance()->api();
		$command = new Ticketd\WordPress\Cli\ImportCommand( $api, new Ticketd\WordPress\Settings() );
		$import  = function ( string $pattern, array $more = array() ) use ( $command, $argv ) {
			WP_CLI::$printed = WP_CLI::$warnings = array();
			try {
				$command->redis( array(), array( 'host' => $argv[2], 'pattern' => $pattern, 'format' => 'json' ) + $more );
			} catch ( RuntimeException $e ) {
				WP_CLI::$warnings[] = $e->getMessage();
			}
			$counts = WP_CLI::$printed[0][1][0] ?? array( 'created' => -1, 'changed' => 0 );
			$set    = $counts['created'] + $counts['changed'];
			echo json_encode( array( $set, WP_CLI::$warnings ), JSON_UNESCAPED_SLASHES ), "\n";
		};
		$import( 'ticket:*', array( 'dry-run' => true ) );
		$import( 'ticket:*' );
		$import( 'ticket:*' );
		ticketd_set_ticket( 7, array( 'status' => 'closed' ) );
		$import( 'old:*' );
		$import( 'old:*', array( 'overwrite' => true ) );
		echo ticketd_get_ticket( 7 )['fields']['status'], '|', ticketd_get_ticket( 8 )['fields']['created_at'];`
	support, err := filepath.Abs("../../php-client/tests/Support")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(run(t, s, script, support, s.Redis.Socket()), "\n")
	if len(lines) != 6 {
		t.Fatalf("the commands print:\n%s", strings.Join(lines, "\n"))
	}
	for i, want := range []struct {
		set  int
		says string
	}{
		{n - 2, "The key holds no hash"}, {n - 2, "created_at"}, {0, "3 lines were refused"},
		{0, "differs in status; --overwrite"}, {1, "3 lines were refused"},
	} {
		if !strings.HasPrefix(lines[i], fmt.Sprintf("[%d,", want.set)) || !strings.Contains(lines[i], want.says) {
			t.Errorf("import %d says %s, want %d set and %q", i+1, lines[i], want.set, want.says)
		}
	}
	if lines[5] != "open|2023-11-14 22:13:28" {
		t.Errorf("tickets 7 and 8 are %s", lines[5])
	}
	noNotices(t, s)
}

// A site without Redis imports hashes, too: its journal has them.
func TestImportRedisWithoutRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{noRedis: true})
	other, prefix := testenv.SharedRedis(t)
	if out, err := onHost(t, r, "import", "redis"); err == nil || !strings.Contains(out, "--addr") {
		t.Errorf("without --addr (%v) it says:\n%s", err, out)
	}
	const n = 300
	writeHashes(t, other.Client(t), prefix+"old:", n)
	out, err := onHost(t, r, "import", "redis", "--addr", "unix://"+other.Socket(), "--pattern", prefix+"old:*")
	if err == nil || !strings.Contains(out, fmt.Sprintf("0 imported in place, %d created", n-2)) {
		t.Fatalf("import (%v) says:\n%s", err, out)
	}
	checkImported(t, r, n)
}
