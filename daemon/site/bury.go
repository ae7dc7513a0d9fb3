package site

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// The pauses between tries to tell the store of the deleted tickets while MySQL or the store does not answer.
const (
	firstBuryPause = time.Second
	lastBuryPause  = time.Minute
)

// Rebury has the store told of the table's deleted tickets once more, as it was found empty.
func (s *Site) Rebury() {
	select {
	case s.rebury <- struct{}{}:
	default: // that is to be done already
	}
}

// buryAll tells the store of the table's deleted tickets, at the start and whenever [Site.Rebury] asks for it. Until it is through,
// a change of one that the store has forgotten is taken for one of a ticket that the store does not hold.
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
			s.Log.Debug().Err(err).Msg("the store cannot be told of the deleted tickets yet; it is tried again")
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
