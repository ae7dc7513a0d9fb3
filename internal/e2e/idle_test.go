package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// idleCost is what the daemon costs its servers and its host.
type idleCost struct {
	commands, questions int64 // of Redis, those of scripts included, and of MySQL
	processor           time.Duration
}

// Sites without requests cost next to nothing: no site asks MySQL, and each asks Redis less and less often, up to twice a
// minute. `make test-idle` measures 200 sites with the longest pauses; the short form has a bound that a site with a question a
// second exceeds: each question is two commands.
func TestIdleSites(t *testing.T) {
	t.Parallel()
	sites, settle, whole, perSite := 12, 4*time.Second, 12*time.Second, 1.0
	if text := os.Getenv("TICKETD_TEST_IDLE"); text != "" {
		asked, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("TICKETD_TEST_IDLE: %v", err)
		}
		sites, settle, whole, perSite = 200, 35*time.Second, asked, 0.1
	}
	r := idleRig(t, sites)
	time.Sleep(settle) // the pauses of an idle site grow
	before := r.idleCost(t)
	time.Sleep(whole)
	after := r.idleCost(t)
	seconds := whole.Seconds()
	commands := float64(after.commands-before.commands) / seconds
	questions := float64(after.questions-before.questions) / seconds
	processor := (after.processor - before.processor).Seconds() / seconds
	t.Logf("%d idle sites for %v: %.1f Redis commands and %.2f MySQL statements a second, %.2f %% of a processor",
		sites, whole, commands, questions, 100*processor)
	if most := perSite*float64(sites) + 1; commands > most { // the one is the server's own probe
		t.Errorf("%.1f Redis commands a second, want %.1f at most", commands, most)
	}
	if questions > 1 {
		t.Errorf("%.2f MySQL statements a second, want 1 at most", questions)
	}
	if processor > 0.01 { // twice the target for 200 sites: the machine may be busy
		t.Errorf("%.2f %% of a processor, want 0.5 %% at most", 100*processor)
	}
}

// idleRig is a daemon with so many sites, one for each blog of a network.
func idleRig(t *testing.T, sites int) *rig {
	t.Helper()
	var blogs []string
	for i := range sites {
		blogs = append(blogs, fmt.Sprintf("(%d, 0)", i+1))
	}
	r := newRig(t, rigOptions{
		redis: testenv.NewRedis(t, testenv.RedisOptions{}), mariadb: testenv.NewMariaDB(t, testenv.MariaDBOptions{}),
		tables: []string{
			"CREATE TABLE wp_blogs (blog_id BIGINT PRIMARY KEY, deleted TINYINT NOT NULL DEFAULT 0)",
			"INSERT INTO wp_blogs (blog_id, deleted) VALUES " + strings.Join(blogs, ", "),
		},
	})
	r.text = strings.Replace(r.text, "[sites.main]", "[sites.\"blog-*\"]", 1)
	r.text = strings.Replace(r.text, "key_prefix = \"\"\n", "", 1)
	if out, err := r.commands(t, "migrate", "--all"); err != nil {
		t.Fatalf("migrate --all: %v: %s", err, out)
	}
	if err := r.WriteConfig(r.text); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) idleCost(t *testing.T) (c idleCost) {
	t.Helper()
	stats, err := r.redis.Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(stats) {
		if n, found := strings.CutPrefix(strings.TrimSpace(line), "total_commands_processed:"); found {
			c.commands, _ = strconv.ParseInt(n, 10, 64)
		}
	}
	var name string
	if err := r.db.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &c.questions); err != nil {
		t.Fatal(err)
	}
	c.processor = processorTime(t, r.PID())
	return c
}

// processorTime is the time that all threads of a process have spent so far.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the name before may have spaces
	const user, system = 11, 12
	var ticks int64
	for _, at := range []int{user, system} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}
