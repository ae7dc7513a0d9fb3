package boot

import (
	"reflect"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
)

// Reload applies a changed configuration: who may use which site, the sync strategies, and the log's level. What else has
// changed is named in the log; it takes effect at the next start.
func (d *Daemon) Reload(c *config.Config) error {
	access, err := d.access(c)
	if err != nil {
		return err
	}
	for _, s := range d.sites {
		configured, there := c.Sites[s.name]
		if !there {
			delete(access, s.name)
			continue
		}
		s.SetStrategy(strategy(&configured))
	}
	d.table.Replace(access)
	d.connections.SetUsers(d.peers(c))
	if d.spool != nil {
		d.spoolUsers.Store(d.prepareSpool(c))
		d.spool.Refresh()
	}
	SetLevel(c.Log.Level)
	if needsRestart(d.config, c) {
		d.log.Warn().Msg("the configuration has changes that take effect at the next start of the daemon")
	}
	d.log.Info().Msg("configuration reloaded")
	return nil
}

// SetLevel sets the level of all loggers; what is no level counts as info.
func SetLevel(name string) {
	level, err := zerolog.ParseLevel(name)
	if err != nil {
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}

// needsRestart compares what a reload does not apply.
func needsRestart(before, after *config.Config) bool {
	return !reflect.DeepEqual(fixed(before), fixed(after))
}

// fixed is a configuration without what a reload applies.
func fixed(c *config.Config) config.Config {
	rest := *c
	rest.Log.Level = ""
	rest.Sites = make(map[string]config.Site, len(c.Sites))
	for name, s := range c.Sites {
		s.AllowUsers, s.AllowGroups, s.ClientTable = nil, nil, ""
		s.Strategy, s.Linger, s.Period, s.MaxAge, s.CloseField, s.CloseStatuses = "", 0, 0, 0, "", nil
		rest.Sites[name] = s
	}
	return rest
}
