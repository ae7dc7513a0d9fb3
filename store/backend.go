package store

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Backend is a store as a daemon runs it, with the journal on this host if the store has one.
type Backend interface {
	Store
	// Start begins the work in the background. It ends with Stop, or with ctx.
	Start(ctx context.Context)
	// Stop ends the work in the background, and waits for a step that is under way until ctx ends. What is pending stays.
	Stop(ctx context.Context) error
	// Close gives the journal back, after Stop. No other call may be under way.
	Close() error
	// Journal returns what the journal holds now; nil where there is none.
	Journal() *Journal
	// Stuck returns a [StuckError] where changes of these tickets, or of any where ids is nil, do not get from the journal to the
	// next store although it answers.
	Stuck(ids []ticket.ID) error
	// Nudge brings what is pending in the journal to the next store now, and ends the pause after a failure.
	Nudge()
}

// Journal says what a journal holds.
type Journal struct {
	// Entries counts the changes that wait for the next store or, without one, the tickets that wait, dead letters included.
	Entries int64
	// Requests counts the request ids that are remembered.
	Requests int64
	// Bytes and Segments are the log's.
	Bytes, Segments int64
	// Oldest is when the oldest change that waits was made; zero where none waits.
	Oldest time.Time
	// Replayed counts the changes that were brought to the next store since the journal was opened, and Tries the replays that have
	// ended since then, in whatever way: Tries grows while anything waits. Both are zero without a next store.
	Replayed, Tries int64
	// Full says why the last change found no room; empty where it found some.
	Full string
	// Gone says why the journal takes no changes: its folder is gone and cannot be made again; nil where it is there.
	Gone error
}

// Direct is the part of a [Backend] that a store without a journal shares with others.
type Direct struct{}

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
