package boot

import (
	"cmp"
	"context"
	"crypto/rand"

	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// backend is the store of a site's pending changes: Redis behind a journal, Redis alone, or the journal alone.
type backend struct {
	store.Backend

	redis *redis.Store // nil without a Redis
}

// store makes a site's store, for the journal with that id; empty without a journal.
func (p *redisPlace) store(o *parts, journal string) (*redis.Store, error) {
	return redis.New(p.client, redis.Options{
		Prefix: o.config.KeyPrefix, Owner: o.custody.owner, OnOwner: o.custody.toldKeys,
		CleanTTL: cleanTTL(o.config), MaxDirty: o.config.MaxDirty, Floor: o.floor, Clock: o.clock,
		Filled:  o.custody.filled(),
		Journal: journal, Host: cmp.Or(journal, rand.Text()), Log: o.log,
		Cluster: p.cluster, OnSeed: o.seeded, OnForeign: o.foreign, OnOdd: o.odd, OnVanished: o.vanished, OnBatch: o.batch,
		OnStray: o.stray, Convert: o.convert, OnOlder: o.older, OnTwin: o.twin, Aside: o.aside,
	})
}

// filled says that a daemon of this host has found this site's keys in Redis at the last check.
func (c *custody) filled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory.Keys != "" && c.memory.Keys == c.memory.Identity
}

// toldKeys records whether the keys in Redis belong to the table.
func (c *custody) toldKeys(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = err
	if err == nil && c.memory.Keys != c.memory.Identity {
		c.memory.Keys = c.memory.Identity
		c.keep()
	}
	c.say()
}

// kind names the backend for status.
func (b *backend) kind() protocol.Backend {
	if b.redis == nil {
		return protocol.BackendJournal
	}
	return protocol.BackendRedis
}

// warnings are the journal's states that need an operator.
func (b *backend) warnings() []string {
	var found []string
	if err := b.Stuck(nil); err != nil {
		found = append(found, err.Error())
	}
	j := b.Journal()
	if j == nil {
		return found
	}
	if j.Gone != nil {
		found = append(found, "the journal accepts no changes, and its pending changes are in memory alone: "+j.Gone.Error())
	}
	if j.Full != "" {
		found = append(found, "the journal is full: changes are answered overloaded: "+j.Full)
	}
	return found
}

// look checks whether Redis was emptied or restarted, and returns how many clean copies were dropped for that reason.
func (b *backend) look(ctx context.Context) (dropped int, err error) {
	if err := b.redis.Prepare(ctx); err != nil {
		return 0, err
	}
	return b.redis.Reconcile(ctx)
}
