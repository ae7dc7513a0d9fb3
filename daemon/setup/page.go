package setup

import (
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// page is a configuration that grows by lines. text/template would write it as well, but calls methods by name: the linker then
// keeps the methods of all types of the program, a third of its size.
type page struct {
	text strings.Builder
	err  error // the first
}

// add adds lines as they are.
func (p *page) add(lines ...string) {
	for _, text := range lines {
		p.text.WriteString(text + "\n")
	}
}

// set adds key = value. Before it stands mark.
func (p *page) set(mark, key string, value any) {
	text, err := line(key, value)
	if p.err == nil {
		p.err = err
	}
	p.add(mark + text)
}

// given adds key = value if there is a value.
func (p *page) given(key, value string) {
	if value != "" {
		p.set("", key, value)
	}
}

// line writes key = value in TOML, whatever characters the value has.
func line(key string, value any) (string, error) {
	text, err := toml.Marshal(map[string]any{key: value})
	return strings.TrimRight(string(text), "\n"), err
}

// render writes a new configuration with a single site.
func render(d *draft) (string, error) {
	p := &page{}
	p.add("# ticketd's configuration, written by `ticketd init` from "+d.Source+".",
		"# docs/configure.md has every key with its default. After a change: systemctl reload ticketd, or restart, as "+
			"the page says for each",
		"# key.",
		"",
		"[daemon]")
	if d.Group != "" {
		p.add("# The group that may connect. allow_users below decides which user may use which site.")
		p.set("", "socket_group", d.Group)
	} else {
		p.add("# Name the group of PHP-FPM here, which must be able to connect.", `# socket_group = "www-data"`)
	}
	p.add("")
	if r := d.Redis; r != nil {
		p.add("[redis]")
		p.set("", "addr", r.Addr)
		p.given("username", r.User)
		p.given("password", r.Password)
		if r.TLS {
			p.add("tls = true")
		}
		p.given("tls_ca", r.CA)
		p.add("# A database for ticketd alone, because object-cache plugins empty their database.")
		p.set("", "db", r.Database)
	} else {
		p.add("# Without [redis] changes are pending in this host's journal until they are in MySQL. Sites on several "+
			"hosts need a Redis.",
			"# [redis]",
			`# addr = "unix:///run/redis/redis-server.sock"`,
			"# db = 1")
	}
	p.add("")
	p.section(d)
	return p.text.String(), p.err
}

// section adds a site.
func (p *page) section(d *draft) {
	p.add("[sites."+d.Site+"]",
		"# From wp-config.php: DB_USER, DB_PASSWORD, DB_HOST, DB_NAME. After a change in wp-config.php change the dsn, too.")
	p.set("", "dsn", d.DSN)
	if d.TLS {
		p.add("tls = true")
	}
	p.given("tls_ca", d.TLSCA)
	p.set("", "table_prefix", d.Prefix)
	if t := d.Tickets; t != nil {
		p.given("table", t.Table)
		if t.Key != "" || len(t.Columns) > 0 {
			p.add("# ticketd did not make the table and never alters it. The column of the ticket's id, and the fields "+
				"whose columns have other",
				"# names, are a guess from the columns' names: check them.")
		}
		p.given("key_column", t.Key)
		if len(t.Columns) > 0 {
			p.add("columns = " + t.Mappings())
		}
	}
	if d.KeyPrefix != "" {
		p.add("# Prefix of this site's keys in Redis, different for each site.")
		p.set("", "key_prefix", d.KeyPrefix)
	}
	if d.User != "" {
		p.add("# PHP-FPM's user may use this site; root and the daemon's own user always may.")
	} else {
		p.add("# Name the user of PHP-FPM here.")
	}
	p.users("", d)
	p.add(`# When changes are flushed to MySQL: "event" soon after a change, "interval" on a period, "on_close" `+
		`when a ticket is closed.`,
		`strategy = "event"`)
	if !d.Multisite {
		return
	}
	p.add("",
		"# This WordPress is a multisite, and the section above is its main blog's. Each further blog needs a section "+
			"of its own. The plugin",
		"# of blog 2 asks for the site blog-2, unless its settings or the filter ticketd_site name another one. For "+
			"each blog copy these",
		"# lines, remove their first #, and write the blog's number for 2.",
		"# [sites.blog-2]")
	p.set("# ", "dsn", d.DSN)
	p.set("# ", "table_prefix", d.Prefix+"2_")
	p.add(`# key_prefix = "blog-2:"`)
	p.users("# ", d)
}

// users adds who may use a site.
func (p *page) users(mark string, d *draft) {
	if d.User == "" {
		p.add(mark + "allow_users = []")
		return
	}
	p.set(mark, "allow_users", []string{d.User})
}
