package e2e

import (
	"bufio"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
)

// mover follows docs/migrate.md like an operator, with the page's own commands.
type mover struct {
	t         *testing.T
	dir       string // for files, instead of /root
	redis     *testenv.Redis
	wordpress *testenv.WordPress
	client    *goredis.Client // of database 0, which the plugin uses
	env       []string
	daemon    *testenv.Ticketd
	db        func() *sql.DB
	said      string // by the last command
	did       []string
}

// A WordPress with a plugin written after the guide moves to ticketd by docs/migrate.md alone: no data is lost, its pages
// show the same before and after, and the way back restores the former state.
func TestMovingIn(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	n := hashes(t)
	writeHashes(t, m.client, "ticket:", n)
	m.client.Del(t.Context(), "ticket:"+strconv.Itoa(n+1)) // not a hash, and the plugin would fail at it
	m.client.HSet(t.Context(), "ticket:50", "created_at", 1700000050)
	// ids whose page is checked: in each of the two shapes that the plugin's page shows, see writeHashes, only the guide's names
	looked := []int{1, 3, 51, 99, n - 1}
	before := m.pages(looked)

	steps := m.steps("## From Redis hashes", "### Both at once")
	if len(steps) < 12 {
		t.Fatalf("the page has only %d commands: %q", len(steps), steps)
	}
	for _, step := range steps {
		switch {
		case strings.Contains(step, "--refused /root/refused.jsonl"): // a first run, and the rejected hashes are corrected
			m.do(step)
			if refused := readRefused(t, filepath.Join(m.dir, "refused.jsonl")); len(refused) != 1 || refused["51"] != "subject" {
				t.Fatalf("refused are %v, want the subject of ticket 51; %s", refused, m.said)
			}
			m.client.HSet(t.Context(), "ticket:51", "subject", "No. 51")
			before[51] = m.page(51)
			before[3] = m.get("/?support_ticket=3&status=pending") // the site goes on meanwhile
			before[3] = m.page(3)
		case strings.HasPrefix(step, "redis-cli"):
			continue // later, when the operator is sure
		default:
			m.do(step)
		}
	}
	for _, id := range looked {
		if after := m.page(id); after != before[id] || !strings.Contains(after, fmt.Sprintf("customer %d", 100+id)) {
			t.Errorf("the page of ticket %d shows\n%s\nand showed\n%s", id, after, before[id])
		}
	}
	db := m.db()
	var count, wrong int
	err := db.QueryRowContext(t.Context(), "SELECT COUNT(*), SUM(NOT (customer_id = 100 + ticket_id AND "+
		"subject = CONCAT('No. ', ticket_id) AND status = IF(ticket_id = 3, 'pending', 'open') AND "+
		"UNIX_TIMESTAMP(CONVERT_TZ(created_at, '+00:00', @@session.time_zone)) = 1700000000 + ticket_id AND "+
		"JSON_VALUE(extra, '$.order_id') = CONCAT('A-', ticket_id))) FROM wp_support_tickets").Scan(&count, &wrong)
	if err != nil || count != n || wrong != 0 {
		t.Errorf("MySQL has %d tickets, %d of them wrong (%v); want %d", count, wrong, err, n)
	}
	m.get("/?support_ticket=1&status=closed")
	testenv.Eventually(t, 10*time.Second, "a change by the plugin's own code is in MySQL", func() bool {
		return column(t, db, "status", 1) == "closed"
	})
	m.back(looked)
}

// back goes the way back and looks at the pages once more.
func (m *mover) back(looked []int) {
	m.t.Helper()
	before := m.pages(looked)
	m.do("wp maintenance-mode activate")
	m.plugin(true)
	m.config(false)
	for _, step := range m.steps("### And back", "## From a table") {
		m.do(step)
	}
	for _, id := range looked {
		if after := m.page(id); after != before[id] {
			m.t.Errorf("on the way back the page of ticket %d shows\n%s\nand showed\n%s", id, after, before[id])
		}
	}
	if status, err := m.client.HGet(m.t.Context(), "ticket:1", "status").Result(); err != nil || status != "closed" {
		m.t.Errorf("the hash of ticket 1 has status %q (%v)", status, err)
	}
}

