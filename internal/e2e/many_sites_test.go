package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// unhurried is a strategy that flushes nothing within a test.
const unhurried = "strategy = \"interval\"\nperiod = \"24h\"\nmax_age = \"24h\""

// commands runs commands of the binary with the rig's configuration, outside of the daemon.
func (r *rig) commands(t *testing.T, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(filepath.Dir(r.socket), "commands.toml")
	writeFile(t, file, r.text)
	cmd := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), append(args, "--socket", r.socket)...)
	cmd.Env = append(cmd.Environ(), "TICKETD_CONFIG="+file)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// reload applies the rig's configuration and returns the log's new lines.
func (r *rig) reload(t *testing.T) string {
	t.Helper()
	before := len(r.Log())
	if err := r.WriteConfig(r.text); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.Log()[before:]
}

// A reload adds a site and removes a site: the added site is served, the removed site's changes are in MySQL before it goes, and
// its requests are refused. The other sites' connections and changes are not touched. Without the flush the removed site's
// changes stay in Redis, where no daemon flushes them.
func TestReloadAddsAndRemovesSites(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{daemon: "request_timeout = \"100ms\"", site: unhurried})
	_, section, _ := strings.Cut(r.text, "[sites.main]")
	first := r.text
	r.text += "[sites.shop]\n" + strings.Replace(section, fmt.Sprintf("key_prefix = %q", r.prefix),
		fmt.Sprintf("key_prefix = %q\ntable_prefix = \"shop_\"", r.prefix+"shop:"), 1)
	if out, err := r.commands(t, "migrate", "--all"); err != nil || !strings.Contains(out, "shop_support_tickets: done") {
		t.Fatalf("migrate --all: %v: %s", err, out)
	}
	if log := r.reload(t); !strings.Contains(log, "the site is added") {
		t.Errorf("the log of the reload: %s", log)
	}
	c, shop := r.dial(t), r.dial(t)
	c.Site, shop.Site = "main", "shop"
	for id, of := range map[int64]*protocol.Client{1: c, 2: shop} {
		if _, err := of.Set(t.Context(), set(id, "subject", of.Site)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := r.commands(t, "status")
	if err != nil || strings.Count(out, "\n") != 3 || !strings.Contains(out, "shop  redis up") {
		t.Errorf("the overview: %v\n%s", err, out)
	}
	r.text = first
	log := r.reload(t)
	var subject string
	err = r.db.QueryRowContext(t.Context(), "SELECT subject FROM shop_support_tickets WHERE ticket_id = 2").Scan(&subject)
	if err != nil || subject != "shop" || !strings.Contains(log, "the site is removed") {
		t.Errorf("the removed site's ticket: %q, %v; the log: %s", subject, err, log)
	}
	if _, err := shop.Set(t.Context(), set(2, "subject", "late")); err == nil {
		t.Error("the removed site takes a change")
	}
	if got, err := c.Get(t.Context(), 1); err != nil || column(t, r.db, "subject", 1) != "" {
		t.Errorf("the other site: %+v, %v; flushed %q", got, err, column(t, r.db, "subject", 1))
	}
	if out, err := r.commands(t, "flush", "--all"); err != nil || !strings.Contains(out, "flushed 1") {
		t.Errorf("flush --all: %v: %s", err, out)
	}
	if out, err := r.commands(t, "set", "--all", "1", "status=x"); err == nil || !strings.Contains(out, "--site") {
		t.Errorf("set --all: %v: %s", err, out)
	}
}

// A site that was added with a mistyped dsn has accepted no change: a reload opens it anew with the corrected dsn, and removes it
// at once where the section is deleted. Otherwise only a restart of the daemon, and so of all sites, would correct the mistake.
func TestReloadCorrectsASite(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{daemon: "request_timeout = \"100ms\"\nshutdown_timeout = \"1s\"", site: unhurried})
	first := r.text
	_, section, _ := strings.Cut(first, "[sites.main]")
	right := "[sites.shop]\n" + strings.Replace(section, fmt.Sprintf("key_prefix = %q", r.prefix),
		fmt.Sprintf("key_prefix = %q\ntable_prefix = \"shop_\"", r.prefix+"shop:"), 1)
	wrong := strings.Replace(right, r.proxy.Socket(), r.proxy.Socket()+".mistyped", 1)
	r.text = first + right
	if out, err := r.commands(t, "migrate", "--all"); err != nil {
		t.Fatalf("migrate --all: %v: %s", err, out)
	}
	shop := r.dial(t)
	shop.Site = "shop"
	for _, text := range []string{wrong, "", wrong, right} {
		r.text = first + text
		if log := r.reload(t); strings.Contains(log, "not all of its changes") || strings.Contains(log, "may be pending") ||
			text == "" && !strings.Contains(log, "the site is removed") {
			t.Errorf("the log of a reload with %q: %s", text, log)
		}
		if _, err := shop.Set(t.Context(), set(1, "subject", "new")); (err == nil) != (text == right) {
			t.Errorf("a change with %q: %v", text, err)
		}
	}
	if log := r.reload(t); strings.Contains(log, "the site is") {
		t.Errorf("a reload without a change: %s", log)
	}
}

