package systemdtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the hosts of TestInstall have before ticketd comes: a WordPress behind nginx and PHP-FPM.
const (
	installBase = "systemd,systemd-sysv,dbus,sudo"
	installMore = "wordpress,php-fpm,php-mysql,nginx-light,mariadb-server,redis-server"
)

// host is a machine with a WordPress, on which somebody follows docs/install.md.
type host struct {
	*machine

	folder string // WordPress
	wp     string // what --wp names
}

// By the words of docs/install.md alone, a Debian with WordPress gets its first ticket, from the command line and from a page,
// and is rid of ticketd again. The commands are read from the document; only the paths that it leaves open are filled in.
func TestInstall(t *testing.T) { //nolint:paralleltest // one machine after the other
	need(t, "TICKETD_TEST_INSTALL", "test-install")
	debs := build(t, "0.0.1")
	binds := map[string]string{"/mnt/debs": debs, "/mnt/src": sources(t)}
	for at, dir := range map[string]string{"/mnt/scripts": "testdata", "/mnt/testenv": "../testenv"} {
		abs, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		binds[at] = abs
	}
	for _, suite := range []string{"bookworm", "trixie"} { //nolint:paralleltest // as above
		base := root(t, debian{suite: suite, base: installBase, more: installMore})
		for name, follow := range map[string]func(*testing.T, *host){
			"Debian's WordPress and Redis": func(t *testing.T, h *host) {
				h.redis(t)
				h.debianWordPress(t)
				h.fromPackage(t)
			},
			"WordPress in var-www without Redis": func(t *testing.T, h *host) {
				h.run(t, "systemctl", "disable", "--quiet", "--now", "redis-server")
				h.ownWordPress(t)
				h.fromPackage(t)
			},
			"WordPress in var-www from source": func(t *testing.T, h *host) {
				h.redis(t)
				h.ownWordPress(t)
				h.fromSource(t)
			},
		} {
			t.Run(suite+"/"+name, func(t *testing.T) {
				h := &host{machine: start(t, base, binds)}
				h.write(t, "/etc/hosts", "127.0.0.1 localhost "+h.run(t, "uname", "-n")+"\n")
				follow(t, h)
			})
		}
	}
}

// sources is the folder in which somebody builds: bin/ticketd, and the files that the document names.
func sources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, step := range [][]string{
		{"make", "build"}, {"cp", "-r", "bin", "packaging", dir},
		{"go", "run", "./internal/pluginzip", "php-client/ticketd", filepath.Join(dir, "ticketd.zip")},
	} {
		cmd := exec.CommandContext(t.Context(), step[0], step[1:]...)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", step, err, out)
		}
	}
	return dir
}

// block returns a block of commands of docs/install.md: the first one below the heading that has the text.
func block(t *testing.T, heading, has string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(doc), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/install.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if strings.HasPrefix(paragraph, "    ") && strings.Contains(paragraph, has) {
			return paragraph
		}
	}
	t.Fatalf("the section %q has no commands with %q", heading, has)
	return ""
}

// follow runs commands of the document in a folder, and returns what they say.
func (h *host) follow(t *testing.T, folder, commands string) string {
	t.Helper()
	filled := strings.NewReplacer("VERSION_ARCH", "0.0.1_"+arch(t), "/var/www/html", h.wp).Replace(commands)
	out := h.run(t, "sh", "-ec", "cd "+folder+"\n"+filled)
	t.Logf("%s\n%s", filled, out)
	return out
}

// redis gives Debian's Redis the settings that the document names.
func (h *host) redis(t *testing.T) {
	t.Helper()
	settings := regexp.MustCompile(`(?m) *#.*$`).ReplaceAllString(block(t, "Redis", "appendonly yes"), "")
	h.write(t, "/etc/redis/redis.conf", h.run(t, "cat", "/etc/redis/redis.conf")+"\n"+settings+"\n")
	h.run(t, "systemctl", "restart", "redis-server")
}

// debianWordPress sets up the site as Debian's own script does (/usr/share/doc/wordpress/examples/setup-mysql).
func (h *host) debianWordPress(t *testing.T) {
	t.Helper()
	h.folder, h.wp = "/usr/share/wordpress", "/etc/wordpress/config-localhost.php"
	h.write(t, h.wp, "<?php\n# Created by setup-mysql -n wordpress localhost\ndefine('DB_NAME', 'wordpress');\n"+
		"define('DB_USER', 'wordpress');\ndefine('DB_PASSWORD', 'secret');\ndefine('DB_HOST', 'localhost');\n"+
		"define('SECRET_KEY', 'x');\ndefine('WP_CONTENT_DIR', '/var/lib/wordpress/wp-content');\n"+
		"define('FS_METHOD', 'direct');\n?>\n")
	h.run(t, "sh", "-ec", "chgrp www-data "+h.wp+"; chmod 0640 "+h.wp+"; chown -R www-data /var/lib/wordpress/wp-content")
	h.serve(t)
}

