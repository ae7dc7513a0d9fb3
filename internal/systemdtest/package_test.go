package systemdtest

import (
	"path/filepath"
	"strings"
	"testing"
)

const (
	configFile = "/etc/ticketd/ticketd.toml"
	unitDir    = "/usr/lib/systemd/system/"
)

// The sites of the tests: a site with Redis and a short drain at the stop, as Redis is taken away from it.
const (
	dsn    = "wordpress:secret@unix(/run/mysqld/mysqld.sock)/wordpress"
	daemon = "[daemon]\nshutdown_timeout = \"2s\"\n[redis]\naddr = \"127.0.0.1:6379\"\n"
	config = daemon + "[sites.main]\ndsn = \"" + dsn + "\"\n"
)

// The package's life, in order: each step continues on the machine as the step before left it.
func TestPackage(t *testing.T) {
	t.Parallel()
	need(t, "TICKETD_TEST_SYSTEMD", "test-systemd")
	old, current := "0.0.1", "0.0.2"
	debs := build(t, old, current)
	client, err := filepath.Abs("../../php-client")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	bookworm := root(t, debian{suite: "bookworm", base: "systemd,systemd-sysv,dbus,mariadb-server,redis-server,php-cli,php-msgpack"})
	m := start(t, bookworm, map[string]string{"/mnt/debs": debs, "/mnt/php-client": client, "/mnt/scripts": scripts})
	p := &pkg{machine: m, arch: arch(t), version: old}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"install", p.install},
		{"units", p.units},
		{"first ticket", p.firstTicket},
		{"spool", p.spool},
		{"credential", p.credential},
		{"reload", p.reload},
		{"restart and upgrade under writers", func(t *testing.T) { p.underWriters(t, old, current) }},
		{"killed", p.killed},
		{"frozen", p.frozen},
		{"starved", p.starved},
		{"purge", p.purge},
		{"purge with changes that wait", p.purgeUnflushed},
	} {
		if !t.Run(step.name, step.do) {
			break
		}
	}
}

// pkg is the package on its machine.
type pkg struct {
	*machine

	arch    string
	version string
}

// dpkg installs the package in a version.
func (p *pkg) dpkg(t *testing.T, version string) string {
	t.Helper()
	p.version = version
	return p.run(t, "dpkg", "--force-confold", "-i", "/mnt/debs/ticketd_"+version+"_"+p.arch+".deb")
}

// php runs a script as the web server does.
func (p *pkg) php(t *testing.T, script string, args ...string) string {
	t.Helper()
	return p.run(t, append(asWebServer("php", "/mnt/scripts/"+script), args...)...)
}

func asWebServer(args ...string) []string {
	return append([]string{"setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups"}, args...)
}

// subject returns MySQL's subject of a ticket, after a flush.
func (p *pkg) subject(t *testing.T, ticket string) string {
	t.Helper()
	p.run(t, "ticketd", "flush")
	return p.run(t, "mariadb", "-N", "wordpress", "-e", "SELECT subject FROM wp_support_tickets WHERE ticket_id = "+ticket)
}

// mode demands owner, group and mode of a file.
func (p *pkg) mode(t *testing.T, path, want string) {
	t.Helper()
	if got := p.run(t, "stat", "-c", "%U:%G %a", path); got != want {
		t.Errorf("%s is %s, want %s", path, got, want)
	}
}

func (p *pkg) absent(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if out, err := p.try(t, "ls", "-d", path); err == nil {
			t.Errorf("%s is left", out)
		}
	}
}

// A fresh package is not started, because it has no site, and says what to do; PHP already has everything it needs.
func (p *pkg) install(t *testing.T) {
	if out := p.dpkg(t, p.version); !strings.Contains(out, "ticketd init") {
		t.Errorf("installing says nothing of what to do next:\n%s", out)
	}
	if state, _ := p.try(t, "systemctl", "is-active", "ticketd.socket", "ticketd.service"); state != "inactive\ninactive" {
		t.Errorf("without a site the units are %q", state)
	}
	if state := p.run(t, "systemctl", "is-enabled", "ticketd.socket", "ticketd.service"); state != "enabled\nenabled" {
		t.Errorf("the units are %q, want both enabled", state)
	}
	p.mode(t, configFile, "root:ticketd 640")
	p.mode(t, "/etc/ticketd/credentials", "root:root 700")
	p.mode(t, "/var/spool/ticketd", "ticketd:ticketd 711")
	if groups := p.run(t, "id", "-Gn", "ticketd"); groups != "ticketd www-data" {
		t.Errorf("ticketd is in the groups %q", groups)
	}
	for _, path := range []string{
		"/usr/share/man/man1/ticketd.1.gz", "/usr/share/bash-completion/completions/ticketd",
		"/usr/share/ticketd/ticketd.zip", "/usr/share/doc/ticketd/ticketd.toml",
	} {
		p.run(t, "stat", path)
	}
}

