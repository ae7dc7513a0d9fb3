package boot

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// redisPlace is the Redis of all sites: its client, whether it answers, and what should be changed about it.
type redisPlace struct {
	client  goredis.UniversalClient
	cluster bool
	watch   *link.Watch
	doctor  *inspector
}

// newRedisPlace makes the client. Nothing is connected yet.
func newRedisPlace(c *config.Config, sites func() []*runningSite, log zerolog.Logger) (*redisPlace, error) {
	p := &redisPlace{cluster: len(c.Redis.Cluster) > 0}
	var err error
	if p.client, p.watch, err = connect(c, link.ClientOptions{Prefixes: Prefixes(c)}, log); err != nil {
		return nil, err
	}
	p.doctor = newInspector(p.client, sites, log)
	return p, nil
}

// start begins to watch Redis, for sites that are complete: a connection that is made before may be told of at any time.
func (p *redisPlace) start(ctx context.Context, sites []*runningSite) {
	p.watch.OnRun(func(ctx context.Context, on goredis.Scripter, run string, partitions []int) error {
		defer p.doctor.lookSoon()
		for _, s := range sites {
			if err := s.backend.redis.Replaced(ctx, on, run, partitions); err != nil {
				return err
			}
			if s.Site != nil { // tombstones may be lost with the former process
				s.Rebury()
			}
		}
		return nil
	})
	p.watch.OnUp(func() {
		for _, s := range sites {
			s.backend.nudge()
		}
		p.doctor.lookSoon()
	})
	p.watch.Start(ctx)
	p.doctor.Start(ctx)
}

func (p *redisPlace) stop(ctx context.Context) error {
	return errors.Join(p.doctor.Stop(ctx), p.watch.Stop(ctx))
}

// up tells whether all of Redis answers.
func (p *redisPlace) up() bool {
	up, _, _ := p.watch.State()
	return up
}

// store makes a site's store, for the journal of that id; empty is none.
func (p *redisPlace) store(o *parts, journal string) (*redis.Store, error) {
	return redis.New(p.client, redis.Options{
		Prefix: o.config.KeyPrefix, Owner: o.custody.owner, OnOwner: o.custody.toldKeys,
		CleanTTL: o.config.CleanTTL, MaxDirty: o.config.MaxDirty, Floor: o.floor, Clock: o.clock,
		Filled:  o.custody.filled(),
		Journal: journal, Host: cmp.Or(journal, rand.Text()), Log: o.log,
		Cluster: p.cluster, OnSeed: o.seeded, OnForeign: o.foreign, OnOdd: o.odd, OnVanished: o.vanished, OnBatch: o.batch,
		OnStray: o.stray, Convert: o.convert, OnOlder: o.older, OnTwin: o.twin, Aside: o.aside,
	})
}

// state tells whether Redis answers; without one the journal is the store, which always does.
func (d *Daemon) state() (up bool, since time.Time, reason string) {
	if d.redis == nil {
		return true, d.started, ""
	}
	return d.redis.watch.State()
}

// warnings are what should be changed about Redis.
func (d *Daemon) warnings() []string {
	if d.redis == nil {
		return d.left
	}
	return slices.Concat(d.left, d.redis.doctor.warnings())
}
