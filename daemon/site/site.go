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

// Database is what a site asks of its MySQL besides flushing.
type Database interface {
	// Definition is the table's as it was last read or remembered; nil before that.
	Definition() *table.Definition
	Remember(d *table.Definition)
	LoadDefinition(ctx context.Context) (*table.Definition, error)
	// Reread reads the definition again where something was refused by judged, unless it just has. nil says that it is the same.
	Reread(ctx context.Context, judged *table.Definition) *table.Definition
	// Rows returns those of the tickets that have a row, in no order.
	Rows(ctx context.Context, ids []ticket.ID) ([]store.Record, error)
	// Born returns since when, at the latest, the table knows the tickets, alive or deleted; see [mysql.DB.Born].
	Born(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error)
	// List, Count and CountBy ask for what the table holds by now.
	List(ctx context.Context, s *ticket.Selection, p *mysql.Page) ([]store.Record, *mysql.Mark, error)
	Count(ctx context.Context, s *ticket.Selection) (int64, error)
	CountBy(ctx context.Context, s *ticket.Selection, field string, limit int) (groups []ticket.Group, more bool, err error)
}

// IDs hands out ids of new tickets. It waits for MySQL for a moment at most.
type IDs interface {
	Next(ctx context.Context) (ticket.ID, error)
	// Use says that a ticket has this id, wherever it came from: Next must not return it.
	Use(id ticket.ID)
}

// Strategy is a sync strategy with the name that the configuration gives it.
type Strategy struct {
	Name string
	Due  policy.Due
}

// Parts are what a site is made of.
type Parts struct {
	Name     string
	Store    store.Store
	Database Database
	IDs      IDs
	// Deleted returns the table's deleted tickets among the next rows above after, up to which id it has looked, and whether there
	// are more; nil where the store is not to be told of them.
	Deleted func(ctx context.Context, after ticket.ID) (ids []ticket.ID, upTo ticket.ID, more bool, err error)
	Flusher *flush.Flusher
	// Statements is the number of statements that flushing has sent so far.
	Statements func() int64
	Clock      *ticket.Clock
	Strategy   Strategy
	// DefinitionFile keeps the table's definition, so that writes are checked while MySQL is away. Empty keeps none.
	DefinitionFile string
	// StoreState tells whether the store answers; Warnings what somebody must act on.
	StoreState func() (up bool, since time.Time, reason string)
	Warnings   func() []string
	// Served says why nothing of the site may be served, as one of its places belongs to another table; nil where all is well.
	// Optional.
	Served func() error
	// Owns says whether changes that carry an identity are for the site's table. Optional.
	Owns func(identity string) bool
	// Backend is where changes wait; empty stands for Redis.
	Backend protocol.Backend
	// MaxDirty is how many tickets may wait for MySQL; 0 is no bound.
	MaxDirty int
	// Early acknowledges a change as soon as it is durable on this host, unless the request says otherwise.
	Early bool
	// Journal tells what the site's journal holds; nil where there is none.
	Journal func() protocol.JournalStatus
	// Stuck returns a [store.StuckError] where changes of these tickets, or of any where ids is nil, do not get to the store though
	// it answers. Optional.
	Stuck func(ids []ticket.ID) error
	Log   zerolog.Logger
}

// Site serves one WordPress. It is safe for concurrent use.
type Site struct {
	Parts
	strategy   atomic.Pointer[Strategy]
	reads      singleflight.Group
	doubt      doubt
	missing    *missing
	sizes      sizes
	fresh      turns          // flushes of all that is dirty, for lists
	definition lifecycle.Loop // reads the table's definition at start
	burial     lifecycle.Loop // tells the store which tickets were deleted
	rebury     chan struct{}  // asks for that once more
	learned    atomic.Bool    // it has been read since this process started
	kept       kept
}

var _ daemon.Site = (*Site)(nil)

// New makes a site. Its definition is taken from the file until MySQL has been asked.
func New(parts Parts) *Site {
	s := &Site{Parts: parts, missing: newMissing(), rebury: make(chan struct{}, 1), fresh: turns{run: parts.Flusher.TryFlush}}
	s.SetStrategy(parts.Strategy)
	s.recall()
	return s
}

// SetStrategy changes the sync strategy for the changes from now on.
func (s *Site) SetStrategy(strategy Strategy) { s.strategy.Store(&strategy) }

// Start reads the table's definition, in the background until that works, and begins flushing.
func (s *Site) Start(ctx context.Context) {
	s.definition.Start(ctx, s.learn)
	if s.Deleted != nil {
		s.burial.Start(ctx, s.buryAll)
	}
	s.Flusher.Start(ctx)
}

// Stop ends flushing; what is dirty stays in the store.
func (s *Site) Stop(ctx context.Context) error {
	return errors.Join(
		s.definition.Stop(ctx, "definition reader of "+s.Name), s.burial.Stop(ctx, "reader of deleted tickets of "+s.Name),
		s.Flusher.Stop(ctx),
	)
}

// Hurry says that the daemon is about to stop: requests to flush wait for MySQL no more. [Site.Drain] still does.
func (s *Site) Hurry() { s.Flusher.Hurry() }

// Drain flushes what is dirty, until ctx ends. The error says how much is left.
func (s *Site) Drain(ctx context.Context) error {
	moved, err := s.Flusher.Drain(ctx)
	if err == nil {
		s.Log.Info().Int("flushed", moved.Flushed).Msg("drained")
		return nil
	}
	return fmt.Errorf("site %s: draining: %w; what is left stays where it is and is flushed at the next start", s.Name, err)
}

// The pauses between tries to pass the deleted tickets to the store while MySQL or the store does not answer.
const (
	firstBuryPause = time.Second
	lastBuryPause  = time.Minute
)

// Rebury makes [Site.buryAll] pass the table's deleted tickets to the store once more, as the store was found empty.
func (s *Site) Rebury() {
	select {
	case s.rebury <- struct{}{}:
	default: // that is to be done already
	}
}

// buryAll passes the table's deleted tickets to the store, at the start and whenever [Site.Rebury] asks for it. Until it has
// finished, the store treats a deleted ticket that it has forgotten as a ticket that it does not hold.
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
