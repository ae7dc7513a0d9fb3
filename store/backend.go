package store

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Backend is a store as a daemon runs it, with the journal on this host if the store has one.
type Backend interface {
	Store
	// Start begins the work in the background, which ends with Stop or ctx.
	Start(ctx context.Context)
	// Stop ends the work in the background, and waits for a step that is under way until ctx ends. What is pending stays.
	Stop(ctx context.Context) error
	// Close gives the journal back, after Stop. No other call may be under way.
	Close() error
	// Journal returns the journal's present figures; nil for a store without a journal.
	Journal() *Journal
	// Stuck returns a [StuckError] if changes of the given tickets (nil: of any ticket) stay in the journal although the next store
	// answers.
	Stuck(ids []ticket.ID) error
	// Nudge moves the journal's pending changes to the next store now, and ends the pause after a failure.
	Nudge()
	// Feed returns the feed of the store in which the changes get their final revisions; nil for a store without a feed. The feed is
	// off until it is switched on.
	Feed() Feed
}

// Journal are the figures of a journal.
type Journal struct {
	// Entries counts the changes that are pending for the next store or, without a next store, the pending tickets and dead letters.
	Entries int64
	// Requests counts the remembered request ids.
	Requests int64
	// Bytes and Segments are the log's.
	Bytes, Segments int64
	// Oldest is when the oldest pending change was made; zero without pending changes.
	Oldest time.Time
	// Replayed counts the changes moved to the next store since the journal was opened, and Tries the replays, successful or failed,
	// that have ended since then: Tries grows while changes are pending. Replayed and Tries are zero without a next store.
	Replayed, Tries int64
	// Full says why the last change found no room; empty if the change found room.
	Full string
	// Gone says why the journal accepts no changes: the folder is gone and cannot be made again; nil if the folder exists.
	Gone error
}

// Direct is the part of a [Backend] that a store without a journal shares with others.
type Direct struct{}

// Feed implements [Backend].
func (Direct) Feed() Feed { return nil }

// Start implements [Backend].
func (Direct) Start(context.Context) {}

// Close implements [Backend].
func (Direct) Close() error { return nil }

// Journal implements [Backend].
func (Direct) Journal() *Journal { return nil }

// Stuck implements [Backend].
func (Direct) Stuck([]ticket.ID) error { return nil }

// Nudge implements [Backend].
func (Direct) Nudge() {}
