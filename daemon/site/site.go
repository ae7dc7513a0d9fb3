package site

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/policy"
	"github.com/ticketd/ticketd/sync/table"
)

// Database is the part of MySQL that a site uses besides flushing.
type Database interface {
	// Definition returns the table's definition as last read or remembered; nil before the first.
	Definition() *table.Definition
	Remember(d *table.Definition)
	LoadDefinition(ctx context.Context) (*table.Definition, error)
	// Reread reads the definition again after a refusal by the definition judged, unless the last reading is recent. nil: the
	// definition is the same.
	Reread(ctx context.Context, judged *table.Definition) *table.Definition
	// Rows returns the rows of the tickets that have a row, in no order.
	Rows(ctx context.Context, ids []ticket.ID) ([]store.Record, error)
	// Born returns since when, at the latest, the table knows the tickets, alive or deleted; see [mysql.DB.Born].
	Born(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error)
	// List, Count and CountBy read the present content of the table.
	List(ctx context.Context, s *ticket.Selection, p *mysql.Page) ([]store.Record, *mysql.Mark, error)
	Count(ctx context.Context, s *ticket.Selection) (int64, error)
	CountBy(ctx context.Context, s *ticket.Selection, field string, limit int) (groups []ticket.Group, more bool, err error)
}

// IDs hands out ids for new tickets, and waits for MySQL for a moment at most.
type IDs interface {
	Next(ctx context.Context) (ticket.ID, error)
	// Use says that a ticket has this id, from any source: Next must not return the id.
	Use(id ticket.ID)
}

// Strategy is a sync strategy with the name that the configuration gives it.
type Strategy struct {
	Name string
	Due  policy.Due
}

// Parts are the components and settings of a site.
type Parts struct {
	Name     string
	Store    store.Store
	Database Database
	IDs      IDs
	// Deleted returns the table's deleted tickets among the next rows above after, the last id read, and whether more rows follow.
	// nil: the store is not told of deleted tickets.
	Deleted func(ctx context.Context, after ticket.ID) (ids []ticket.ID, upTo ticket.ID, more bool, err error)
	Flusher *flush.Flusher
	// Statements is the number of statements that flushing has sent so far.
	Statements func() int64
	Clock      *ticket.Clock
	Strategy   Strategy
	// DefinitionFile keeps the table's definition, so that writes are checked while MySQL is unreachable. Empty: no file.
	DefinitionFile string
	// StoreState tells whether the store answers. Warnings returns the warnings that an operator must act on; to
	// others than operators without what is about other sites.
	StoreState func() (up bool, since time.Time, reason string)
	Warnings   func(operator bool) []string
	// Served returns why the site may not be served: a place of the site belongs to a different table. nil: the site may be served.
	// Optional.
	Served func() error
	// Owns says whether changes that carry an identity are for the site's table. Optional.
	Owns func(identity string) bool
	// Backend is where changes wait; empty stands for Redis.
	Backend protocol.Backend
	// MaxDirty bounds the tickets that may wait for MySQL; 0 is no bound.
	MaxDirty int
	// Early acknowledges a change as soon as the change is durable on this host, unless the request says otherwise.
	Early bool
	// Journal returns the state of the site's journal; nil without a journal.
	Journal func() protocol.JournalStatus
	// Stuck returns a [store.StuckError] if changes of the tickets (nil: of any ticket) do not reach the store although the store
	// answers. Optional.
	Stuck func(ids []ticket.ID) error
	// Description is the result of describe, without the fields' types.
	Description protocol.DescribeResult
	// Feeds are the feed's; nil stands for a site without a feed.
	*Feeds
	Log zerolog.Logger
}

// Site serves a WordPress site. A Site is safe for concurrent use.
type Site struct {
	Parts
	strategy   atomic.Pointer[Strategy]
	reads      singleflight.Group
	doubt      doubt
	missing    *missing
	sizes      sizes
	fresh      turns          // flushes of all dirty tickets, for lists
	definition lifecycle.Loop // reads the table's definition at start
	burial     lifecycle.Loop // tells the store which tickets were deleted
	rebury     chan struct{}  // makes the burial run again
	learned    atomic.Bool    // the definition was read since this process started
	kept       kept
}

var _ daemon.Site = (*Site)(nil)

// New makes a site. The definition comes from the file until MySQL has answered.
func New(parts Parts) *Site {
	if parts.Feeds == nil {
		parts.Feeds = &Feeds{}
	}
	s := &Site{Parts: parts, missing: newMissing(), rebury: make(chan struct{}, 1), fresh: turns{run: parts.Flusher.TryFlush}}
	s.site = s
	s.SetStrategy(parts.Strategy)
	s.recall()
	return s
}

