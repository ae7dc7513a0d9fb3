package boot

import (
	"context"
	"time"

	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rs/zerolog"

	"cmp"
	"crypto/rand"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/journal"
	"github.com/ticketd/ticketd/store/outbox"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
	"github.com/ticketd/ticketd/store/wal"
)

// backend is the store of a site's pending changes: Redis behind a journal, Redis alone, or the journal alone.
type backend struct {
	store.Backend

	redis *redis.Store // nil without a Redis
}

// parts are the inputs of a backend.
type parts struct {
	name    string
	config  *config.Site
	clock   *ticket.Clock
	floor   func(context.Context) (ticket.Revision, error)
	custody *custody
	moves   *moves.Register
	// seeded is called for an empty Redis, foreign for a key in Redis that is no ticket.
	seeded  func(floor ticket.Revision, emptied bool)
	foreign func(key string)
	// odd receives a key in Redis with an impossible revision.
	odd func(key string)
	// vanished receives the key of a ticket with pending changes that another program deleted.
	vanished func(key string, back bool)
	// nextID returns a new id for a create whose id is taken.
	nextID func(context.Context) (ticket.ID, error)
	// born says since when MySQL knows tickets of these ids.
	born func(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error)
	// stray receives the key of a hash that another program wrote under a ticket's name; convert makes a ticket of such a hash.
	stray   func(key string)
	convert func(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error)
	// older receives the key of such a hash that was older than its ticket, and the hash's new key.
	older func(key, aside string)
	// aside keeps an acknowledged change that is older than the ticket with the same id.
	aside func(m *store.Mutation, acknowledged time.Time) error
	// twin receives the id of the site's journal if another daemon uses the same id.
	twin func(journal string)
	// wake receives the due time of replayed changes.
	wake func(time.Time)
	// batch receives the number of changes that go to Redis together; nil without metrics.
	batch func(changes int)
	log   zerolog.Logger
}

// openBackend makes a site's backend according to the configuration. openBackend locks the journal's folder for this process.
func (d *Daemon) openBackend(ctx context.Context, p *parts) (*backend, error) {
	if err := d.checkFormer(ctx, p.name); err != nil {
		return nil, err
	}
	dir := d.config.JournalDir(p.name)
	if err := p.custody.beforeJournal(ctx, dir, d.redis != nil); err != nil {
		return nil, err
	}
	b := &backend{}
	restored := func() { p.custody.openedJournal(dir) } // the journal's label may be gone, too
	var report wal.Report
	var err error
	switch {
	case d.redis == nil:
		c := &d.config.Journal
		b.Backend, report, err = journal.Open(ctx, dir, journal.Options{
			Sync: wal.Sync(c.Fsync), Interval: c.FsyncInterval, MaxBytes: int64(c.MaxBytes), MaxEntries: c.MaxEntries,
			MaxRequests: c.MaxRequests, MaxDirty: p.config.MaxDirty,
			Floor: p.floor, Log: p.log, OnRestored: restored,
		})
	case dir == "":
		b.redis, err = d.redis.store(p, "")
		b.Backend = b.redis
	default:
		options := d.walOptions(p.log, restored)
		b.Backend, report, err = outbox.Open(dir, options, outbox.Options{ //nolint:contextcheck // Open reads all or fails
			MaxEntries: d.config.Journal.MaxEntries, Gather: journalGather,
			Partitions: link.Partitions(d.redis.cluster), Up: d.redis.watch.Up,
			NextID: p.nextID, Moves: outboxMoves{p.moves}, Born: p.born, Aside: p.aside, Wake: p.wake, Clock: p.clock,
			Now: time.Now, Log: p.log,
		}, func(id string) (outbox.Next, error) {
			b.redis, err = d.redis.store(p, id)
			return b.redis, err
		})
	}
	if err != nil {
		return nil, err
	}
	p.custody.openedJournal(dir)
	if report.Cut > 0 {
		p.log.Warn().Int64("bytes", report.Cut).Str("file", report.CutFile).
			Msg("the journal's last record is incomplete, so the record was never acknowledged: the record is cut off")
	}
	return b, nil
}

// checkFormer returns an error if changes are pending in the journal of the other kind, from before [redis] was added to the
// configuration or taken out: no part of the daemon would flush these changes. checkFormer removes an empty journal.
func (d *Daemon) checkFormer(ctx context.Context, site string) error {
	dir := d.config.FormerJournalDir(site)
	_, err := os.Stat(dir)
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	waiting, err := waitingIn(ctx, dir, d.redis == nil)
	if err != nil {
		return fmt.Errorf("the journal from before [redis] was added to the configuration or taken out: %w", err)
	}
	if waiting > 0 {
		return fmt.Errorf("%d changes wait in %s, from before [redis] was added to the configuration or taken out: start once more "+
			"with the configuration as it was, run 'ticketd flush', and stop", waiting, dir)
	}
	return os.RemoveAll(dir)
}

// journalGather is how long changes wait in the journal for further changes before the replay to Redis: short compared with a
// flush, long compared with a round trip. A round trip with its script costs about as much CPU time as the answer to PHP.
const journalGather = 2 * time.Millisecond

func (d *Daemon) walOptions(log zerolog.Logger, restored func()) wal.Options {
	c := &d.config.Journal
	return wal.Options{
		Sync: wal.Sync(c.Fsync), Interval: c.FsyncInterval, MaxBytes: int64(c.MaxBytes), Log: log, OnRestored: restored,
	}
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
