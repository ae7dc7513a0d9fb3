package ids

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

const (
	// window is how many ids one question is about.
	window = 64
	// freshness is how long an answer counts, from when its question began: a row that is inserted later is seen by the
	// next question.
	freshness = 50 * time.Millisecond
	// vetTimeout bounds one question. A caller with less than twice that time left gives half of it.
	vetTimeout = 100 * time.Millisecond
	// vetPause is for how long no question is asked after one that got no answer: no create waits for a sick database
	// more than once in that time.
	vetPause = time.Second
)

// vetted is what is known of the ids that come next. The allocator's lock guards it.
type vetted struct {
	about span
	taken map[ticket.ID]struct{}
	until time.Time // the answer counts before that
	// silent is until when no question is asked, as the last one got no answer.
	silent time.Time
	// asking is closed when the question that is under way has ended; nil if none is.
	asking chan struct{}
}

// look says whether an answer that counts knows the id, and what it says. That an id is taken counts for ever.
func (v *vetted) look(id ticket.ID, now time.Time) (known, taken bool) {
	if !v.about.holds(id) {
		return false, false
	}
	_, taken = v.taken[id]
	return now.Before(v.until), taken
}

// question returns the step of a caller that needs an answer: to wait for the question that is under way, or to ask.
func (v *vetted) question(about span) step {
	if v.asking != nil {
		return step{other: v.asking}
	}
	v.asking = make(chan struct{})
	return step{ask: about}
}

// answered asks the step's question, or waits for the caller that does. False where this caller can wait no longer.
func (a *Allocator) answered(ctx context.Context, s *step) bool {
	patience := vetTimeout
	if deadline, bounded := ctx.Deadline(); bounded {
		patience = min(patience, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.other != nil {
		select {
		case <-s.other:
			return true
		case <-ctx.Done():
			return false
		}
	}
	began := time.Now()
	taken, err := a.taken(ctx, s.ask.first, s.ask.first+ticket.ID(s.ask.left)-1)
	a.mu.Lock()
	defer a.mu.Unlock()
	v := &a.vetted
	close(v.asking)
	v.asking = nil
	switch {
	case err == nil:
		v.about, v.until = s.ask, began.Add(freshness)
		v.taken = make(map[ticket.ID]struct{}, len(taken))
		for _, id := range taken {
			v.taken[id] = struct{}{}
		}
	case ctx.Err() == nil || patience == vetTimeout && time.Since(began) >= patience:
		v.silent = time.Now().Add(vetPause)
	default: // This caller went away or was in a hurry, which says nothing of the database.
	}
	return err == nil
}
