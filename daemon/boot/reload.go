package boot

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/metrics"
	"github.com/ticketd/ticketd/daemon/site"
)

// sites are the present sites, those that are about to be removed included.
func (d *Daemon) sites() []*runningSite { return *d.running.Load() }

func (d *Daemon) setSites(sites []*runningSite) { d.running.Store(&sites) }

// Reload applies a changed configuration: it removes and adds sites, opens sites anew that were corrected, and applies the users
// of each site, the sync strategies and the log's level. Other changes take effect at the next start, which the log says. The
// error names the sites that cannot be added; a configuration with unknown users changes nothing.
func (d *Daemon) Reload(ctx context.Context, c *config.Config) error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.work == nil {
		return errors.New("the daemon is not running")
	}
	if _, err := d.access(c); err != nil {
		return err
	}
	d.remove(ctx, c)
	failed := d.add(ctx, c)
	access, err := d.access(c)
	if err != nil {
		return err
	}
	d.table.Replace(access)
	for _, s := range d.sites() {
		if configured, there := c.Sites[s.name]; there {
			s.SetStrategy(strategy(&configured))
			if err := s.applyFeeds(ctx, &configured); err != nil {
				s.log.Warn().Err(err).Msg("a courier of a former configuration did not end in order")
			}
		}
	}
	d.connections.SetUsers(d.peers(c))
	if d.spool != nil {
		d.spoolUsers.Store(d.prepareSpool(c))
		d.spool.Refresh()
	}
	d.findLeft(ctx)
	d.readTables(ctx)
	SetLevel(c.Log.Level)
	if keys := restartKeys(d.now, c); len(keys) > 0 {
		d.log.Warn().Strs("keys", keys).Msg("the configuration has changes that take effect at the next start of the daemon")
	}
	d.keepSettings()
	d.log.Info().Strs("sites", c.SiteNames()).Msg("configuration reloaded")
	if m := &d.config.Metrics; d.scraped != nil { // the endpoint reads the file by itself
		failed = errors.Join(failed, metrics.CheckWeb(m.WebConfig, !m.Local()))
	}
	return failed
}

// remove removes the sites that the configuration no longer has, and the corrected sites, which add opens anew. Their requests
// are refused from now on. A site whose changes cannot be flushed within the time of a stop stays, unserved, and is flushed
// further; the next reload removes it.
func (d *Daemon) remove(ctx context.Context, c *config.Config) {
	gone := d.gone(c)
	if len(gone) == 0 {
		return
	}
	rest := *c
	rest.Sites = maps.Clone(c.Sites)
	for _, s := range gone {
		delete(rest.Sites, s.name)
	}
	served, err := d.access(&rest)
	if err != nil {
		return
	}
	d.table.Replace(served)
	ctx, cancel := context.WithTimeoutCause(ctx, d.config.Daemon.ShutdownTimeout, errors.New("daemon.shutdown_timeout is over"))
	defer cancel()
	grace := time.NewTimer(d.config.Daemon.RequestTimeout) // requests that found their site before end within this time
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-ctx.Done():
		return
	}
	var removing sync.WaitGroup
	for _, s := range gone {
		removing.Go(func() {
			_, corrected := c.Sites[s.name]
			if s.left = s.empty(ctx, corrected); s.left != nil {
				s.log.Error().Err(s.left).Msg("the site is not in the configuration any more, and not all of its changes are in MySQL: " +
					"the daemon refuses its requests and goes on flushing; reload again to remove the site")
			}
		})
	}
	removing.Wait()
	now := *d.now
	now.Sites = maps.Clone(d.now.Sites)
	d.setSites(slices.DeleteFunc(slices.Clone(d.sites()), func(s *runningSite) bool {
		return slices.Contains(gone, s) && s.left == nil
	}))
	for _, s := range gone {
		if s.left != nil {
			continue
		}
		delete(now.Sites, s.name)
		if s.added || !s.custody.untouched() {
			delete(d.places.Keys, s.name) // which has no pending change
		}
		if err := errors.Join(s.stop(ctx), s.close()); err != nil {
			s.log.Warn().Err(err).Msg("the site is removed, and a part of it did not end in order")
			continue
		}
		s.log.Info().Msg("the site is removed")
	}
	d.keepPlaces()
	d.now = &now
}

