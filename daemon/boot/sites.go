package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/couriers"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/daemon/watchdog"
	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/outbox"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/policy"
)

// The flusher's times, which need no configuration. The pause between rounds is at least flushGap, which decides how many
// statements a steady stream of changes causes: a round has a statement for each set of columns. An idle flusher looks for claims
// that a dead daemon left behind: every flushPoll, and every flushLongestPoll once the site has been idle for a minute.
const (
	flushGap         = 400 * time.Millisecond
	flushPoll        = time.Second
	flushLongestPoll = 30 * time.Second
	flushMaxPause    = 10 * time.Second
)

// runningSite is a site with the parts around the site that must be started and stopped.
type runningSite struct {
	*site.Site
	name      string
	database  *mysql.DB
	backend   *backend
	tickets   tickets
	sink      sink
	allocator allocator
	custody   *custody
	couriers  *couriers.Couriers             // nil if the store has no feed
	history   atomic.Pointer[config.History] // as configured now
	pull      atomic.Pointer[config.Site]    // the same, for clients that read the feed
	moves     *moves.Register
	log       zerolog.Logger
	emptied   atomic.Pointer[string]
	foreign   atomic.Pointer[string]
	odd       atomic.Pointer[string]
	twin      atomic.Pointer[string]
	vanished  atomic.Pointer[string]
	strays    strays
	server    *health.Server // the state of its MySQL server
	tables    *tableWatch
	checked   int64 // the looks of tables at the last check of the keys; of the inspector alone
	otherKeys otherKeys
	prefix    string         // of the site's keys in Redis
	keys      string         // describes the place of these keys to operators
	sampled   zerolog.Logger // limited, for repeated messages
	parts     []watchdog.Part
	// leaveServer ends the site's part in its server's state.
	leaveServer func()
	left        error // why a site that is about to be removed is still there
	added       bool  // by a reload, and no daemon of this host has had the site before
}

func (s *runningSite) Start(ctx context.Context) {
	s.allocator.Start(ctx)
	s.backend.Start(ctx)
	s.Site.Start(ctx)
	if s.couriers != nil {
		s.couriers.Start(ctx)
	}
	s.custody.start(ctx, s.lookAgain)
	if s.backend.redis != nil {
		s.strays.Start(ctx, s.survey)
	}
	s.tables.Start(ctx, func(ctx context.Context) {
		if err := s.Refresh(ctx); err != nil { // the flusher and the server report the error if necessary
			s.log.Debug().Err(err).Msg("the table's definition cannot be read")
		}
	})
}

// survey counts other programs' hashes, and looks for pending tickets that the index does not name.
func (s *runningSite) survey(ctx context.Context) (Strays, error) {
	if added, err := s.backend.redis.Reindex(ctx); err != nil {
		return Strays{}, err
	} else if added > 0 {
		s.Flusher.Wake(time.Now())
	}
	return CountStrays(ctx, s.backend.redis)
}

// recovered is called when the site's MySQL server answers again.
func (s *runningSite) recovered() {
	s.tables.doubt()
	if s.Site != nil {
		s.Flusher.Retry()
	}
}

// lookAgain checks again the places that have kept the site from being served.
func (s *runningSite) lookAgain(ctx context.Context) error {
	err := s.Refresh(ctx)
	if s.backend.redis != nil {
		err = errors.Join(err, s.backend.redis.Prepare(ctx))
	}
	return err
}

// close releases the places of a stopped site.
func (s *runningSite) close() error {
	var err error
	if s.backend != nil {
		err = s.backend.Close()
	}
	if s.leaveServer != nil {
		s.leaveServer()
	}
	if s.database != nil {
		err = errors.Join(err, s.database.Close())
	}
	return err
}

func (s *runningSite) stop(ctx context.Context) error {
	looking := errors.Join(s.custody.stop(ctx), s.strays.Stop(ctx), s.tables.Stop(ctx))
	if s.couriers != nil {
		looking = errors.Join(looking, s.couriers.Stop(ctx))
	}
	return errors.Join(looking, s.Stop(ctx), s.backend.Stop(ctx), s.allocator.Stop(ctx))
}

