package boot

import (
	"cmp"
	"context"
	"crypto/rand"
	"os"
	"time"

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

// beforeJournal removes another table's journal without pending changes, so that a new journal can be made.
func (c *custody) beforeJournal(ctx context.Context, dir string, forRedis bool) error {
	c.mu.Lock()
	identity, former := c.identity, c.former
	c.mu.Unlock()
	owner, err := readLabel(dir)
	if dir == "" || identity == "" || owner == "" || owner == identity || owner == former || err != nil {
		return nil //nolint:nilerr // openedJournal reports an unreadable label
	}
	waiting, err := waitingIn(ctx, dir, forRedis)
	if err != nil || waiting > 0 {
		return err
	}
	c.log.Info().Str("journal", dir).Msg("the journal was another table's and had no pending changes: a new journal is begun")
	return os.RemoveAll(dir)
}

// openedJournal records the folder of the journal that was opened.
func (c *custody) openedJournal(dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.journal = dir; dir != "" && c.identity != "" {
		c.label()
	}
	c.say()
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

// journalStatus returns the function that reports the journal's status; nil without a journal.
func (b *backend) journalStatus() func() protocol.JournalStatus {
	if b.Journal() == nil {
		return nil
	}
	return func() protocol.JournalStatus {
		j := b.Journal()
		return protocol.JournalStatus{
			Entries: j.Entries, Bytes: j.Bytes, Segments: j.Segments, Replayed: j.Replayed, OldestMS: age(j.Oldest), Requests: j.Requests,
		}
	}
}

func age(since time.Time) int64 {
	if since.IsZero() {
		return 0
	}
	return max(time.Since(since).Milliseconds(), 0)
}
