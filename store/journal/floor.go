package journal

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
)

// floorTimeout bounds how long Open waits for the next place's revision.
const floorTimeout = 2 * time.Second

// openFloor asks for the next place's revision before the first write. Where it does not answer, the log notes from where on
// revisions may be too low.
func (s *Store) openFloor(ctx context.Context) error {
	if s.opts.Floor == nil {
		s.unsure = 0
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, floorTimeout)
	defer cancel()
	err := s.askFloor(asking)
	if err == nil {
		return nil
	}
	s.opts.Log.Warn().Err(err).Msg("the highest revision of the next place is not known yet")
	if s.unsure == 0 {
		s.unsure = s.index.Size().Highest + 1
		mark := entry{kind: kindMark, highest: s.index.Size().Highest, unsure: s.unsure}
		if _, err := s.log.Append(mark.encode()); err != nil && !errors.Is(err, store.ErrFull) {
			return wrap("open", err)
		}
	}
	return nil
}

func (s *Store) floorMissing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsure != 0
}

// askFloor asks for the next place's revision and lifts above it what was written before it was known.
func (s *Store) askFloor(ctx context.Context) error {
	floor, err := s.opts.Floor(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsure == 0 {
		s.index.Raise(floor)
		return nil
	}
	lifted := s.index.Lift(s.unsure, floor)
	s.index.Raise(floor)
	for part := range slices.Chunk(lifted, chunk) {
		at, err := s.log.Append(encodeStates(part)...)
		if err != nil {
			return wrap("lift", err) // and lift them further the next time
		}
		s.index.Moved(pending.Needs{States: part}, at.Segment)
	}
	mark := entry{kind: kindMark, highest: s.index.Size().Highest}
	if _, err := s.log.Append(mark.encode()); err != nil {
		return wrap("lift", err)
	}
	s.unsure = 0
	return nil
}
