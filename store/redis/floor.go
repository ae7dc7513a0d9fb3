package redis

import (
	"context"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/redis/link"
)

// floorTimeout bounds the question for the sink's highest revision: a write may be waiting for the answer.
const floorTimeout = 250 * time.Millisecond

// floor asks the sink for its highest revision and raises the clock above it.
func (s *Store) floor(ctx context.Context) (floor ticket.Revision, known bool) {
	if s.opts.Floor == nil {
		return 0, true
	}
	ctx, cancel := context.WithTimeout(ctx, floorTimeout)
	defer cancel()
	floor, err := s.opts.Floor(ctx)
	if err != nil {
		return 0, false
	}
	s.opts.Clock.Observe(floor)
	return floor, true
}

// raise makes good for a floor that could not be asked when Redis was found empty, as soon as the sink answers: it is tried
// before every claim, so before anything of this filling is brought to the sink. Until then the clocks alone keep revisions
// growing. What fails is tried again at the next claim.
func (s *Store) raise(ctx context.Context) {
	if !s.floorless.Load() || !s.raising.TryLock() {
		return
	}
	defer s.raising.Unlock()
	floor, known := s.floor(ctx)
	if !known {
		return
	}
	if err := s.raiseTo(ctx, floor); err != nil {
		return
	}
	s.floorless.Store(false)
	if floor > 0 && s.opts.OnSeed != nil {
		s.opts.OnSeed(floor, false)
	}
}

// raiseTo raises first the revisions to come and then those of what waits.
func (s *Store) raiseTo(ctx context.Context, floor ticket.Revision) error {
	run := func(p int, ids []ticket.ID, last bool) error {
		names := []string{s.keys.meta(p)}
		for _, id := range ids {
			names = append(names, s.keys.ticket(id))
		}
		return link.Wrap("raise", s.run(ctx, raiseScript, p, names, int64(floor), s.line.Load(), last).Err())
	}
	for p := range s.keys.partitions {
		if err := run(p, nil, false); err != nil {
			return err
		}
	}
	ids, err := s.DirtyIDs(ctx)
	if err != nil {
		return err
	}
	dead, err := s.deadIDs(ctx, 0)
	if err != nil {
		return link.Wrap("raise", err)
	}
	ids = append(ids, dead...)
	for p, indexes := range s.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		for part := range slices.Chunk(indexes, maxCombined) {
			of := make([]ticket.ID, len(part))
			for i, at := range part {
				of[i] = ids[at]
			}
			if err := run(p, of, false); err != nil {
				return err
			}
		}
	}
	for p := range s.keys.partitions {
		if err := run(p, nil, true); err != nil {
			return err
		}
	}
	return nil
}
