package site

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
)

// maxTaken is how many ids in a row are tried for one create. Each costs a round trip to the store; a leased block that others
// have used as a whole is passed over within a few creates.
const maxTaken = 1000

// errAllTaken means that tickets have all the ids that were tried for a new one.
var errAllTaken = fmt.Errorf("the next %d ids of the site's sequence are taken by other tickets", maxTaken)

// errMaybeTaken means that MySQL has a ticket of the id that a create names, and that Redis does not say whether an earlier
// request under the same request id has made it.
var errMaybeTaken = errors.New("a ticket has the id, and a place that knows whether it is this request's does not answer")

// createNext makes a ticket under the next free id. It skips ids that clients or other programs use without having received them.
func (s *Site) createNext(ctx context.Context, now time.Time, m *store.Mutation) (store.Outcome, error) {
	for range maxTaken {
		id, err := s.IDs.Next(ctx)
		if err != nil {
			return store.Outcome{}, err
		}
		m.ID = id
		outcome, err := s.apply(ctx, now, m)
		if !errors.Is(err, store.ErrTaken) {
			return outcome, err
		}
	}
	return store.Outcome{}, errAllTaken
}

// createNamed makes a ticket under an id that its client names. Where the store does not hold a ticket of this id MySQL is asked
// first; while it does not answer the create is accepted unseen, and MySQL refuses it later where it must.
func (s *Site) createNamed(ctx context.Context, now time.Time, m *store.Mutation) (store.Outcome, error) {
	s.use(m.ID)
	s.missing.written(m.ID) // somebody may have made its row in SQL since it was found missing
	record, err := s.lookUpInHalf(ctx, m.ID)
	switch {
	case err == nil && record.Behind && !record.Queued && m.RequestID == "":
		return store.Outcome{}, store.ErrTaken
	case err == nil && record.Behind && !record.Queued:
		return store.Outcome{}, errMaybeTaken
	case err == nil:
		m.Early = false // the store holds the ticket now, and distinguishes a repetition from another request
	case errors.Is(err, errNoTicket), errors.Is(err, store.ErrForeign), errors.Is(err, errBehind),
		errors.Is(err, flush.ErrSinkDown), errors.Is(err, flush.ErrSinkPaused):
	default:
		return store.Outcome{}, err
	}
	if m.Accepted == 0 {
		return s.apply(ctx, now, m)
	}
	var unknown error
	if m.RowBorn, unknown = s.born(ctx, m.ID); unknown != nil {
		m.RowBorn = 0
	}
	outcome, err := s.apply(ctx, now, m)
	if unknown != nil && errors.Is(err, store.ErrUnsure) {
		err = unknown
	}
	return outcome, err
}

// born is [store.Mutation.RowBorn] for an id.
func (s *Site) born(ctx context.Context, id ticket.ID) (ticket.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	all, err := s.Database.Born(ctx, []ticket.ID{id})
	if born, known := all[id]; err != nil || known {
		return born, err
	}
	return ticket.MaxRevision, nil
}

// use says that a ticket's id was named by a client, so that no create is given it.
func (s *Site) use(id ticket.ID) {
	if s.IDs != nil {
		s.IDs.Use(id)
	}
}
