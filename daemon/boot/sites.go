package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/outbox"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/ids"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/policy"
	"github.com/ticketd/ticketd/sync/table"
)

// The flusher's times that nobody needs to configure. Rounds may follow each other after flushGap, which decides how many
// statements a steady stream of changes causes: each round has one for each set of columns. An idle
// flusher looks for claims that a dead daemon left behind every flushPoll.
const (
	flushGap      = 400 * time.Millisecond
	flushPoll     = time.Second
	flushMaxPause = 10 * time.Second
)

// runningSite is a site with what has to be started and stopped around it.
type runningSite struct {
	*site.Site
	name      string
	database  *mysql.DB
	backend   *backend
	allocator *ids.Allocator
	custody   *custody
	moves     *moves.Register
	log       zerolog.Logger
	emptied   atomic.Pointer[string]
	foreign   atomic.Pointer[string]
	odd       atomic.Pointer[string]
	twin      atomic.Pointer[string]
	vanished  atomic.Pointer[string]
	strays    strays
	tables    tableWatch
	otherKeys otherKeys
	prefix    string         // of its keys in Redis
	keys      string         // where these are, for people
	sampled   zerolog.Logger // for what would be said again and again
}

func (s *runningSite) Start(ctx context.Context) {
	s.allocator.Start(ctx)
	s.backend.Start(ctx)
	s.Site.Start(ctx)
	s.custody.start(ctx, s.lookAgain)
	if s.backend.redis != nil {
		s.strays.Start(ctx, func(ctx context.Context) (Strays, error) { return CountStrays(ctx, s.backend.redis) })
	} else {
		s.tables.Start(ctx, s.Refresh, s.log)
	}
}

// lookAgain asks what has kept the site from being served.
func (s *runningSite) lookAgain(ctx context.Context) error {
	err := s.Refresh(ctx)
	if s.backend.redis != nil {
		err = errors.Join(err, s.backend.redis.Prepare(ctx))
	}
	return err
}

func (s *runningSite) stop(ctx context.Context) error {
	looking := errors.Join(s.custody.stop(ctx), s.strays.Stop(ctx), s.tables.Stop(ctx))
	return errors.Join(looking, s.Stop(ctx), s.backend.Stop(ctx), s.allocator.Stop(ctx))
}

// openSite makes what a site's table can be identified by.
func (d *Daemon) openSite(name string, c config.Site) (*runningSite, error) {
	s := &runningSite{name: name, prefix: c.KeyPrefix, keys: describeKeys(d.config, name)}
	s.log = d.log.With().Str("site", name).Logger()
	s.sampled = logs.Limited(s.log, 1, time.Minute)
	var err error
	if s.database, err = OpenDatabase(c); err != nil {
		return nil, err
	}
	s.custody = newCustody(d.config.Daemon.StateDir, name, s.database, s.log)
	s.moves, err = moves.Open(moves.Options{
		Path: movesFile(d.config.Daemon.StateDir, name), Table: s.custody.named, Owns: s.custody.owns, Log: s.log,
	})
	if err == nil && d.config.Daemon.SpoolDir == "" {
		s.moves.Settled(time.Now())
	}
	return s, err
}

// complete makes the rest of a site.
func (d *Daemon) complete(ctx context.Context, s *runningSite) error {
	name, c := s.name, d.config.Sites[s.name]
	clock := ticket.NewClock(time.Now)
	var flusher *flush.Flusher
	var err error
	s.backend, err = d.openBackend(ctx, &parts{
		name: name, config: &c, clock: clock, floor: s.database.MaxRevision, custody: s.custody, moves: s.moves,
		seeded: s.seeded, foreign: s.foreignKey, odd: s.oddKey, vanished: s.vanishedKey,
		stray: s.strays.meet, convert: s.convert, older: s.olderKey,
		twin:   s.twinJournal,
		nextID: func(ctx context.Context) (ticket.ID, error) { return s.allocator.Next(ctx) },
		born:   s.database.Born,
		aside:  func(m *store.Mutation, at time.Time) error { return d.setAside(s, m, at) },
		wake:   func(due time.Time) { flusher.Wake(due) }, batch: d.metrics.Batches(name), log: s.log,
	})
	if err != nil {
		return err
	}
	sink := mysql.NewSink(s.database)
	s.allocator = ids.New(mysql.NewSequence(s.database).Lease, s.database.Taken, c.IDBlock)
	if dir := d.config.Daemon.StateDir; dir != "" {
		s.allocator.Keep(ids.KeepOptions{
			Dir: dir, Name: idsFile(name), Owner: s.custody.known, Numbering: s.database.Numbering, Log: s.log,
		})
	}
	flusher = flush.New(s.backend, d.metrics.Sink(name, heldSink{sink, s.custody}), flush.Options{
		Batch: c.Batch, Lease: c.Lease, Gap: flushGap, Poll: flushPoll, MaxPause: flushMaxPause,
		Patience: d.config.Daemon.RequestTimeout,
		Refresh:  func(ctx context.Context) error { return s.Refresh(ctx) },
		Log:      s.log,
	})
	s.Site = site.New(site.Parts{
		Name: name, Store: s.backend, Database: s.database, IDs: s.allocator, Deleted: s.database.Deleted, Flusher: flusher,
		Statements: sink.Statements, Clock: clock, Strategy: strategy(&c),
		DefinitionFile: definitionFile(d.config.Daemon.StateDir, name), StoreState: d.state,
		Warnings: func() []string { return slices.Concat(d.warnings(), s.warnings()) }, Backend: s.backend.kind(),
		MaxDirty: c.MaxDirty, Early: c.Ack == config.AckJournal,
		Journal: s.backend.journalStatus(),
		Stuck:   s.backend.Stuck,
		Served:  s.custody.served, Owns: s.custody.owns,
		Log: s.log,
	})
	return nil
}

