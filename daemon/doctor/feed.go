package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// checkFeed checks the history's table and the destinations of a site's changes. A probe sends no event.
func checkFeed(ctx context.Context, e *exam, site string) {
	c := e.Config.Sites[site]
	if c.History.Enabled {
		checkHistory(ctx, e, site, c)
	}
	if c.Feed.Enabled && !c.History.Enabled && len(c.Feeds) == 0 {
		e.ok("feed", "switch", site, "the feed is on without a destination: clients and readers of the store follow it")
	}
	for _, name := range c.DestinationNames() {
		d := c.Feeds[name]
		if d.Kind == config.KindPull {
			continue
		}
		checkDestination(ctx, e, site, name, &d)
	}
}

func checkHistory(ctx context.Context, e *exam, site string, c config.Site) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	db, err := boot.OpenDatabase(c)
	if err != nil {
		return // reported already
	}
	defer func() { _ = db.Close() }()
	switch err := mysql.NewHistory(db).Look(ctx); {
	case err == nil:
		e.ok("feed", "history", site, "the table of the history can be read")
	case errors.Is(err, flush.ErrSinkPaused):
		e.warn("feed", "history", site, "the history is on, and its table cannot be used: "+short(err), "ticketd migrate --site "+site+
			"; if its user may not CREATE, an administrator runs what 'ticketd migrate --dry-run' prints")
	}
}

// checkDestination asks whether a destination answers.
func checkDestination(ctx context.Context, e *exam, site, name string, d *config.Destination) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if file := secretFile(d); file != "" {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 {
			e.warn("feed", "secret", site, "every user of this host can read "+file+" of the destination "+name, "chmod o-r "+file)
		}
	}
	publisher, err := boot.OpenPublisher(site, d)
	if err != nil {
		e.fail("feed", "destination", site, name+": "+short(err), "correct the section [sites."+site+".feeds."+name+"]")
		return
	}
	defer func() { _ = publisher.Close() }()
	begun := time.Now()
	err = publisher.Probe(ctx)
	if d.Kind == config.KindWebhook { // an endpoint cannot be asked without an event, but its host can
		err = errors.Join(err, reach(ctx, d))
	}
	if err != nil {
		e.warn("feed", "destination", site, name+" does not answer: "+short(err), "correct the section [sites."+site+".feeds."+name+
			"], or the destination; 'ticketd feed test "+name+"' sends an event")
		return
	}
	e.ok("feed", "destination", site, name+" answers, in "+time.Since(begun).Round(time.Millisecond).String())
}

// secretFile is the file of a destination's secret, if it is not a credential of systemd's.
func secretFile(d *config.Destination) string {
	for _, file := range []string{d.SecretFile, d.URLFile, d.PasswordFile} {
		if len(file) > 0 && file[0] == '/' {
			return file
		}
	}
	return ""
}

// reach connects to the host of a webhook.
func reach(ctx context.Context, d *config.Destination) error {
	u, err := url.Parse(d.URL.Reveal())
	if err != nil {
		return err
	}
	port, dial := cmp.Or(u.Port(), "80"), (&net.Dialer{}).DialContext
	if u.Scheme == "https" {
		secured, err := d.TLSConfig()
		if err != nil {
			return err
		}
		port, dial = cmp.Or(u.Port(), "443"), (&tls.Dialer{Config: secured}).DialContext
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
