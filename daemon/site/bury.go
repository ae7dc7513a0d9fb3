package site

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

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