// OpenDatabase makes the pool of a site's database. It connects to nothing yet.
func OpenDatabase(c config.Site) (*mysql.DB, error) {
	return mysql.Open(mysql.Config{
		DSN: c.DSN.Reveal(), Table: c.TableName(), Key: c.KeyColumn, Revision: c.RevisionColumn, Columns: c.Columns,
		// A column that the config maps to one of these fields has its meaning, too.
		DeletedAt: c.Columns["deleted_at"], CreatedAt: c.Columns["created_at"], UpdatedAt: c.Columns["updated_at"],
		MaxRows: c.Batch,
	})
}

// idsFile is the name of the file in the state folder that keeps a site's leased ids.
func idsFile(site string) string { return site + ".ids.json" }

// ForgetIDs removes the ids that the site's daemon has kept, whether it runs or not: the sequence was raised, and new tickets
// are to be numbered from there.
func ForgetIDs(stateDir, site string) error {
	if stateDir == "" {
		return nil
	}
	err := os.Remove(filepath.Join(stateDir, idsFile(site)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func definitionFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".table.json")
}

func strategy(c *config.Site) site.Strategy {
	due := policy.Event(c.Linger)
	switch c.Strategy {
	case config.StrategyInterval:
		due = policy.Interval(c.Period)
	case config.StrategyOnClose:
		due = policy.OnClose(c.CloseField, c.CloseStatuses, c.MaxAge)
	}
	return site.Strategy{Name: c.Strategy, Due: policy.AtMost(due, c.MaxAge)}
}

// seeded is told that Redis held nothing of this site. That is as it should be where Redis never did, and an alarm else.
func (s *runningSite) seeded(floor ticket.Revision, emptied bool) {
	if s.Site != nil {
		s.Rebury()
	}
	if !emptied {
		s.log.Info().Int64("mysql_revision", int64(floor)).Msg("Redis holds nothing of this site yet")
		return
	}
	at := time.Now().UTC().Format(time.RFC3339)
	text := "Redis was found empty at " + at + ": changes that were not in MySQL by then are lost; find out who emptied it " +
		"(an object-cache plugin's flush, a restart without persistence) and give ticketd a Redis of its own"
	s.emptied.Store(&text)
	s.log.Error().Int64("mysql_revision", int64(floor)).Msg(text)
}

// oddKey is told that a key in Redis has a revision that none can be.
func (s *runningSite) oddKey(key string) {
	text := "the Redis key " + strconv.Quote(key) + " had a revision that none can be, as something else than ticketd has written " +
		"it: what it holds counts as changed now; find out who writes there, and look at the ticket"
	s.sampled.Error().Msg(text)
	s.odd.Store(&text)
}

// foreignKey is told that a ticket's key in Redis holds something else.
func (s *runningSite) foreignKey(key string) {
	at := time.Now().UTC().Format(time.RFC3339)
	text := "the Redis key " + strconv.Quote(key) + " held no ticket at " + at + ": something else uses this name, and what it " +
		"overwrote is lost unless MySQL has it; give the site a key_prefix of its own, or delete the key"
	s.foreign.Store(&text)
	s.sampled.Error().Msg(text)
}

// vanishedKey is told that another program deleted the key of a ticket with pending changes.
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

// convert makes a ticket of what another program's hash holds.
func (s *runningSite) convert(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error) {
	fields, err := convert(ctx, s.database, false, key, id, stray)
	if field := (*table.FieldError)(nil); errors.As(err, &field) {
		s.strays.refuse(key, field.Reason)
		s.sampled.Error().Msg(field.Reason)
	}
	if err == nil {
		s.strays.take(key)
	}
	return fields, err
}

// olderKey is told that another program's hash was older than its ticket, and which name it has now.
func (s *runningSite) olderKey(key, aside string) {
	s.strays.take(key)
	s.strays.setAside()
	s.sampled.Warn().Str("key", key).Str("aside", aside).
		Msg("a hash of another program is older than its ticket, which ticketd has brought to MySQL: it is set aside")
}

// twinJournal is told that another daemon uses this journal's id.
func (s *runningSite) twinJournal(id string) {
	text := "another daemon uses the id of this host's journal (" + id + "), as hosts do that were cloned from one image: this " +
		"daemon goes on in Redis under another name until it is restarted; stop it when 'ticketd status' shows an empty journal, " +
		"move the journal's folder away and start it, which makes a new id"
	s.twin.Store(&text)
	s.log.Error().Msg(text)
}

func (s *runningSite) warnings() []string {
	found := slices.Concat(s.backend.warnings(), s.custody.warnings(), movedTexts(s.moves, time.Now()), s.strays.warnings(s.prefix),
		s.otherKeys.warnings())
	for _, odd := range []string{s.database.OddRevisions(), s.database.NoTickets()} {
		if odd != "" {
			found = append(found, odd)
		}
	}
	for _, alarm := range []*atomic.Pointer[string]{&s.emptied, &s.foreign, &s.odd, &s.twin, &s.vanished} {
		if text := alarm.Load(); text != nil {
			found = append(found, *text)
		}
	}
	return found
}

// serves returns the site's table, as clients call it, and what tells how well a client's table fits the site. A WordPress is
// known by its database and its prefix, also where the site's table has a name of its own that the WordPress was not told.
func (s *runningSite) serves(c *config.Site) (name string, fit func(table string) daemon.Fit) {
	byPrefix := config.Site{TablePrefix: c.TablePrefix}
	own, prefixed := s.database.Name(), s.database.NameOf(byPrefix.TableName())
	switch c.ClientTable {
	case "":
	case config.AnyTable:
		return own, func(string) daemon.Fit { return daemon.FitAny }
	default:
		own, prefixed = c.ClientTable, c.ClientTable
	}
	return own, func(table string) daemon.Fit {
		switch {
		case s.database.SameName(table, own):
			return daemon.FitTable
		case s.database.SameName(table, prefixed):
			return daemon.FitPrefix
		default:
			return daemon.FitNone
		}
	}
}

// access says who may use which site.
func (d *Daemon) access(c *config.Config) (map[string]daemon.SiteAccess, error) {
	access := make(map[string]daemon.SiteAccess, len(d.sites))
	for _, s := range d.sites {
		configured := c.Sites[s.name]
		a := daemon.SiteAccess{Site: site.Gate{Site: s.Site}, Holds: s.custody.has}
		a.Table, a.Serves = s.serves(&configured)
		for _, name := range configured.AllowUsers {
			id, err := config.UserID(name)
			if err != nil {
				return nil, err
			}
			a.Users = append(a.Users, id)
		}
		for _, name := range configured.AllowGroups {
			id, err := config.GroupID(name)
			if err != nil {
				return nil, err
			}
			a.Groups = append(a.Groups, id)
		}
		access[s.name] = a
	}
	return access, nil
}

const (
	// toldFor is for how long the status names a ticket that got another id, and maxTold how many it names; the log has all.
	toldFor = 7 * 24 * time.Hour
	maxTold = 16
)

// movesFile is where a site's moves are remembered; empty for nowhere.
func movesFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".moves")
}