func newMover(t *testing.T) *mover {
	t.Helper()
	m := &mover{t: t, dir: testenv.Folder(t), redis: testenv.NewRedis(t, testenv.RedisOptions{})}
	mariadb := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	if err := mariadb.CreateDatabase(t.Context(), testenv.StackDatabase); err != nil {
		t.Fatal(err)
	}
	m.db = func() *sql.DB { return mariadb.DB(t, testenv.StackDatabase) }
	m.client = m.redis.Client(t)
	socket := filepath.Join(m.dir, "d.sock")
	m.env = []string{
		"TICKETD_CONFIG=" + filepath.Join(m.dir, "ticketd.toml"), "TICKETD_DAEMON_SOCKET=" + socket, "TICKETD_SOCKET=" + socket,
		"TICKETD_DAEMON_STATE_DIR=" + filepath.Join(m.dir, "state"), "TICKETD_DAEMON_SPOOL_DIR=" + filepath.Join(m.dir, "spool"),
	}
	m.wordpress = testenv.NewWordPress(t, testenv.WordPressOptions{
		MariaDB: mariadb, Database: testenv.StackDatabase, Plugins: []string{"testdata/support"}, Debug: true,
		Config: fmt.Sprintf("define( 'TICKETD_SOCKET', '%s' );\ndefine( 'TICKETD_SPOOL', '%s' );\n"+
			"define( 'SUPPORT_REDIS_SOCKET', '%s' );\ndefine( 'SUPPORT_REDIS_DB', 0 );",
			socket, filepath.Join(m.dir, "spool"), m.redis.Socket()),
	})
	return m
}

// command is an indented line of a page that a person types.
var command = regexp.MustCompile(`^\s{4,}((?:sudo ticketd|sudo systemctl|wp|redis-cli|define\() ?.*)$`)

// steps are the commands of a section of docs/migrate.md.
func (m *mover) steps(from, to string) []string {
	m.t.Helper()
	file, err := os.Open("../../docs/migrate.md")
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var found []string
	inside := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		inside = (inside || line == from) && !strings.HasPrefix(line, to)
		if match := command.FindStringSubmatch(line); inside && match != nil {
			found = append(found, match[1])
		}
	}
	return found
}