// SetStrategy changes the sync strategy for the changes from now on.
func (s *Site) SetStrategy(strategy Strategy) { s.strategy.Store(&strategy) }

// Start begins flushing, and reads the table's definition in the background until a read succeeds.
func (s *Site) Start(ctx context.Context) {
	s.definition.Start(ctx, s.learn)
	if s.Deleted != nil {
		s.burial.Start(ctx, s.buryAll)
	}
	s.Flusher.Start(ctx)
}

// Stop ends flushing; dirty tickets stay in the store.
func (s *Site) Stop(ctx context.Context) error {
	return errors.Join(
		s.definition.Stop(ctx, "definition reader of "+s.Name), s.burial.Stop(ctx, "reader of deleted tickets of "+s.Name),
		s.Flusher.Stop(ctx),
	)
}

// Hurry announces the daemon's stop: flush requests no longer wait for MySQL. [Site.Drain] still waits.
func (s *Site) Hurry() { s.Flusher.Hurry() }

// Drain flushes the dirty tickets until ctx ends. The error says how many are left.
func (s *Site) Drain(ctx context.Context) error {
	moved, err := s.Flusher.Drain(ctx)
	if err == nil {
		s.Log.Info().Int("flushed", moved.Flushed).Msg("drained")
		return nil
	}
	return fmt.Errorf("site %s: draining: %w; the remaining changes are flushed after the next start", s.Name, err)
}

// The pauses between tries to pass the deleted tickets to the store while MySQL or the store does not answer.
const (
	firstBuryPause = time.Second
	lastBuryPause  = time.Minute
)

// Rebury makes [Site.buryAll] pass the table's deleted tickets to the store again, because the store was found empty.
func (s *Site) Rebury() {
	select {
	case s.rebury <- struct{}{}:
	default: // a run is already requested
	}
}

// buryAll tells the store what the table knows and the store may have forgotten, at the start and whenever [Site.Rebury] asks:
// the deleted tickets, and the dead letters that were settled. Until a run has finished, the store treats a deleted ticket that
// the store has forgotten as a ticket that the store does not hold.
func (s *Site) buryAll(ctx context.Context) {
	s.Rebury()
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	pause := firstBuryPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.rebury:
		case <-timer.C:
		}
		buried, err := s.bury(ctx)
		if err == nil {
			err = s.supersede(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Log.Debug().Err(err).Msg("the deleted tickets cannot be passed to the store yet; the daemon tries again")
			timer.Reset(pause)
			pause = min(2*pause, lastBuryPause)
		default:
			s.Log.Debug().Int("tickets", buried).Msg("the store knows which tickets were deleted")
			pause = firstBuryPause
		}
	}
}

func (s *Site) bury(ctx context.Context) (buried int, err error) {
	after, more := ticket.ID(0), true
	for more && err == nil {
		var ids []ticket.ID
		if ids, after, more, err = s.Deleted(ctx, after); err == nil && len(ids) > 0 {
			err = s.Store.Bury(ctx, ids)
			buried += len(ids)
		}
	}
	return buried, err
}

// supersede forgets the changes of dead letters that are not above the table's revision of their ticket: an older copy of the
// store brings a letter back that was written, replaced or deleted since. The next change of the ticket would carry the letter's
// values over the row.
func (s *Site) supersede(ctx context.Context) error {
	for after := ticket.ID(0); ; {
		letters, err := s.Store.Letters(ctx, after, atOnce)
		if err != nil || len(letters) == 0 {
			return err
		}
		after = letters[len(letters)-1].ID
		ids := make([]ticket.ID, len(letters))
		for i := range letters {
			ids[i] = letters[i].ID
		}
		rows, err := s.Database.Rows(ctx, ids)
		if err != nil {
			return err
		}
		at := make(map[ticket.ID]ticket.Revision, len(rows))
		for i := range rows {
			at[rows[i].ID] = rows[i].Revision
		}
		var settled []store.Receipt
		for i := range letters {
			if l := &letters[i]; l.Oldest != 0 && at[l.ID] >= l.Oldest {
				s.Log.Warn().Int64("ticket", int64(l.ID)).Int64("revision", int64(l.Revision)).Int64("row", int64(at[l.ID])).
					Msg("a dead letter is older than the ticket's row: its changes were written or replaced before, and are forgotten")
				settled = append(settled, store.Receipt{ID: l.ID, Revision: at[l.ID], Ahead: true})
			}
		}
		if len(settled) > 0 {
			if err := s.Store.Ack(ctx, settled); err != nil {
				return err
			}
		}
	}
}
