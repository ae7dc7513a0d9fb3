package doctor

import (
	"context"
	"fmt"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/daemon/unit"
)

// sandbox checks that the service's unit hides no socket of the configuration from the daemon, as this command sees them all,
// and that no password crosses a network without TLS.
func (e *exam) sandbox(ctx context.Context) {
	view := e.Unit
	if view == nil {
		read := unit.Read(ctx)
		view = &read
	}
	look := func(site, key, path string) {
		if directive, dropIn := view.Hides(path); directive != "" {
			e.fail("config", "sandbox", site, fmt.Sprintf("%s: the service does not see %s, by %s in its unit", key, path, directive),
				"move the socket to /run, or: systemctl edit ticketd.service, with the lines [Service] and "+dropIn)
		}
	}
	look("", "daemon.socket", e.Config.Daemon.Socket)
	if path, unix := strings.CutPrefix(e.Config.Redis.Addr, "unix://"); unix {
		look("", "redis.addr", path)
	}
	for _, name := range e.Config.SiteNames() {
		site := e.Config.Sites[name]
		if site.Exposed() {
			e.warn("mysql", "tls", name, "the connection to MySQL has no TLS: whoever is on the way can read the password and the tickets",
				"set sites."+name+".tls = true, with tls_ca for a CA of your own; see docs/hosting.md")
		}
		if dsn, err := driver.ParseDSN(site.DSN.Reveal()); err == nil && dsn.Net == "unix" {
			look(name, "dsn", dsn.Addr)
		}
	}
}