// do carries out a step.
func (m *mover) do(step string) {
	m.t.Helper()
	m.did = append(m.did, step)
	switch {
	case strings.HasPrefix(step, "sudo ticketd "):
		m.ticketd(strings.Fields(step)[2:])
	case strings.HasPrefix(step, "sudo systemctl restart ticketd"):
		if m.daemon != nil {
			if err := m.daemon.Restart(m.t.Context()); err != nil {
				m.t.Fatal(err)
			}
			return
		}
		text, err := os.ReadFile(filepath.Join(m.dir, "ticketd.toml"))
		if err != nil {
			m.t.Fatal(err)
		}
		m.daemon = testenv.NewTicketd(m.t, testenv.TicketdOptions{Config: string(text), Env: m.env})
	case strings.HasPrefix(step, "sudo systemctl reload php"):
		if err := m.wordpress.PHPFPM.Restart(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	case step == "wp maintenance-mode activate":
		writeFile(m.t, filepath.Join(m.wordpress.Root(), ".maintenance"), fmt.Sprintf("<?php $upgrading = %d;", time.Now().Unix()))
	case step == "wp maintenance-mode deactivate":
		if err := os.Remove(filepath.Join(m.wordpress.Root(), ".maintenance")); err != nil {
			m.t.Fatal(err)
		}
	case step == "define( 'TICKETD_DROP_IN', true );":
		m.plugin(false)
		m.config(true)
	case step == "wp plugin activate ticketd":
		to := filepath.Join(m.wordpress.Root(), "wp-content", "plugins", "ticketd")
		if err := os.CopyFS(to, os.DirFS("../../php-client/ticketd")); err != nil {
			m.t.Fatal(err)
		}
		m.run(`require_once ABSPATH . 'wp-admin/includes/plugin.php';
			$result = activate_plugin( 'ticketd/ticketd.php' );
			if ( is_wp_error( $result ) ) { echo $result->get_error_message(); exit( 1 ); }`)
	case step == "wp plugin deactivate ticketd":
		m.run(`require_once ABSPATH . 'wp-admin/includes/plugin.php'; deactivate_plugins( 'ticketd/ticketd.php' );`)
	case step == "wp eval-file back.php":
		m.run(m.script())
	default:
		m.t.Fatalf("docs/migrate.md has a command that this test does not know: %s", step)
	}
}

// ticketd runs the binary. The command may fail for a rejected hash or for reasons of this machine, which do not concern the
// page; later checks show the effect.
func (m *mover) ticketd(args []string) {
	m.t.Helper()
	for i := range args {
		args[i] = strings.NewReplacer("/var/www/html", m.wordpress.Root(), "/root/", m.dir+"/").Replace(args[i])
	}
	if args[0] == "init" {
		args = append(args, "--redis", "unix://"+m.redis.Socket(), "--user", "root") // as testenv runs PHP-FPM
	}
	cmd := exec.CommandContext(m.t.Context(), testenv.TicketdBinary(m.t), args...)
	cmd.Env = append(cmd.Environ(), m.env...)
	out, err := cmd.CombinedOutput()
	m.said = string(out)
	m.t.Logf("ticketd %s: %v\n%s", strings.Join(args, " "), err, out)
	if err != nil && args[0] != "import" && args[0] != "doctor" {
		m.t.Fatalf("ticketd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// script is the page's back.php.
func (m *mover) script() string {
	m.t.Helper()
	text, err := os.ReadFile("../../docs/migrate.md")
	if err != nil {
		m.t.Fatal(err)
	}
	_, script, found := strings.Cut(string(text), "    <?php\n")
	script, _, end := strings.Cut(script, "\n\nRun ")
	if !found || !end {
		m.t.Fatal("docs/migrate.md has no back.php")
	}
	return script
}

func (m *mover) run(code string) {
	m.t.Helper()
	mark := filepath.Join(m.wordpress.Root(), ".maintenance")
	if os.Rename(mark, mark+".off") == nil { // WP-CLI works in maintenance mode, too
		defer func() { _ = os.Rename(mark+".off", mark) }()
	}
	if out, err := m.wordpress.Run(m.t.Context(), code); err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
}

// plugin adds the plugin's functions, or removes them.
func (m *mover) plugin(functions bool) {
	m.t.Helper()
	text, err := os.ReadFile("testdata/support/support.php")
	if err != nil {
		m.t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(text), "// --- functions ---")
	_, page, _ := strings.Cut(rest, "// --- page ---")
	plugin := string(text)
	if !functions {
		plugin = head + page
	}
	writeFile(m.t, filepath.Join(m.wordpress.Root(), "wp-content", "plugins", "support", "support.php"), plugin)
}

// config adds the constant to wp-config.php, or removes it.
func (m *mover) config(dropIn bool) {
	m.t.Helper()
	path := filepath.Join(m.wordpress.Root(), "wp-config.php")
	text, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	const line = "define( 'TICKETD_DROP_IN', true );\n"
	config := strings.Replace(string(text), line, "", 1)
	if dropIn {
		config = strings.Replace(config, "<?php\n", "<?php\n"+line, 1)
	}
	writeFile(m.t, path, config)
}

func (m *mover) pages(ids []int) map[int]string {
	m.t.Helper()
	found := make(map[int]string)
	for _, id := range ids {
		found[id] = m.page(id)
	}
	return found
}

func (m *mover) page(id int) string { return m.get("/?support_ticket=" + strconv.Itoa(id)) }

// get fetches a page of the site.
func (m *mover) get(path string) string {
	m.t.Helper()
	v := visitor{s: &testenv.Stack{WordPress: m.wordpress}, client: m.wordpress.Nginx.Client()}
	status, body, _ := v.do(m.t, http.MethodGet, path, nil, nil)
	if status != http.StatusOK {
		m.t.Fatalf("%s: %d %s\nafter %q", path, status, body, m.did)
	}
	return body
}
