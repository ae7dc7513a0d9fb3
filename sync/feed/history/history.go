// Package history keeps who changed which field of a ticket, when, and from what to what: a destination of the feed that writes a
// row for each change beside the tickets table.
//
// The courier's cursor moves after the commit. A row's primary key is the ticket and the revision, so that an event which comes
// again changes nothing. A change that changes no value makes no row. While MySQL is unreachable the events wait in the feed, and
// flushing does not wait for the history.
package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Name is the destination's name in the store; no configured destination has it.
const Name = "history"

// Database is the part of MySQL that the history uses; see [mysql.History].
type Database interface {
	Add(ctx context.Context, changes []mysql.Change) error
	Erase(ctx context.Context, ids []ticket.ID, upTo ticket.Revision) (int64, error)
	Make(ctx context.Context) error
	Look(ctx context.Context) error
	Purge(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Options of a history.
type Options struct {
	// Keep is for how long the history keeps a change.
	Keep time.Duration
	// Omit are the fields whose changes are kept without values.
	Omit []string
	// Touched returns the field that each change sets to its time: an update does not name it. Optional.
	Touched func() string
	// Served returns why the site's table may not be written: it is not this site's. Optional.
	Served func() error
	// Every is the time between purges; zero is an hour.
	Every time.Duration
	Log   zerolog.Logger
}

// History is the [feed.Publisher] that writes the history, with the purge. Start and Stop are idempotent.
type History struct {
	db    Database
	opts  Options
	purge lifecycle.Loop
}

var _ feed.Publisher = (*History)(nil)

// New makes a history. The purge does not run.
func New(db Database, opts Options) *History {
	if opts.Every == 0 {
		opts.Every = time.Hour
	}
	return &History{db: db, opts: opts}
}

// Ordered implements [feed.Publisher]: one statement takes a ticket's changes together, or none.
func (h *History) Ordered() bool { return true }

// Publish implements [feed.Publisher].
func (h *History) Publish(ctx context.Context, events []ticket.Event) []feed.Verdict {
	verdicts := make([]feed.Verdict, len(events))
	verdict := h.write(ctx, events)
	for i := range verdicts {
		verdicts[i] = verdict
	}
	return verdicts
}

func (h *History) write(ctx context.Context, events []ticket.Event) feed.Verdict {
	err := h.served()
	if err == nil {
		err = h.store(ctx, events)
	}
	if errors.Is(err, flush.ErrSinkPaused) && h.db.Make(ctx) == nil { // the first write, or another program dropped the table
		err = h.store(ctx, events)
	}
	switch {
	case err == nil:
		return feed.Verdict{Decision: feed.Confirmed}
	case errors.Is(err, flush.ErrSinkPaused), errors.Is(err, flush.ErrSinkForeign):
		return feed.Verdict{Decision: feed.Paused, Err: err}
	default:
		return feed.Verdict{Decision: feed.Later, Err: err}
	}
}

func (h *History) served() error {
	if h.opts.Served == nil {
		return nil
	}
	if err := h.opts.Served(); err != nil {
		return fmt.Errorf("%w: %w", flush.ErrSinkForeign, err)
	}
	return nil
}

// store writes the events' rows, and erases the values of tickets whose erasure is among the events.
func (h *History) store(ctx context.Context, events []ticket.Event) error {
	var changes []mysql.Change
	for i := range events {
		e := &events[i]
		if e.Kind == ticket.EventErased {
			if err := h.db.Add(ctx, changes); err != nil {
				return err
			}
			changes = nil
			upTo := max(e.Revision, ticket.Revision(e.At.UnixMicro())) // revisions may be ahead of the clock
			if _, err := h.db.Erase(ctx, []ticket.ID{e.Ticket}, upTo); err != nil {
				return err
			}
			continue
		}
		if c, is := h.change(e, events[i+1:]); is {
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		if len(events) > 0 && events[0].Kind == ticket.EventTest {
			return h.db.Look(ctx)
		}
		return nil
	}
	return h.db.Add(ctx, changes)
}

// change is the event's row; next are the events behind it.
func (h *History) change(e *ticket.Event, next []ticket.Event) (mysql.Change, bool) {
	c := mysql.Change{
		Ticket: e.Ticket, Revision: e.Revision, Kind: string(e.Kind), Values: map[string][]ticket.Value{}, By: e.By, Via: e.Via,
		At: e.At,
	}
	switch {
	case e.IsChange():
		return c, h.values(e, c.Values) > 0 || e.Kind != ticket.EventUpdated
	case e.Kind == ticket.EventDropped:
		c.Kind = mysql.HistoryDropped
		return c, true
	case e.Kind == ticket.EventGap, e.Kind == ticket.EventReset:
		c.Kind, c.Ticket, c.Revision = mysql.HistoryGap, 0, ticket.Revision(e.Recorded.UnixMicro())
		for i := range next { // the gap is before the next change, which may be older than the discovery of the gap
			if next[i].IsChange() {
				c.At = next[i].At
				break
			}
		}
		return c, true
	default: // the others repeat what the history has, or are no change
		return c, false
	}
}

// values fills in what has changed and returns the number of changed fields.
func (h *History) values(e *ticket.Event, into map[string][]ticket.Value) int {
	if h.opts.Touched != nil {
		e = e.Untouched(h.opts.Touched())
	}
	for _, f := range e.Fields {
		was, known := e.Was.Get(f.Name)
		created := e.Kind == ticket.EventCreated
		known = known || created // a new ticket had no value
		switch {
		case known && same(was, f.Value):
		case slices.Contains(h.opts.Omit, f.Name):
			into[f.Name] = []ticket.Value{}
		case known:
			into[f.Name] = []ticket.Value{was, f.Value}
		default:
			into[f.Name] = []ticket.Value{f.Value}
		}
	}
	for _, name := range e.Omitted {
		into[name] = []ticket.Value{}
	}
	return len(into)
}

func same(a, b ticket.Value) bool { return a.Text() == b.Text() && a.IsNull() == b.IsNull() }

// Probe implements [feed.Publisher].
func (h *History) Probe(ctx context.Context) error {
	if err := h.served(); err != nil {
		return err
	}
	err := h.db.Look(ctx)
	if errors.Is(err, flush.ErrSinkPaused) {
		if err = h.db.Make(ctx); err == nil { // or the table is another program's
			err = h.db.Look(ctx)
		}
	}
	return err
}

// Close implements [feed.Publisher]. The connections are the site's.
func (h *History) Close() error { return nil }

// Start begins the purge, which ends with Stop or with ctx.
func (h *History) Start(ctx context.Context) { h.purge.StartEvery(ctx, h.opts.Every, h.purgeOld) }

// Stop ends the purge, and waits for a statement that is under way until ctx ends.
func (h *History) Stop(ctx context.Context) error { return h.purge.Stop(ctx, "purge of the history") }

const (
	// purgeRows is how many rows a statement removes: it holds their locks for some milliseconds. purgePause lets others write
	// between two statements.
	purgeRows  = 1000
	purgePause = 100 * time.Millisecond
)

// purgeOld removes the changes that are older than Keep, in small steps.
func (h *History) purgeOld(ctx context.Context) {
	var sum int64
	for h.served() == nil {
		n, err := h.db.Purge(ctx, time.Now().Add(-h.opts.Keep), purgeRows)
		sum += n
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, flush.ErrSinkDown) {
				h.opts.Log.Warn().Err(err).Msg("old changes cannot be removed from the history; the next try is in an hour")
			}
			break
		}
		if n < purgeRows {
			break
		}
		select {
		case <-time.After(purgePause):
		case <-ctx.Done():
			return
		}
	}
	if sum > 0 {
		h.opts.Log.Info().Int64("rows", sum).Msg("old changes were removed from the history")
	}
}
