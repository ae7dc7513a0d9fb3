package flush

import (
	"context"
	"errors"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Result is the sink's answer to a change: stored, refused, or left for later.
type Result struct {
	// Revision is the ticket's revision in the sink after the write: the change's own revision, or a higher revision if the sink
	// was ahead.
	Revision ticket.Revision
	// Ahead says that the sink holds other data of this ticket than the change, as when Revision is above the change's: the store
	// must forget its copy.
	Ahead bool
	// Void says that the change deletes a ticket that the sink never had, while a living ticket of another origin has the id in the
	// sink. The flusher drops the deletion with its tombstone, which would block changes of that other ticket.
	Void bool
	// Refused is set if the sink will never take this change unaltered: the change becomes a dead letter.
	Refused *Refusal
	// Later is set, with the reason, if the sink takes other changes but not this change now, because another client holds the row
	// or the sink has no room for the row. The flusher retries without end; the change never becomes a dead letter.
	Later error
}

// Refusal is the sink's reason for not taking a change.
type Refusal struct {
	Code   int // the database's own error number, e.g. 1406
	Reason string
}

// Sink takes changes. A write is idempotent and never replaces a newer revision by an older revision.
type Sink interface {
	// Write writes the claims, at most one per ticket, and returns one result per claim, in the order of the claims. An error that
	// wraps [ErrSinkDown], [ErrSinkPaused] or [ErrSinkForeign] concerns no single claim: the caller retries all claims.
	Write(ctx context.Context, claims []store.Claim) ([]Result, error)
}

var (
	// ErrSinkDown means that the sink does not answer; try again with growing pauses.
	ErrSinkDown = errors.New("sink down")
	// ErrSinkPaused means that the sink's table is missing or has changed: the definition must be read again first.
	ErrSinkPaused = errors.New("sink paused: its table is missing or has changed")
	// ErrSinkForeign means that the table that answers is not the table of the changes: a copy, or another server's table. The
	// flusher writes no change to that table until an operator has decided.
	ErrSinkForeign = errors.New("not this site's table")
	// ErrLocked means that other clients held the rows of tickets locked for too long: a [LockedError] names the tickets.
	ErrLocked = errors.New("rows stay locked by other clients")
)
