package outbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/store"
)

var errNoAside = errors.New("there is no other place for it")

// setAside brings a replayed change that is of an earlier ticket than the one that has its id to where an operator finds it. The
// error says why the change must wait in the journal.
func (s *Store) setAside(e *store.Entry) error {
	m := &e.Mutation
	err, at := errNoAside, time.UnixMicro(int64(m.Dated()))
	if s.opts.Aside != nil {
		err = s.opts.Aside(m, at)
	}
	if err != nil {
		return fmt.Errorf("%w, and cannot be set aside: %w", store.ErrPredates, err)
	}
	if m.Kind == store.Delete {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.recent.forget(m.ID) // the ticket that has the id was not deleted
	}
	return nil
}
