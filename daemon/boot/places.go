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
	"github.com/ticketd/ticketd/sync/mysql"
)

// Places are a site's store and database, for commands that look at both beside a running daemon.
type Places struct {
	Store    *redis.Store
	Database *mysql.DB
	client   goredis.UniversalClient
}

var errNoRedis = errors.New("the configuration has no [redis], so there is nothing to compare with MySQL: " +
	"what waits is in the journal, and 'ticketd status' counts it")

// OpenPlaces opens both. Nothing is connected yet.
func OpenPlaces(c *config.Config, site config.Site) (*Places, error) {
	if !c.HasRedis() {
		return nil, errNoRedis
	}
	client, _, err := connect(&c.Redis, zerolog.Nop())
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
	p.Store, err = redis.New(p.client, redis.Options{
		Prefix: site.KeyPrefix, Owner: owner, CleanTTL: site.CleanTTL, Floor: p.Database.MaxRevision,
		Clock: ticket.NewClock(time.Now), Cluster: len(c.Redis.Cluster) > 0,
		Convert: Converter(p.Database),
	})
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close closes both.
func (p *Places) Close() error { return errors.Join(p.Database.Close(), p.client.Close()) }

// connect makes a client. It connects to nothing yet; the certificates are read.
func connect(c *config.Redis, log zerolog.Logger) (goredis.UniversalClient, *redis.Watch, error) {
	secured, err := c.TLSConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("redis.tls: %w", err)
	}
	network, address := c.Network()
	client, watch := redis.Connect(redis.ClientOptions{
		Network: network, Address: address, Sentinels: c.Sentinels, MasterName: c.MasterName, Cluster: c.Cluster,
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword.Reveal(), TLS: secured,
		Username: c.Username, Password: c.Password.Reveal(), Database: c.DB, PoolSize: c.PoolSize,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
	}, log)
	return client, watch, nil
}

// OpenRedis makes a client of the configuration's Redis, for a command. Nothing is connected yet.
func OpenRedis(c *config.Config) (goredis.UniversalClient, error) {
	client, _, err := connect(&c.Redis, zerolog.Nop())
	return client, err
}
