package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/journal"
	"github.com/ticketd/ticketd/store/outbox"
	"github.com/ticketd/ticketd/store/redis/link"
	"github.com/ticketd/ticketd/store/wal"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/ids"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/postmeta"
	"github.com/ticketd/ticketd/sync/table"
)

// identify reads the identities of the sites' tables from MySQL, in parallel. Without an answer within [lookTimeout] a site's
// identity comes from disk.
func (d *Daemon) identify(ctx context.Context, sites []*runningSite) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for _, s := range sites {
		asked.Go(func() {
			_ = s.database.Identify(ctx) // [custody.told] records the result
			s.custody.recall(s.database)
		})
	}
	asked.Wait()
}

// openSite makes the parts of a site by which the table can be identified.
func (d *Daemon) openSite(name string, c config.Site) (*runningSite, error) {
	s := &runningSite{name: name, prefix: c.KeyPrefix, checked: -1, keys: describeKeys(d.now, name)}
	s.log = d.log.With().Str("site", name).Logger()
	s.sampled = logs.Limited(s.log, 1, time.Minute)
	database, err := databaseOf(c)
	if err != nil {
		return s, err
	}
	if c.Exposed() {
		s.log.Warn().Msg("the connection to MySQL has no TLS: whoever is on the way can read the password and the tickets; " +
			"set tls = true in the site's section")
	}
	if s.database, err = d.mysql.Open(database); err != nil {
		return s, err
	}
	s.tickets = ticketsOf(&c, s.database)
	s.tables, s.server = newTableWatch(), d.serverOf(s)
	s.database.Watch(s.server, s.tables.doubt, s.tables.use)
	s.leaveServer = s.server.Join(s.database.Ask, s.recovered)
	s.custody = newCustody(d.config.Daemon.StateDir, name, s.database, s.log)
	s.moves, err = moves.Open(moves.Options{
		Path: movesFile(d.config.Daemon.StateDir, name), Table: s.custody.named, Owns: s.custody.owns, Log: s.log,
	})
	if err == nil && d.config.Daemon.SpoolDir == "" {
		s.moves.Settled(time.Now())
	}
	return s, err
}

// describeKeys describes to operators where this daemon keeps a site's tickets.
func describeKeys(c *config.Config, site string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return "the daemon on " + host + " with " + whereKeys(c, site)
}

// serverOf returns the state of a site's MySQL server, one for all sites of the server.
func (d *Daemon) serverOf(s *runningSite) *health.Server {
	at := s.database.Address()
	servers := maps.Clone(*d.servers.Load())
	if servers[at] == nil {
		servers[at] = health.New(health.Options{
			Name: "MySQL", Address: at, Idle: askIdle, Patience: askPatience, Longest: longestOutage, Log: d.log,
		})
		d.servers.Store(&servers)
	}
	return servers[at]
}

// complete makes the rest of a site.
func (d *Daemon) complete(ctx context.Context, s *runningSite) error {
	name, c := s.name, d.now.Sites[s.name]
	clock := ticket.NewClock(time.Now)
	var flusher *flush.Flusher
	var err error
	s.backend, err = d.openBackend(ctx, &parts{
		name: name, config: &c, clock: clock, floor: s.database.MaxRevision, custody: s.custody, moves: s.moves,
		seeded: s.seeded, foreign: s.foreignKey, odd: s.oddKey, vanished: s.vanishedKey,
		stray: s.strays.meet, convert: s.convert, older: s.olderKey,
		twin:   s.twinJournal,
		nextID: func(ctx context.Context) (ticket.ID, error) { return s.allocator.Next(ctx) },
		born:   s.tickets.Born,
		aside:  func(m *store.Mutation, at time.Time) error { return d.setAside(s, m, at) },
		wake:   func(due time.Time) { flusher.Wake(due) }, batch: d.metrics.Batches(), log: s.log,
	})
	if err != nil {
		return err
	}
	s.sink, s.allocator = sinkOf(&c, s.database), d.allocatorOf(s, &c)
	flusher = flush.New(s.backend, d.metrics.Sink(name, heldSink{s.sink, s.custody}), flush.Options{
		Batch: c.Batch, Lease: c.Lease, Gap: flushGap, Poll: flushPoll, LongestPoll: flushLongestPoll, MaxPause: flushMaxPause,
		Patience: d.config.Daemon.RequestTimeout,
		Refresh:  func(ctx context.Context) error { return s.Refresh(ctx) },
		Server:   s.server,
		Log:      s.log,
	})
	feeds, err := s.openFeeds(ctx, &c)
	if err != nil {
		return err
	}
	s.Site = site.New(site.Parts{
		Name: name, Store: s.backend, Database: s.tickets, IDs: s.allocator, Deleted: s.tickets.Deleted, Flusher: flusher,
		Statements: s.sink.Statements, Clock: clock, Strategy: strategy(&c),
		DefinitionFile: definitionFile(d.config.Daemon.StateDir, name), StoreState: d.state,
		Warnings: func(operator bool) []string { return slices.Concat(d.warnings(operator), s.warnings()) },
		Backend:  s.backend.kind(),
		MaxDirty: c.MaxDirty, Early: c.Ack == config.AckJournal,
		Journal: s.backend.journalStatus(),
		Stuck:   s.backend.Stuck,
		Served:  s.custody.served, Owns: s.custody.owns,
		Description: describe(&c, s.database),
		Feeds:       feeds,
		Log:         s.log,
	})
	s.parts = s.watched(&d.config.Redis)
	return nil
}

func definitionFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".table.json")
}

// movesFile is the file of a site's moves; empty without a state folder.
func movesFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".moves")
}

// state tells whether Redis answers. Without a Redis the store is the journal, which always answers.
func (d *Daemon) state() (up bool, since time.Time, reason string) {
	if d.redis == nil {
		return true, d.started, ""
	}
	return d.redis.watch.State()
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

// seeded is called after Redis was found without any key of this site: normal for a new Redis, an alarm for a Redis that had keys
// before.
func (s *runningSite) seeded(floor ticket.Revision, emptied bool) {
	if s.Site != nil {
		s.Rebury()
	}
	if !emptied {
		s.log.Info().Int64("mysql_revision", int64(floor)).Msg("Redis holds no keys of this site yet")
		return
	}
	at := time.Now().UTC().Format(time.RFC3339)
	text := "Redis was found empty at " + at + ": changes that were not in MySQL by then are lost; find out who emptied it " +
		"(an object-cache plugin's flush, a restart without persistence) and give ticketd a Redis of its own"
	s.emptied.Store(&text)
	s.log.Error().Int64("mysql_revision", int64(floor)).Msg(text)
}

// oddKey is called for a key in Redis with an impossible revision.
func (s *runningSite) oddKey(key string) {
	text := "the Redis key " + strconv.Quote(key) + " had an impossible revision, written by another program than ticketd: " +
		"the key's fields count as changed now; find out which program writes there, and look at the ticket"
	s.sampled.Error().Msg(text)
	s.odd.Store(&text)
}

// foreignKey is called for a ticket's key in Redis with a value that is no ticket.
func (s *runningSite) foreignKey(key string) {
	at := time.Now().UTC().Format(time.RFC3339)
	text := "the Redis key " + strconv.Quote(key) + " held no ticket at " + at + ": another program uses this name, and the " +
		"overwritten ticket is lost unless MySQL has the ticket; give the site a key_prefix of its own, or delete the key"
	s.foreign.Store(&text)
	s.sampled.Error().Msg(text)
}

// vanishedKey is called after another program deleted the key of a ticket with pending changes.
func (s *runningSite) vanishedKey(key string, back bool) {
	became := "its pending changes are lost, unless another host's daemon acknowledged them lately"
	if back {
		became = "the changes that this daemon acknowledged lately are written again, older ones are lost"
	}
	text := "the Redis key " + strconv.Quote(key) + " of a ticket with pending changes was deleted or expired, as found at " +
		time.Now().UTC().Format(time.RFC3339) + "; " + became + ": find out which program deletes keys or sets expiries there"
	s.vanished.Store(&text)
	s.sampled.Error().Msg(text)
}

// convert makes a ticket of another program's hash.
func (s *runningSite) convert(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error) {
	fields, err := convert(ctx, s.tickets, false, key, id, stray)
	if field := (*table.FieldError)(nil); errors.As(err, &field) {
		s.strays.refuse(key, field.Reason)
		s.sampled.Error().Msg(field.Reason)
	}
	if err == nil {
		s.strays.take(key)
	}
	return fields, err
}

// olderKey is called for another program's hash that was older than its ticket; aside is the hash's new name.
func (s *runningSite) olderKey(key, aside string) {
	s.strays.take(key)
	s.strays.setAside()
	s.sampled.Warn().Str("key", key).Str("aside", aside).
		Msg("a hash of another program is older than its ticket, which ticketd has flushed to MySQL: the hash is set aside")
}

// twinJournal is called if another daemon uses this journal's id.
func (s *runningSite) twinJournal(id string) {
	text := "another daemon uses the id of this host's journal (" + id + "), as hosts do that were cloned from one image: this " +
		"daemon goes on in Redis under another name until a restart; stop the daemon when 'ticketd status' shows an empty journal, " +
		"move the journal's folder away and start the daemon, which makes a new id"
	s.twin.Store(&text)
	s.log.Error().Msg(text)
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

// journalGather is how long changes wait in the journal for further changes before the replay to Redis: short compared with a
// flush, long compared with a round trip. A round trip with its script costs about as much CPU time as the answer to PHP.
const journalGather = 2 * time.Millisecond

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

func (d *Daemon) walOptions(log zerolog.Logger, restored func()) wal.Options {
	c := &d.config.Journal
	return wal.Options{
		Sync: wal.Sync(c.Fsync), Interval: c.FsyncInterval, MaxBytes: int64(c.MaxBytes), Log: log, OnRestored: restored,
	}
}

func sinkOf(c *config.Site, db *mysql.DB) sink {
	if c.IsMeta() {
		return postmeta.NewSink(db, metaOf(c))
	}
	return mysql.NewSink(db)
}

// allocatorOf returns the ids for a site's new tickets. The posts of a site with meta are WordPress' own.
func (d *Daemon) allocatorOf(s *runningSite, c *config.Site) allocator {
	if c.IsMeta() {
		return noIDs{}
	}
	a := ids.New(mysql.NewSequence(s.database).Lease, s.database.Taken, c.IDBlock)
	if dir := d.config.Daemon.StateDir; dir != "" {
		a.Keep(ids.KeepOptions{
			Dir: dir, Name: idsFile(s.name), Owner: s.custody.known, Numbering: s.database.Numbering, Log: s.log,
		})
	}
	return a
}

// describe returns the site's answer to describe, without the fields' types.
func describe(c *config.Site, db *mysql.DB) protocol.DescribeResult {
	if !c.IsMeta() {
		return protocol.DescribeResult{Kind: protocol.KindTable, Table: db.Name(), AddsBehind: true}
	}
	return protocol.DescribeResult{
		Kind: protocol.Kind(c.Kind), Table: db.Name(), PostTypes: c.MetaPostTypes(),
		Keys: maps.Clone(c.MetaKeys()), Posts: maps.Clone(c.MetaPosts()),
		AddsBehind: c.Adds == config.AddsBehind, StaleQueries: c.Queries == config.QueriesStale, QueryWait: c.QueryWait,
		MaxValue: postmeta.MaxValue,
	}
}

// idsFile is the name of the file in the state folder that keeps a site's leased ids.
func idsFile(site string) string { return site + ".ids.json" }

// watched are the loops of a site that must make progress. The time for a step is more than twice the sum of the timeouts, as a
// step may try a broken connection first.
func (s *runningSite) watched(c *config.Redis) []watchdog.Part {
	calls := c.DialTimeout + c.WriteTimeout + c.ReadTimeout
	parts := []watchdog.Part{{
		Name: "flusher of " + s.name, Within: flushLongestPoll + 3*(s.database.Patience()+calls),
		Moved: watchdog.Counter(func() int64 { return s.Flusher.Stats().Turns() + s.Statements() }),
	}}
	if s.backend.redis != nil && s.backend.Journal() != nil {
		tried := watchdog.Counter(func() int64 { return s.backend.Journal().Tries })
		parts = append(parts, watchdog.Part{
			Name: "journal of " + s.name, Within: flushMaxPause + 3*calls,
			Moved: func(ctx context.Context) bool { return tried(ctx) || s.backend.Journal().Entries == 0 },
		})
	}
	return parts
}
