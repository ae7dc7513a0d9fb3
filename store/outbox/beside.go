package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

const (
	// bornTimeout bounds the question since when there are tickets: changes of others wait meanwhile.
	bornTimeout = 250 * time.Millisecond
	// freshFor is how old a create may be that is replayed without that question, where the next store was asked for its id: others
	// have hardly changed a ticket of its id since that the next store has forgotten.
	freshFor = time.Second
)

// replay brings changes to the next store. A late create that may meet another ticket is judged by what the place behind says of
// its id: of those that have waited for long, or since the next store was away, that is asked before, of others where the next
// store cannot tell.
func (s *Store) replay(ctx context.Context, away time.Time, entries []store.Entry) ([]store.Outcome, error) {
	s.beside(ctx, entries, func(m *store.Mutation) bool {
		return s.opts.Now().Sub(changedAt(m)) >= freshFor || !changedAt(m).After(away)
	})
	outcomes, err := s.next.Replay(ctx, entries)
	if err != nil || len(outcomes) == 0 || !errors.Is(outcomes[0].Err, store.ErrUnsure) {
		return outcomes, err
	}
	s.beside(ctx, entries[:1], func(*store.Mutation) bool { return true })
	return s.next.Replay(ctx, entries) // nothing was made before
}

// beside completes those creates that are asked for by what the place behind the next store says of their ids. What that does not
// answer in time stays open.
func (s *Store) beside(ctx context.Context, entries []store.Entry, asked func(*store.Mutation) bool) {
	var creates []*store.Mutation
	var ids []ticket.ID
	for i := range entries {
		m := &entries[i].Mutation
		if m.Kind.Creates() && m.Accepted != store.Unreceived && asked(m) {
			creates, ids = append(creates, m), append(ids, m.ID)
		}
	}
	if len(ids) == 0 || s.opts.Born == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, bornTimeout)
	defer cancel()
	born, err := s.opts.Born(ctx, ids)
	if err != nil {
		return
	}
	for _, m := range creates {
		if m.RowBorn = born[m.ID]; m.RowBorn == 0 {
			m.RowBorn = ticket.MaxRevision
		}
	}
}
