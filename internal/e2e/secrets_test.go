package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// The planted secrets, each with a part that must never be seen.
const (
	redisSecret = "redis-hunter2"
	mysqlSecret = "mysql-hunter2"
	otherSecret = "other-hunter2" // in a configuration that is refused
	secretPart  = "hunter2"
)

// Passwords appear in no output of the daemon and its commands, in normal operation and when the servers refuse the
// passwords: in no log at its most verbose level, no status, no metric, no error. (With the DSN in the error of a refused
// login, or a Secret without its String, it fails.)
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{Password: redisSecret})
	mariadb, database := testenv.SharedMariaDB(t)
	root := mariadb.DB(t, database)
	user := database + "_secret"
	run := func(statement string) {
		if _, err := root.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run(fmt.Sprintf("CREATE USER %s@localhost IDENTIFIED BY '%s'", user, mysqlSecret))
	run(fmt.Sprintf("GRANT ALL ON %s.* TO %s@localhost", database, user))
	dir := testenv.Folder(t)
	r := &rig{socket: filepath.Join(dir, "d.sock"), db: root}
	scraped := filepath.Join(dir, "m.sock")
	dsn := strings.Replace(mariadb.DSN(database), "root@", user+":"+mysqlSecret+"@", 1)
	r.text = fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n[log]\nlevel = \"debug\"\n[redis]\naddr = %q\n"+
		"password = %q\n[metrics]\nlisten = %q\n[sites.main]\ndsn = %q\nallow_users = [\"root\"]\n",
		r.socket, filepath.Join(dir, "state"), r.spool(), "unix://"+redis.Socket(), redisSecret, "unix://"+scraped, dsn)
	r.migrate(t, r.text)
	r.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: r.text})
	file := filepath.Join(dir, "again.toml")
	writeFile(t, file, r.text)
	var said strings.Builder
	look := func() {
		said.WriteString(metrics(t, scraped))
		for _, args := range [][]string{
			{"status"}, {"status", "--format", "json"}, {"get", "1"}, {"list"}, {"flush", "--timeout", "2s"}, {"dead", "list"},
			{"verify", "--config", file}, {"migrate", "--config", file}, {"doctor", "--config", file},
			{"doctor", "--config", file, "--format", "json"}, {"serve", "--config", file},
			{"migrate", "--config", file, "--set", "sites.main.dsn=" + otherSecret}, {"serve", "--set", "redis.password=" + otherSecret},
		} {
			out, err := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), append(args, "--socket", r.socket)...).CombinedOutput()
			fmt.Fprintf(&said, "%s: %v\n%s\n", args[0], err, out) // not the arguments: some are secrets
		}
	}
	c := r.dial(t)
	r.dumpsNoCore(t, c)
	if _, err := c.Set(t.Context(), set(1, "status", "open")); err != nil {
		t.Fatal(err)
	}
	look()

	// The servers refuse the passwords from now on, MySQL first: a flush asks Redis for its tickets.
	run(fmt.Sprintf("ALTER USER %s@localhost IDENTIFIED BY 'another'", user))
	kill(t, root, user)
	if _, err := c.Set(t.Context(), set(2, "status", "open")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "MySQL refuses the password", func() bool {
		return strings.Contains(r.Log(), "Access denied")
	})
	client := redis.Client(t)
	if err := client.ConfigSet(t.Context(), "requirepass", "another").Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), set(3, "status", "open")); err != nil {
		t.Errorf("the journal takes no change: %v", err)
	}
	testenv.Eventually(t, 10*time.Second, "Redis refuses the password", func() bool {
		return strings.Contains(r.Log(), "Redis does not answer")
	})
	look()

	// A configuration with secrets in the wrong places.
	broken := strings.NewReplacer("[redis]\n", "[redis]\nusername = [\""+otherSecret+"\"]\n",
		"[sites.main]\n", "[sites.main]\ndsn_file = \""+filepath.Join(dir, "none")+"\"\n").Replace(r.text)
	broken = strings.Replace(broken, dsn, otherSecret, 1)
	if err := r.WriteConfig(broken); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, broken)
	look()

	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", r.PID())) // which every user of the host may read
	if err != nil || len(arguments) == 0 {
		t.Errorf("the daemon's arguments: %q, %v", arguments, err)
	}
	said.Write(arguments)
	said.WriteString(strings.Join(r.Notifications().Lines(), "\n")) // systemd shows this as the status
	said.WriteString(r.Log())
	for _, want := range []string{"is not reloaded", "Access denied", "WRONGPASS", "redis.username", "--set sites.main.dsn"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("nobody said %q: the test proves nothing of it", want)
		}
	}
	for line := range strings.Lines(said.String()) {
		if strings.Contains(line, secretPart) {
			t.Errorf("a secret is shown: %s", line)
		}
	}
}

// kill ends a user's connections.
func kill(t *testing.T, root *sql.DB, user string) {
	t.Helper()
	found, err := root.QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE user = ?", user)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	var connections []int64
	for found.Next() {
		var id int64
		if err := found.Scan(&id); err != nil {
			t.Fatal(err)
		}
		connections = append(connections, id)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range connections {
		_, _ = root.ExecContext(t.Context(), fmt.Sprintf("KILL %d", id)) // a process may have ended meanwhile
	}
}

// dumpsNoCore demands that a crash of the daemon writes no memory, with its passwords, to a file.
func (*rig) dumpsNoCore(t *testing.T, c *protocol.Client) {
	t.Helper()
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", status.PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, is := strings.CutPrefix(line, "Max core file size"); is {
			if bound := strings.Fields(rest); bound[0] != "0" || bound[1] != "0" {
				t.Errorf("a core file may have %v bytes", bound[:2])
			}
			return
		}
	}
	t.Error("the kernel says nothing of core files")
}