// outboxMoves has the moves of the journal before Redis remembered.
type outboxMoves struct{ *moves.Register }

// Moved implements [outbox.Moves].
func (m outboxMoves) Moved(of outbox.Move) error {
	return m.Keep(moves.Move{Create: moves.Create{ID: of.From, Request: of.RequestID, Since: of.Since}, To: of.To, At: of.At})
}

// movedTexts name the new tickets that got another id than the one their clients received, the latest first.
func movedTexts(of *moves.Register, now time.Time) []string {
	all := of.Since(now.Add(-toldFor))
	slices.Reverse(all)
	var texts []string
	for i := range all[:min(len(all), maxTold)] {
		texts = append(texts, movedText(all[i].ID, all[i].To, all[i].At))
	}
	if more := len(all) - maxTold; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more new tickets got another id than the one their clients received: see the log", more))
	}
	return texts
}

// movedText says that a new ticket has another id than the one its client received.
func movedText(from, to ticket.ID, at time.Time) string {
	return "a create was acknowledged with the id " + from.String() + ", which belongs to another ticket; at " +
		at.UTC().Format(time.RFC3339) + " the new ticket got the id " + to.String() + ": pass " +
		to.String() + " on to whoever received " + from.String()
}

// tableWatch reads the table's definition of a site without Redis from time to time: what status says of MySQL stays true while
// no client writes, and a column that was added is noticed. With Redis the inspector does it.
type tableWatch struct {
	loop lifecycle.Loop
}

// Start begins to read every [inspectEvery].
func (w *tableWatch) Start(ctx context.Context, refresh func(context.Context) error, log zerolog.Logger) {
	w.loop.StartEvery(ctx, inspectEvery, func(ctx context.Context) {
		if err := refresh(ctx); err != nil { // the flusher and the readers say so when it matters
			log.Debug().Err(err).Msg("the table's definition cannot be read")
		}
	})
}

// Stop ends it.
func (w *tableWatch) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "watch of the table") }

// journalStatus returns the function that tells of the journal; nil where there is none.
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