// gone returns the sites that the configuration no longer has, and the sites that it corrects: a site whose table no daemon of
// this host has ever found, as after a mistyped dsn, has accepted no change, so that a reload can open it anew.
func (d *Daemon) gone(c *config.Config) []*runningSite {
	keys := restartKeys(d.now, c)
	return slices.DeleteFunc(slices.Clone(d.sites()), func(s *runningSite) bool {
		_, there := c.Sites[s.name]
		corrected := s.custody.untouched() && slices.ContainsFunc(keys, func(key string) bool {
			return strings.HasPrefix(key, "sites."+s.name+".")
		})
		return there && !corrected
	})
}

// isEmpty says that the site has accepted no change, and that its journal has none of an earlier time.
func (s *runningSite) isEmpty() bool {
	j := s.backend.Journal()
	return s.custody.untouched() && (j == nil || j.Entries == 0)
}

// empty flushes a site's changes. The error says why changes are left. The changes in the journal of a corrected site are left to
// the site that is opened in its place.
func (s *runningSite) empty(ctx context.Context, corrected bool) error {
	if s.custody.untouched() && corrected || s.isEmpty() {
		return nil
	}
	if err := s.Drain(ctx); err != nil {
		return err
	}
	if j := s.backend.Journal(); s.backend.redis != nil && j != nil && j.Entries > 0 {
		return fmt.Errorf("%d changes are pending in the journal for Redis", j.Entries)
	}
	return nil
}

// add opens and starts the configuration's new sites. A site that cannot be opened keeps no other site away.
func (d *Daemon) add(ctx context.Context, c *config.Config) error {
	now := *d.now
	now.Sites = maps.Clone(d.now.Sites)
	var added []*runningSite
	var failed []error
	fail := func(name string, err error) {
		delete(now.Sites, name)
		failed = append(failed, fmt.Errorf("site %s is not added: %w", name, err))
	}
	d.now = &now
	for _, name := range c.SiteNames() {
		if _, there := now.Sites[name]; there {
			continue
		}
		now.Sites[name] = c.Sites[name]
		_, had := d.places.Keys[name]
		s, err := d.openSite(name, c.Sites[name])
		s.added = !had
		if err != nil {
			fail(name, errors.Join(err, s.close()))
			continue
		}
		added = append(added, s)
	}
	for _, s := range *d.servers.Load() {
		s.Start(d.work) //nolint:contextcheck // a new server is watched beyond the reload; the others are already
	}
	d.identify(ctx, added)
	for _, s := range added {
		if err := d.complete(ctx, s); err != nil {
			fail(s.name, errors.Join(err, s.close()))
			continue
		}
		d.setSites(append(slices.Clone(d.sites()), s))
		s.Start(d.work) //nolint:contextcheck // the site outlives the reload
		s.log.Info().Msg("the site is added")
	}
	return errors.Join(failed...)
}

// readTables reads the definitions of the sites' tables: an operator who has added a column reloads the daemon before the values
// of the field move into the column.
func (d *Daemon) readTables(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var reads sync.WaitGroup
	for _, s := range d.sites() {
		reads.Go(func() {
			if err := s.Refresh(ctx); err != nil {
				s.log.Warn().Err(err).Msg("the table's definition cannot be read; it is tried again")
			}
		})
	}
	reads.Wait()
}

// fixed is a configuration without the settings that a reload applies.
func fixed(c *config.Config) config.Config {
	rest := c.Settled()
	rest.Log.Level = ""
	rest.Sites = make(map[string]config.Site, len(c.Sites))
	for name, s := range c.Sites {
		s.AllowUsers, s.AllowGroups, s.ClientTable = nil, nil, ""
		s.Feed, s.History, s.Feeds = config.Feed{}, config.History{}, nil
		s.Strategy, s.Linger, s.Period, s.MaxAge, s.CloseField, s.CloseStatuses = "", 0, 0, 0, "", nil
		rest.Sites[name] = s
	}
	return rest
}

// keepSettings writes the file. The daemon works without it.
func (d *Daemon) keepSettings() {
	dir := d.config.Daemon.StateDir
	if dir == "" {
		return
	}
	kept := startSettings{Salt: rand.Text()}
	kept.Digests = digests(d.now, kept.Salt)
	text, err := json.MarshalIndent(kept, "", "  ")
	if err == nil {
		err = site.Keep(filepath.Join(dir, startedWith), text)
	}
	if err != nil {
		d.log.Warn().Err(err).Msg("'ticketd config check' cannot say what needs a restart")
	}
}
