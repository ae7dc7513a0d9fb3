package site

import (
	"errors"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/ids"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/table"
)

// errNoTicket means that no place holds the ticket, or that it was deleted.
var errNoTicket = errors.New("no such ticket")

// errBehind means that no place that answers holds the ticket, and that one that may hold it does not.
var errBehind = errors.New("a place that may hold the ticket does not answer")

// errMaybeDeleted means that only a tombstone refuses a change, while the store that would know better does not answer.
var errMaybeDeleted = errors.New("the ticket counts as deleted, and a place that may know better does not answer")

// undecidedError is why a change is refused for now that rests on a look which was not possible.
type undecidedError struct {
	error

	taken bool // only a tombstone refuses it
}

func (e *undecidedError) Unwrap() error { return e.error }

// answerSet is answerChange for a change that may be undecided.
func answerSet(err error) error {
	answer := answerChange(err)
	if undecided, is := errors.AsType[*undecidedError](err); is {
		if refusal, known := errors.AsType[*protocol.Error](answer); known {
			return &daemon.UndecidedError{Refusal: refusal, Taken: undecided.taken}
		}
	}
	return answer
}

// answer turns an error of the parts into the one that the client gets; what it does not know stays as it is, for the daemon to
// log.
func answer(err error) error {
	var field *table.FieldError
	var conflict *store.ConflictError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &field):
		return protocol.Invalid(field.Field, "%s", field.Reason)
	case errors.As(err, &conflict):
		return protocol.Errorf(protocol.CodeConflict, "%s; read it again and decide anew", conflict)
	case errors.Is(err, store.ErrTaken):
		return protocol.Errorf(protocol.CodeExists, "the id is taken: a ticket has it, or had it before it was deleted; "+
			"leave the id out to be given a free one")
	case errors.Is(err, store.ErrPredates):
		return daemon.ErrPredates
	case errors.Is(err, store.ErrReused):
		return protocol.Invalid("request_id", "it was used before for another request, of another ticket, another method or with "+
			"other fields: nothing was changed; give each request an id of its own")
	case errors.Is(err, store.ErrDeleted), errors.Is(err, errNoTicket), errors.Is(err, store.ErrAbsent):
		return protocol.Errorf(protocol.CodeNotFound, "there is no such ticket, or it was deleted")
	case errors.Is(err, store.ErrForeign):
		return protocol.Errorf(protocol.CodeInternal, "%s", err)
	case errors.Is(err, store.ErrQuota):
		return protocol.Errorf(protocol.CodeOverloaded, "as many tickets of this site wait for MySQL as max_dirty allows, so nothing "+
			"was changed: 'ticketd status' says why they wait, or raise sites.NAME.max_dirty")
	case errors.Is(err, store.ErrFull):
		return protocol.Errorf(protocol.CodeOverloaded, "there is no room for the change, so it was not made: %s",
			store.FullReason(err))
	default:
		return answerOutage(err)
	}
}

func isStuck(err error) bool {
	_, stuck := errors.AsType[*store.StuckError](err)
	return stuck
}

// answerOutage is answer for what does not answer now, or cannot do it now.
func answerOutage(err error) error {
	switch {
	case errors.Is(err, errMaybeTaken):
		return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer, and MySQL has a ticket of this id, which may be the "+
			"one that this request made: try again later under the same request id")
	case errors.Is(err, errAllTaken):
		return protocol.Errorf(protocol.CodeUnavailable, "%s: something writes to ids that it was never given; 'ticketd doctor' "+
			"compares the sequence with the table", err)
	case errors.Is(err, errMaybeDeleted):
		return protocol.Errorf(protocol.CodeUnavailable,
			"the ticket was deleted as far as this host knows, and Redis does not answer, which may know better: try again later")
	case errors.Is(err, errBehind):
		return protocol.Errorf(protocol.CodeUnavailable,
			"Redis does not answer, and MySQL does not have the ticket, which may be a new one: try again later")
	case errors.Is(err, flush.ErrSinkForeign), errors.Is(err, store.ErrOwner):
		return protocol.Errorf(protocol.CodeUnavailable, "%s", err)
	case errors.Is(err, ids.ErrExhausted):
		if unfenced, ok := errors.AsType[*mysql.UnfencedError](err); ok {
			return protocol.Errorf(protocol.CodeUnavailable, "there are no ids for new tickets: %s", unfenced)
		}
		return protocol.Errorf(protocol.CodeUnavailable, "the ids leased ahead are used up and MySQL does not give new ones")
	case errors.Is(err, flush.ErrStopping):
		return protocol.Errorf(protocol.CodeUnavailable, "the daemon stops, and MySQL does not take everything now: what is "+
			"left stays pending in the store and is flushed after the next start")
	case errors.Is(err, flush.ErrLocked):
		locked, _ := errors.AsType[*flush.LockedError](err)
		return protocol.Errorf(protocol.CodeUnavailable, "MySQL does not take tickets %s now, as others hold their rows "+
			"locked, or for the reason that it gives (%s): try again later", locked.Names(), locked.Reason)
	case errors.Is(err, flush.ErrSinkDown):
		return protocol.Errorf(protocol.CodeUnavailable, "MySQL does not answer")
	case errors.Is(err, flush.ErrSinkPaused):
		return protocol.Errorf(protocol.CodeUnavailable, "the tickets table is missing or has changed; run 'ticketd migrate'")
	case isStuck(err):
		return protocol.Errorf(protocol.CodeUnavailable, "%s", err)
	case errors.Is(err, store.ErrUnavailable):
		return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer: try again later")
	default:
		return answerOwner(err)
	}
}

// answerOwner is answer where a place belongs to another table.
func answerOwner(err error) error {
	if errors.Is(err, flush.ErrSinkForeign) || errors.Is(err, store.ErrOwner) {
		return protocol.Errorf(protocol.CodeUnavailable, "%s", err)
	}
	return err
}

// tooMuch is for a reply that cannot fit a frame, found out before all of it was fetched.
func tooMuch() error {
	return protocol.Errorf(protocol.CodeTooLarge, "these tickets take more than the %d bytes of a message: ask for less at once",
		protocol.MaxPayload)
}

// answerChange is answer for a change, where a store that does not answer leaves a doubt.
func answerChange(err error) error {
	if errors.Is(err, store.ErrUnavailable) && !errors.Is(err, flush.ErrSinkForeign) {
		return protocol.Errorf(protocol.CodeUnavailable,
			"Redis does not answer: it is not known whether the change was made; repeat it under the same request id")
	}
	return answer(err)
}

// refusal is answerChange for one of several mutations, which must have an error of its own.
func refusal(err error) *protocol.Error {
	if err == nil {
		return nil
	}
	var known *protocol.Error
	if err := answerChange(err); errors.As(err, &known) {
		return known
	}
	return protocol.Errorf(protocol.CodeInternal, "%s", err)
}