func (p *pkg) units(t *testing.T) {
	out := p.run(t, "systemd-analyze", "verify", "--recursive-errors=no", "--man=no",
		unitDir+"ticketd.service", unitDir+"ticketd.socket")
	if out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	out = p.run(t, "systemd-analyze", "security", "--threshold=15", "--no-pager", "ticketd.service")
	lines := strings.Split(out, "\n")
	t.Log(lines[len(lines)-1])
}

func (p *pkg) firstTicket(t *testing.T) {
	p.run(t, "mariadb", "-e", "CREATE DATABASE wordpress; CREATE USER wordpress@localhost IDENTIFIED BY 'secret'; "+
		"GRANT ALL ON wordpress.* TO wordpress@localhost")
	p.write(t, configFile, config)
	p.run(t, "ticketd", "migrate")
	p.run(t, "systemctl", "start", "ticketd")
	p.mode(t, "/run/ticketd/ticketd.sock", "ticketd:www-data 660")
	p.mode(t, "/var/lib/ticketd", "ticketd:ticketd 700")
	p.mode(t, "/var/spool/ticketd", "ticketd:ticketd 711")
	p.mode(t, "/var/spool/ticketd/33", "www-data:ticketd 2770")
	if revision := p.php(t, "spool.php", "7", "hello"); revision == "0" {
		t.Error("the change was spooled although the daemon runs")
	}
	if got := p.subject(t, "7"); got != "hello" {
		t.Errorf("MySQL has %q", got)
	}
	out, err := p.try(t, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "ticketd", "ping")
	if err == nil || !strings.Contains(out, "may not use") {
		t.Errorf("somebody who is not in the socket's group is told %q", out)
	}
	if log := p.errors(t); log != "" {
		t.Errorf("a fresh daemon reports an error: %s", log)
	}
}

// Without the daemon PHP spools at once, because the folder is right; the daemon ingests the change at its start.
func (p *pkg) spool(t *testing.T) {
	p.run(t, "systemctl", "stop", "ticketd.socket", "ticketd.service")
	p.absent(t, "/run/ticketd/ticketd.sock")
	if revision := p.php(t, "spool.php", "7", "spooled"); revision != "0" {
		t.Errorf("revision %s without a daemon", revision)
	}
	p.run(t, "systemctl", "start", "ticketd")
	if got := p.subject(t, "7"); got != "spooled" {
		t.Errorf("MySQL has %q, want what was spooled", got)
	}
}

// A secret that only root can read reaches the daemon as a credential.
func (p *pkg) credential(t *testing.T) {
	p.write(t, "/etc/ticketd/credentials/main.dsn", dsn+"\n")
	p.write(t, configFile, daemon+"[sites.main]\ndsn_file = \"/run/credentials/ticketd.service/ticketd_main.dsn\"\n")
	p.run(t, "systemctl", "restart", "ticketd")
	p.php(t, "spool.php", "7", "secretly")
	if got := p.subject(t, "7"); got != "secretly" {
		t.Errorf("MySQL has %q", got)
	}
	p.write(t, configFile, config)
	p.run(t, "systemctl", "restart", "ticketd")
}

// A reload applies a correct configuration; it fails with a wrong configuration, and changes nothing.
func (p *pkg) reload(t *testing.T) {
	pid := p.show(t, "MainPID")
	strategy := func() string { return p.run(t, "ticketd", "status") }
	p.write(t, configFile, config+"strategy = \"on_close\"\n")
	p.run(t, "systemctl", "reload", "ticketd")
	p.await(t, "the strategy is another", func() bool { return strings.Contains(strategy(), "on_close") })
	p.write(t, configFile, config+"strategy = \"whenever\"\n")
	if out, err := p.try(t, "systemctl", "reload", "ticketd"); err == nil {
		t.Errorf("the reload of a wrong configuration succeeds:\n%s", out)
	}
	p.await(t, "the mistake is reported", func() bool { return strings.Contains(p.errors(t), "strategy") })
	p.await(t, "the unit is active again", func() bool { return p.show(t, "ActiveState") == "active" })
	if !strings.Contains(strategy(), "on_close") || p.show(t, "MainPID") != pid {
		t.Error("a wrong configuration took effect")
	}
	p.write(t, configFile, config)
	p.run(t, "systemctl", "reload", "ticketd")
}
