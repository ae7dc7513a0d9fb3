package flush

import (
	"context"
	"errors"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Result is what the sink did with one change: stored it, refused it, or left it for later.
type Result struct {
	// Revision is the ticket's in the sink after the write: the change's own, or a higher one where the sink was ahead.
	Revision ticket.Revision
	// Ahead says that the sink has something else of this ticket than the change: what the store holds of it is to be
	// forgotten, as where Revision is higher than the change's.
	Ahead bool
	// Void says that the change is a deletion of a ticket that the sink never had, while a living ticket of another origin has its
	// id there: the deletion is given up, with its tombstone, which would keep changes from that other ticket.
	Void bool
	// Refused is set where the sink will never take this change as it is: it becomes a dead letter.
	Refused *Refusal
	// Later is set, with the reason, where the sink takes others but not this one now, as somebody else holds the row or there is
	// no room for it: it is to be tried again, for as long as that takes. It never makes a dead letter.
	Later error
}

// Refusal is the sink's reason for not taking a change.
type Refusal struct {
	Code   int // the database's own error number, e.g. 1406
	Reason string
}

// Sink is where changes are brought. A write is idempotent and never replaces a newer revision by an older one.
type Sink interface {
	// Write brings the claims, at most one per ticket, and returns one result per claim, in their order. An error that
	// wraps [ErrSinkDown], [ErrSinkPaused] or [ErrSinkForeign] concerns none of them: all are to be tried again.
	Write(ctx context.Context, claims []store.Claim) ([]Result, error)
}

var (
	// ErrSinkDown means that the sink does not answer; try again with growing pauses.
	ErrSinkDown = errors.New("sink down")
	// ErrSinkPaused means that the sink's table is missing or has changed: its definition must be read again first.
	ErrSinkPaused = errors.New("sink paused: its table is missing or has changed")
	// ErrSinkForeign means that what answers is not the table that the changes belong to: a copy, or another server's. Nothing is
	// done there until an operator has decided.
	ErrSinkForeign = errors.New("not this site's table")
	// ErrLocked means that others hold the rows of tickets for so long that these could not be brought: a [LockedError] names them.
	ErrLocked = errors.New("rows stay locked by others")
)
