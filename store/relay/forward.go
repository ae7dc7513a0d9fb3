package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/journal/wal"
)

const (
	// maxReplay is how many changes are replayed in one call: enough to be fast, few enough for the next store's time-outs.
	maxReplay = 128
	// The pauses between tries while the next store does not take them.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
	// spareBytes is how large the journal's last segment may be before it is given back when nothing waits.
	spareBytes = 1 << 20
)

// run replays what waits, whenever something does.
func (s *Store) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			s.gather(ctx)
		case <-s.nudge:
		case <-timer.C:
		}
		more, err := s.forward(ctx)
		s.tried()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = min(max(2*pause, firstPause), lastPause)
			timer.Reset(pause/2 + rand.N(pause/2+1))
		case more:
			pause = 0
			timer.Reset(0)
		default:
			pause = 0
		}
	}
}

// gather waits for more changes, unless somebody waits for those that are there.
func (s *Store) gather(ctx context.Context) {
	if s.opts.Gather == 0 {
		return
	}
	timer := time.NewTimer(s.opts.Gather)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.nudge:
	case <-timer.C:
	}
}

// tried counts a replay that has ended.
func (s *Store) tried() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
}

// forward brings the oldest changes to the next store, once. It says whether more wait.
func (s *Store) forward(ctx context.Context) (more bool, err error) {
	entries, fence, err := s.oldest()
	if err != nil {
		s.opts.Log.Error().Err(err).Msg("the journal cannot be replayed: a record cannot be read")
		return false, err
	}
	if len(entries) == 0 {
		return false, nil
	}
	if fence {
		if err := s.next.Fence(ctx); err != nil {
			s.unanswered()
			return false, s.failed(err)
		}
	}
	outcomes, err := s.next.Replay(ctx, entries)
	if err != nil {
		return false, s.failed(err)
	}
	return s.arrived(entries, outcomes) //nolint:contextcheck // what has arrived is noted whatever ends
}

// oldest returns the changes to be replayed next, as the next store wants them, and whether the fence must be raised first.
func (s *Store) oldest() (entries []store.Entry, fence bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries = make([]store.Entry, min(len(s.queue), maxReplay))
	for i := range entries {
		e, err := s.queue[i].entry()
		if err != nil {
			return nil, false, err
		}
		entries[i] = store.Entry{Sequence: e.sequence, Revision: e.revision, Mutation: e.mutation}
	}
	fence = s.fence && len(entries) > 0
	if fence {
		s.fence = false // a write that goes unanswered from now on asks for it again
	}
	return entries, fence, nil
}

// failed notes that the next store does not take what waits, and says so once.
func (s *Store) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.failing {
		s.opts.Log.Warn().Err(err).Int("changes", len(s.queue)).
			Msg("Redis does not take changes: they are kept in the journal and replayed when it does")
	}
	s.failing = true
	s.signal()
	return err
}

// signal wakes those who wait for the queue to move. The caller holds the lock.
func (s *Store) signal() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// arrived notes what became of replayed changes: all but those that the next store cannot make now have arrived.
func (s *Store) arrived(entries []store.Entry, outcomes []store.Outcome) (more bool, err error) {
	if len(outcomes) != len(entries) {
		return false, s.failed(fmt.Errorf("the next store answered %d of %d changes", len(outcomes), len(entries)))
	}
	var due time.Time
	var stuck []int
	for i := range outcomes {
		m := &entries[i].Mutation
		err := outcomes[i].Err
		if errors.Is(err, store.ErrDeleted) {
			s.repeats.Warn().Int64("ticket", int64(m.ID)).
				Msg("a change was accepted while Redis was away, of a ticket that had been deleted elsewhere: the deletion stands")
			err = nil
		}
		if err != nil {
			s.repeats.Warn().Err(err).Int64("ticket", int64(m.ID)).
				Msg("a change in the journal cannot be made; it is tried again behind the others")
			stuck = append(stuck, i)
			continue
		}
		if due.IsZero() || m.Due.Before(due) {
			due = m.Due
		}
	}
	more, err = s.confirm(entries, stuck)
	if s.opts.Wake != nil && !due.IsZero() {
		s.opts.Wake(due)
	}
	if err == nil && len(stuck) > 0 {
		err = outcomes[stuck[0]].Err
	}
	return more, err
}

