package boot

import (
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Places are a site's store and database, for commands that look at both beside a running daemon.
type Places struct {
	Store    *redis.Store
	Database *mysql.DB
	client   *goredis.Client
}

// OpenPlaces opens both. Nothing is connected yet.
func OpenPlaces(c *config.Config, site config.Site) (*Places, error) {
	client, _ := connect(&c.Redis, zerolog.Nop())
	p := &Places{client: client}
	var err error
	if p.Database, err = OpenDatabase(site); err != nil {
		return nil, errors.Join(err, p.client.Close())
	}
	p.Store, err = newStore(p.client, &site, p.Database, ticket.NewClock(time.Now), nil, nil)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close closes both.
func (p *Places) Close() error { return errors.Join(p.Database.Close(), p.client.Close()) }

func connect(c *config.Redis, log zerolog.Logger) (*goredis.Client, *redis.Watch) {
	network, address := c.Network()
	return redis.Connect(redis.ClientOptions{
		Network: network, Address: address,
		Username: c.Username, Password: c.Password.Reveal(), Database: c.DB, PoolSize: c.PoolSize,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
	}, log)
}

func newStore(
	client goredis.UniversalClient, c *config.Site, db *mysql.DB, clock *ticket.Clock, onSeed func(ticket.Revision, bool),
	onForeign func(key string),
) (*redis.Store, error) {
	return redis.New(client, redis.Options{
		Prefix: c.KeyPrefix, Owner: db.Name(), CleanTTL: c.CleanTTL, Floor: db.MaxRevision, Clock: clock, OnSeed: onSeed,
		OnForeign: onForeign,
	})
}
