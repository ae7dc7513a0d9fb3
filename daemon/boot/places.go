package boot

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Places are a site's store and database, for commands that compare the store with the database beside a running daemon.
type Places struct {
	Store    *redis.Admin
	Database *mysql.DB
	client   goredis.UniversalClient
	// Overwrite makes another program's hashes count even if the hashes are older than the tickets.
	Overwrite bool
}

var errNoRedis = errors.New("the configuration has no [redis], so no store can be compared with MySQL: " +
	"pending changes are in the journal, and 'ticketd status' counts the changes")

// OpenPlaces opens a site's store and database, without connecting yet.
func OpenPlaces(c *config.Config, site config.Site) (*Places, error) {
	if !c.HasRedis() {
		return nil, errNoRedis
	}
	client, _, err := connect(c, link.ClientOptions{Prefixes: []string{site.KeyPrefix}}, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	p := &Places{client: client}
	if p.Database, err = OpenDatabase(site); err != nil {
		return nil, errors.Join(err, p.client.Close())
	}
	var known atomic.Pointer[string]
	p.Database.Guard(mysql.GuardOptions{Told: func(identity string, _ bool, err error) {
		if err == nil {
			known.Store(&identity)
		}
	}})
	owner := func(ctx context.Context) (redis.Owner, error) {
		if err := p.Database.Identify(ctx); err != nil {
			return redis.Owner{}, err
		}
		identity := known.Load()
		if identity == nil {
			return redis.Owner{}, errUnidentified
		}
		return redis.Owner{Identity: *identity, Former: p.Database.Name()}, nil
	}
	s, err := redis.New(p.client, redis.Options{
		Prefix: site.KeyPrefix, Owner: owner, CleanTTL: cleanTTL(&site), Floor: p.Database.MaxRevision,
		Clock: ticket.NewClock(time.Now), Cluster: len(c.Redis.Cluster) > 0,
		Convert: func(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error) {
			return convert(ctx, TicketsOf(&site, p.Database), p.Overwrite, key, id, stray)
		},
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.Store = &redis.Admin{Store: s}
	return p, nil
}

// Close closes the store and the database.
func (p *Places) Close() error { return errors.Join(p.Database.Close(), p.client.Close()) }

// connect makes a client, with further options. connect reads the certificates, but makes no connection yet.
func connect(
	of *config.Config, o link.ClientOptions, log zerolog.Logger,
) (goredis.UniversalClient, *link.Watch, error) {
	c := &of.Redis
	secured, err := c.TLSConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("redis.tls: %w", err)
	}
	o.Network, o.Address = c.Network()
	o.Sentinels, o.MasterName, o.Cluster = c.Sentinels, c.MasterName, c.Cluster
	o.SentinelUsername, o.SentinelPassword, o.TLS = c.SentinelUsername, c.SentinelPassword.Reveal(), secured
	o.Username, o.Password, o.Database, o.PoolSize = c.Username, c.Password.Reveal(), c.DB, c.PoolSize
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = c.DialTimeout, c.ReadTimeout, c.WriteTimeout
	client, watch := link.Connect(o, log)
	return client, watch, nil
}

// Prefixes are the prefixes of all sites' keys.
func Prefixes(c *config.Config) []string {
	all := make([]string, 0, len(c.Sites))
	for _, name := range c.SiteNames() {
		all = append(all, c.Sites[name].KeyPrefix)
	}
	return all
}

// OpenRedis makes a client of the configuration's Redis, without connecting yet, for a command that only reads: the server need
// not meet ticketd's requirements, and may be another program's.
func OpenRedis(c *config.Config) (goredis.UniversalClient, error) {
	client, _, err := connect(c, link.ClientOptions{Unproved: true}, zerolog.Nop())
	return client, err
}