// OpenDatabase opens a site's database for a command, without connecting yet.
func OpenDatabase(c config.Site) (*mysql.DB, error) {
	database, err := databaseOf(c)
	if err != nil {
		return nil, err
	}
	return mysql.Open(database)
}

func databaseOf(c config.Site) (mysql.Config, error) {
	secured, err := c.TLSConfig()
	if err != nil {
		return mysql.Config{}, fmt.Errorf("TLS of MySQL: %w", err)
	}
	var layout *mysql.Layout
	if c.IsMeta() {
		meta := metaOf(&c)
		_, c.KeyColumn = meta.Name()
		layout = meta.Layout()
	}
	return mysql.Config{
		Layout: layout, DSN: c.DSN.Reveal(), TLS: secured,
		TLSName: strings.Join([]string{c.TLSCA, c.TLSCert, c.TLSKey, c.TLSServerName}, "\x00"),
		Table:   c.TableName(), Key: c.KeyColumn, Revision: c.RevisionColumn, Columns: c.Columns,
		// A column that the config maps to such a field has the field's meaning, too.
		DeletedAt: c.Columns["deleted_at"], CreatedAt: c.Columns["created_at"], UpdatedAt: c.Columns["updated_at"],
		MaxRows: c.Batch,
	}, nil
}

// ForgetIDs removes the ids that the site's daemon, running or not, has kept: the sequence was raised, and new tickets get the
// ids after the raised number.
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

func (s *runningSite) warnings() []string {
	found := slices.Concat(s.backend.warnings(), s.custody.warnings(), movedTexts(s.moves, time.Now()), s.strays.warnings(s.prefix),
		s.otherKeys.warnings())
	if s.couriers != nil {
		found = append(found, s.couriers.Warnings(time.Now())...)
	}
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

// serves returns the site's table, as clients call the table, and a function that tells how well a client's table fits the site.
// A WordPress is recognised by database and prefix, even if the site's table has a name that the WordPress does not know.
func (s *runningSite) serves(c *config.Site) (name string, fit func(table string) daemon.Fit) {
	byPrefix := config.Site{TablePrefix: c.TablePrefix}
	own, prefixed := s.database.Name(), s.database.NameOf(byPrefix.TableName())
	if c.IsMeta() { // the tickets of a WordPress are other things than its posts
		prefixed = own
	}
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

const (
	// toldFor is for how long the status names a ticket that got a new id, and maxTold how many tickets the status names; the log
	// has all.
	toldFor = 7 * 24 * time.Hour
	maxTold = 16
)

// outboxMoves keeps the outbox's moves in the register.
type outboxMoves struct{ *moves.Register }

// Moved implements [outbox.Moves].
func (m outboxMoves) Moved(of outbox.Move) error {
	return m.Keep(moves.Move{Create: moves.Create{ID: of.From, Request: of.RequestID, Since: of.Since}, To: of.To, At: of.At})
}

// movedTexts name the new tickets that got a different id than the client received, the latest first.
func movedTexts(of *moves.Register, now time.Time) []string {
	all := of.Since(now.Add(-toldFor))
	slices.Reverse(all)
	var texts []string
	for i := range all[:min(len(all), maxTold)] {
		texts = append(texts, movedText(all[i].ID, all[i].To, all[i].At))
	}
	if more := len(all) - maxTold; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more new tickets got a different id than their clients received: see the log", more))
	}
	return texts
}

// movedText says that a new ticket has a different id than the client received.
func movedText(from, to ticket.ID, at time.Time) string {
	return "a create was acknowledged with the id " + from.String() + ", which belongs to another ticket; at " +
		at.UTC().Format(time.RFC3339) + " the new ticket got the id " + to.String() + ": pass " +
		to.String() + " on to the client that received " + from.String()
}