// A removed site whose MySQL does not answer keeps its changes and is removed by a later reload. A site that comes back is the
// same.
func TestRemovedSiteWaitsForMySQL(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{
		noRedis: true, daemon: "request_timeout = \"100ms\"\nshutdown_timeout = \"1s\"",
		site: unhurried,
	})
	first, c := r.text, r.dial(t)
	if _, err := c.Set(t.Context(), set(1, "subject", "kept")); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(first, "[sites.main]", "[sites.other]\ntable_prefix = \"other_\"", 1)
	r.proxy.Hold()
	r.text = other
	if log := r.reload(t); !strings.Contains(log, "not all of its changes are in MySQL") {
		t.Errorf("the log while MySQL is away: %s", log)
	}
	r.proxy.Release()
	r.text = first
	r.reload(t)
	if got, err := c.Get(t.Context(), 1); err != nil || field(got.Fields, "subject").Text() != "kept" {
		t.Errorf("the site that came back: %+v, %v", got, err)
	}
	r.text = other
	if log := r.reload(t); !strings.Contains(log, "the site is removed") || column(t, r.db, "subject", 1) != "kept" {
		t.Errorf("with MySQL: %q, %s", column(t, r.db, "subject", 1), log)
	}
}

// One section serves all blogs of a multisite that MySQL names: at the start, and a blog that is new at a reload. A start without
// MySQL serves the blogs of the last answer.
func TestOneSectionForAllBlogs(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{noRedis: true, tables: []string{
		"CREATE TABLE wp_blogs (blog_id BIGINT PRIMARY KEY, deleted TINYINT NOT NULL DEFAULT 0)",
		"INSERT INTO wp_blogs (blog_id, deleted) VALUES (1, 0), (2, 0), (3, 1)",
	}})
	r.text = strings.Replace(r.text, "[sites.main]", "[sites.\"blog-*\"]", 1)
	var database string
	if err := r.db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	if out, err := r.commands(t, "migrate", "--all"); err != nil || !strings.Contains(out, "wp_2_support_tickets: done") ||
		strings.Contains(out, "wp_3_") {
		t.Fatalf("migrate --all: %v: %s", err, out)
	}
	if err := r.WriteConfig(r.text); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := func(blog, table string) {
		t.Helper()
		c := r.dial(t)
		c.Table = database + "." + table
		if status, err := c.Status(t.Context()); err != nil || status.Site != blog {
			t.Errorf("%s is %q, want %s; %v", table, status.Site, blog, err)
		}
	}
	served("blog-1", "wp_support_tickets")
	served("blog-2", "wp_2_support_tickets")
	runSQL(t, r.db, "UPDATE wp_blogs SET deleted = 0")
	if out, err := r.commands(t, "migrate", "--all"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.reload(t)
	served("blog-3", "wp_3_support_tickets")
	r.proxy.Hold()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	served("blog-3", "wp_3_support_tickets")
}
