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

// errNoTicket means that no place holds the ticket, or that the ticket was deleted.
var errNoTicket = errors.New("no such ticket")

// errBehind means that no place that answers holds the ticket, and that a place that may hold the ticket does not answer.
var errBehind = errors.New("a place that may hold the ticket does not answer")

// errMaybeDeleted means that only a tombstone refuses a change, while the store, which may know better, does not answer.
var errMaybeDeleted = errors.New("the ticket counts as deleted, and a place that may know better does not answer")

// undecidedError refuses a change for now: the decision needs a look-up that was not possible.
type undecidedError struct {
	error

	taken bool // only a tombstone refuses the change
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

// answer turns an error of the parts into the client's error. An unknown error is returned unchanged, for the daemon to log.
func answer(err error) error {
	var field *table.FieldError
	var conflict *store.ConflictError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &field):
		return protocol.Invalid(field.Field, "%s", field.Reason)
	case errors.As(err, &conflict):
		return protocol.Conflict(int64(conflict.Have), "%s; read the ticket again, then decide", conflict)
	case errors.Is(err, store.ErrTaken):
		return protocol.Errorf(protocol.CodeExists, "the id is taken, by a ticket or by a deleted ticket; "+
			"leave the id out to get a free id")
	case errors.Is(err, store.ErrPredates):
		return daemon.ErrPredates
	case errors.Is(err, store.ErrReused):
		return protocol.Invalid("request_id", "the request id was used before for a different request (another ticket, method or "+
			"fields), so the change was not made: give each request its own id")
	case errors.Is(err, store.ErrDeleted), errors.Is(err, errNoTicket), errors.Is(err, store.ErrAbsent):
		return protocol.Errorf(protocol.CodeNotFound, "the ticket does not exist, or was deleted")
	case errors.Is(err, store.ErrForeign):
		return protocol.Errorf(protocol.CodeInternal, "%s", err)
	case errors.Is(err, store.ErrQuota):
		return protocol.Errorf(protocol.CodeOverloaded, "the site has as many pending tickets as max_dirty allows, so the change "+
			"was not made: see 'ticketd status' for the reason, or raise sites.NAME.max_dirty")
	case errors.Is(err, store.ErrFull):
		return protocol.Errorf(protocol.CodeOverloaded, "the store has no room, so the change was not made: %s",
			store.FullReason(err))
	default:
		return answerOutage(err)
	}
}

func isStuck(err error) bool {
	_, stuck := errors.AsType[*store.StuckError](err)
	return stuck
}

// answerOutage is answer for a place that does not answer, or cannot do the work now.
func answerOutage(err error) error {
	switch {
	case errors.Is(err, errMaybeTaken):
		return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer, and MySQL has a ticket of this id, which this "+
			"request may have made: try again later under the same request id")
	case errors.Is(err, errAllTaken):
		return protocol.Errorf(protocol.CodeUnavailable, "%s: a program uses ids that the sequence did not give out; 'ticketd doctor' "+
			"compares the sequence with the table", err)
	case errors.Is(err, errMaybeDeleted):
		return protocol.Errorf(protocol.CodeUnavailable,
			"this host knows the ticket as deleted, and Redis, which may know better, does not answer: try again later")
	case errors.Is(err, errBehind):
		return protocol.Errorf(protocol.CodeUnavailable,
			"Redis does not answer, and MySQL does not have the ticket, which may be new: try again later")
	case errors.Is(err, flush.ErrSinkForeign), errors.Is(err, store.ErrOwner):
		return protocol.Errorf(protocol.CodeUnavailable, "%s", err)
	case errors.Is(err, ids.ErrExhausted):
		if unfenced, ok := errors.AsType[*mysql.UnfencedError](err); ok {
			return protocol.Errorf(protocol.CodeUnavailable, "no ids for new tickets: %s", unfenced)
		}
		return protocol.Errorf(protocol.CodeUnavailable, "the ids leased ahead are used up, and MySQL does not give new ids")
	case errors.Is(err, flush.ErrStopping):
		return protocol.Errorf(protocol.CodeUnavailable, "the daemon stops, and MySQL does not accept all changes now: the "+
			"remaining changes stay pending in the store and are flushed after the next start")
	case errors.Is(err, flush.ErrLocked):
		locked, _ := errors.AsType[*flush.LockedError](err)
		return protocol.Errorf(protocol.CodeUnavailable, "MySQL does not accept tickets %s now, because the rows are "+
			"locked or for the reason that MySQL gives (%s): try again later", locked.Names(), locked.Reason)
	case errors.Is(err, flush.ErrSinkDown):
		return protocol.Errorf(protocol.CodeUnavailable, "MySQL does not answer")
	case errors.Is(err, flush.ErrSinkPaused):
		return protocol.Errorf(protocol.CodeUnavailable, "the tickets table is missing or has changed; run 'ticketd migrate'")
	case isStuck(err):
		return protocol.Errorf(protocol.CodeUnavailable, "%s", err)
	case errors.Is(err, store.ErrUnavailable):
		return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer: try again later")
	default:
		return err
	}
}

// tooMuch refuses a reply that cannot fit a frame, before all of the reply was fetched.
func tooMuch() error {
	return protocol.Errorf(protocol.CodeTooLarge, "the tickets take more than the %d bytes of a message: ask for fewer at once",
		protocol.MaxPayload)
}

// answerChange is answer for a change: if the store does not answer, the outcome is unknown.
func answerChange(err error) error {
	if errors.Is(err, store.ErrUnavailable) && !errors.Is(err, flush.ErrSinkForeign) {
		return protocol.Errorf(protocol.CodeUnavailable,
			"Redis does not answer, and the change may have been made: repeat the request under the same request id")
	}
	return answer(err)
}

// refusal is answerChange for a mutation of a batch: every error becomes a protocol error.
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