// confirm takes replayed changes out of the queue; those that are stuck go to its end first.
func (s *Store) confirm(entries []store.Entry, stuck []int) (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := make([]func(), 0, len(stuck))
	for n, i := range stuck {
		e := entry{sequence: s.last + 1 + uint64(n), revision: entries[i].Revision, mutation: entries[i].Mutation}
		record := e.encode()
		at, err := s.journal.Append(record)
		if err != nil {
			return false, fmt.Errorf("journal: %w", err) // the same entries are replayed again, which changes nothing
		}
		again = append(again, func() { s.enqueue(&e, at, record) })
	}
	for i := range entries {
		e := entry{revision: entries[i].Revision, mutation: entries[i].Mutation}
		s.waiting.remove(&e)
	}
	clear(s.queue[:len(entries)])
	s.queue = s.queue[len(entries):]
	for _, enqueue := range again {
		enqueue()
	}
	s.replayed += int64(len(entries) - len(stuck))
	if s.failing && len(stuck) == 0 {
		s.failing = false
		s.opts.Log.Info().Int("left", len(s.queue)).Msg("Redis takes changes again: the journal is being replayed")
	}
	s.signal()
	s.trim(entries[len(entries)-1].Sequence)
	return len(s.queue) > 0, nil
}

// trim records how far the next store has come and gives back the space of what is no longer needed, as far as there is
// room to do so. Should that fail, the next store is sent what it has and passes over it; so it is reported and that is all. The
// caller holds the lock.
func (s *Store) trim(upTo uint64) {
	end, err := s.mark(upTo)
	if err == nil && len(s.queue) == 0 && end.Offset > spareBytes {
		if err = s.journal.Rotate(); err == nil {
			_, err = s.mark(upTo)
		}
	}
	// One record that names a sequence number stays in any case: numbers go on from it after a restart.
	needed := s.numbered
	if len(s.queue) > 0 {
		needed = min(needed, s.queue[0].segment)
	}
	if err = errors.Join(err, s.journal.Drop(needed)); err != nil && !errors.Is(err, wal.ErrFull) {
		s.opts.Log.Warn().Err(err).Msg("the journal's space could not be given back; it is tried again")
	}
}

// mark writes that everything up to a sequence number has arrived. The caller holds the lock.
func (s *Store) mark(upTo uint64) (wal.Position, error) {
	end, err := s.journal.Append(encodeConfirmed(upTo))
	if err == nil {
		s.numbered = end.Segment
	}
	return end, err
}

// settle waits until nothing of the tickets, or of all tickets where ids is nil, that was accepted before the call is in the
// journal any more. It ends with an error where the next store does not take it.
func (s *Store) settle(ctx context.Context, ids []ticket.ID) error {
	target := s.newest(ids)
	for target != 0 {
		s.mu.Lock()
		done, failing, moved := len(s.queue) == 0 || s.queue[0].sequence > target, s.failing, s.moved
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case failing:
			return fmt.Errorf("journal: %w: changes wait for Redis", store.ErrUnavailable)
		}
		s.Nudge()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// newest returns the sequence number of the last change that waits, of the tickets or of all; 0 where none does.
func (s *Store) newest(ids []ticket.ID) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ids == nil {
		if n := len(s.queue); n > 0 {
			return s.queue[n-1].sequence
		}
		return 0
	}
	var last uint64
	for _, id := range ids {
		if w := s.waiting.tickets[id]; w != nil {
			last = max(last, w.last)
		}
	}
	return last
}