// ownWordPress sets up a WordPress that somebody unpacked below /var/www, with the configuration that its sample becomes.
func (h *host) ownWordPress(t *testing.T) {
	t.Helper()
	h.folder, h.wp = "/var/www/html", "/var/www/html"
	h.run(t, "sh", "-ec", `cp -RL /usr/share/wordpress/. /var/www/html/ 2>/dev/null || [ -e /var/www/html/wp-load.php ]
		cd /var/www/html; rm -rf wp-config.php .htaccess wp-content/uploads
		sed 's/database_name_here/wordpress/; s/username_here/wordpress/; s/password_here/secret/' wp-config-sample.php >wp-config.php
		chown -R www-data:www-data .; chmod 0640 wp-config.php`)
	h.serve(t)
}

// serve makes the database and brings the site on the air.
func (h *host) serve(t *testing.T) {
	t.Helper()
	h.run(t, "mariadb", "-e", "CREATE DATABASE wordpress; CREATE USER wordpress@localhost IDENTIFIED BY 'secret'; "+
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, CREATE TEMPORARY TABLES ON wordpress.* "+
		"TO wordpress@localhost")
	h.run(t, "setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups", "php", "/mnt/testenv/wordpress_install.php",
		h.folder, "admin", "secret")
	h.write(t, "/etc/nginx/sites-enabled/default", "server {\nlisten 127.0.0.1:80;\nroot "+h.folder+";\nindex index.php;\n"+
		"location ~ \\.php$ { include snippets/fastcgi-php.conf; fastcgi_pass unix:/run/php/php-fpm.sock; }\n}\n")
	h.run(t, "sh", "-ec", "systemctl -q disable --now apache2 || true; cp /mnt/scripts/first.php "+h.folder+
		"; systemctl restart 'php*-fpm.service' nginx")
}

// fromPackage follows the document from the package to its removal.
func (h *host) fromPackage(t *testing.T) {
	t.Helper()
	h.follow(t, "/mnt/debs", block(t, "From the package", "apt install ./"))
	h.firstTicket(t)
	h.fromPage(t, "/usr/share/ticketd/ticketd.zip")
	if log := h.errors(t); log != "" {
		t.Errorf("the fresh daemon reports an error: %s", log)
	}
	h.run(t, "sh", "-ec", "apt-get -q -y purge ticketd")
	h.run(t, "sh", "-ec", "! ls -d /etc/ticketd /var/lib/ticketd /var/spool/ticketd /run/ticketd")
	h.subjects(t, "Where is my order?\nFrom a page")
}

// fromSource follows the document from the sources: its last command runs until it is ended.
func (h *host) fromSource(t *testing.T) {
	t.Helper()
	commands, found := strings.CutPrefix(block(t, "From source", "make build"), "    make build\n")
	if !found || !strings.HasSuffix(commands, "ticketd serve") {
		t.Fatalf("the commands are others:\n%s", commands)
	}
	h.follow(t, "/mnt/src", commands+" >/run/serve.log 2>&1 &")
	h.await(t, "the daemon answers", func() bool {
		_, err := h.try(t, "ticketd", "ping")
		return err == nil
	})
	h.firstTicket(t)
	h.fromPage(t, "/mnt/src/ticketd.zip")
}

// firstTicket makes the first ticket, and finds nothing wrong.
func (h *host) firstTicket(t *testing.T) {
	t.Helper()
	out := h.follow(t, "/", block(t, "From the package", "ticketd create"))
	for line := range strings.Lines(out) {
		optional := strings.HasPrefix(line, "warn  php msgpack") || strings.HasPrefix(line, "warn  redis latency") // a busy machine
		if strings.HasPrefix(line, "fail") || strings.HasPrefix(line, "warn") && !optional {
			t.Errorf("ticketd doctor finds: %s", line)
		}
	}
	h.subjects(t, "Where is my order?")
}

// fromPage installs the plugin; a page makes the second ticket.
func (h *host) fromPage(t *testing.T, zip string) {
	t.Helper()
	h.run(t, "setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups", "php", "/mnt/scripts/plugin.php", h.folder, zip)
	if out := h.run(t, "php", "-r", "echo file_get_contents('http://localhost/first.php');"); out != "2" {
		t.Fatalf("the page says %q, want the ticket's number", out)
	}
	h.subjects(t, "Where is my order?\nFrom a page")
}

// subjects waits until MySQL has these.
func (h *host) subjects(t *testing.T, want string) {
	t.Helper()
	h.await(t, "MySQL has the tickets "+want, func() bool {
		got, err := h.try(t, "mariadb", "-N", "wordpress", "-e", "SELECT subject FROM wp_support_tickets ORDER BY ticket_id")
		return err == nil && got == want
	})
}
