package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/wal"
)

// Apply implements [store.Tickets]. Apply returns when the changes are as durable as the sync mode promises. A repetition waits,
// too, as the first request may still wait for the disk.
func (s *Store) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes, end, told := s.apply(mutations)
	if err := s.log.Commit(ctx, end); err != nil {
		return nil, wrap("apply", err)
	}
	s.feed.readableTo(told)
	return outcomes, nil
}

// apply makes mutations and returns the position up to which the log must be durable for the outcomes: an outcome rests on its
// own mutation, on the repeated mutation, or on the mutations that are the reason for a refusal. A refusal for lack of room rests
// on no record.
// told is the number of the newest event.
func (s *Store) apply(mutations []store.Mutation) (outcomes []store.Outcome, end wal.Position, told uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tells := s.feed.on()
	used, room := s.log.Stats().Bytes, s.opts.MaxBytes-s.opts.MaxBytes/8
	var size pending.Size
	if used > room {
		size = s.index.Size()
	}
	before := s.segment
	outcomes, err := s.index.ApplyLogged(mutations, func(m *store.Mutation, o store.Outcome) (uint64, error) {
		if used > room {
			return 0, wrap("apply", s.usedUp(used, size))
		}
		r := entry{kind: kindMutation, mutation: *m, revision: o.Revision, expires: s.opts.Now().Add(pending.Memory(m))}
		if tells {
			s.feed.tell(&r, s.index.EventOf(m, o.Revision))
		}
		at, err := s.log.Append(r.encode())
		if err == nil {
			s.segment = at.Segment
			s.feed.appended(&r, at)
		}
		return at.Segment, wrap("apply", err)
	})
	s.noteRoom(err)
	if err != nil || s.segment != before {
		s.wake()
	}
	for i := range outcomes {
		if !errors.Is(outcomes[i].Err, store.ErrFull) && !errors.Is(outcomes[i].Err, store.ErrUnavailable) {
			return outcomes, s.log.End(), s.feed.newest()
		}
	}
	return outcomes, wal.Position{}, 0
}

// noteRoom logs when the journal becomes full, and when the journal accepts changes again. The caller holds the lock.
func (s *Store) noteRoom(err error) {
	full := store.FullReason(err)
	switch {
	case full != "" && s.full == "":
		s.opts.Log.Error().Err(err).Msg("the journal is full: changes are answered overloaded")
	case err == nil && s.full != "" && !s.hasRoom():
		return // only this change has found room, as it adds no ticket or no request id
	case err == nil && s.full != "":
		s.opts.Log.Info().Msg("the journal has room again")
	}
	s.full = full
}

// hasRoom says that an eighth of each bound on memory is free. noteRoom requires this margin so that near a bound the log does
// not get a message for each change.
func (s *Store) hasRoom() bool {
	size := s.index.Size()
	free := func(n, most int) bool { return n < most-most/8 }
	return free(size.Dirty, s.opts.MaxEntries) && free(size.Requests, s.opts.MaxRequests)
}

// Bury implements [store.Tickets]. Bury returns before the tombstones are on disk: after a power loss the next place still has
// the deletions.
func (s *Store) Bury(_ context.Context, ids []ticket.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := range slices.Chunk(s.index.NewGraves(ids), chunk) {
		at, err := s.log.Append((&entry{kind: kindGraves, graves: part}).encode())
		if err != nil {
			return wrap("bury", err)
		}
		s.index.Graves(part, at.Segment)
	}
	return nil
}

// usedUp is the error that says what content fills the log.
func (s *Store) usedUp(used int64, size pending.Size) error {
	by := fmt.Sprintf("by %d pending tickets and %d remembered request ids; make MySQL accept the tickets, or raise the bound",
		size.Dirty, size.Requests)
	if size.Dirty == 0 {
		by = fmt.Sprintf("by %d remembered request ids, while no ticket is pending; each id is kept for as long as its request asked, "+
			"a day by default; raise the bound", size.Requests)
	}
	return fmt.Errorf("%w: %w", wal.ErrFull, &store.FullError{
		Bound: "journal.max_bytes", Reason: fmt.Sprintf("%d of %d bytes are used, %s", used, s.opts.MaxBytes, by),
	})
}

// chunk is the maximum of tickets in a record of acks, letters or ids.
const chunk = 1000

// Ack implements [store.Queue].
func (s *Store) Ack(ctx context.Context, receipts []store.Receipt) error {
	var records [][]byte
	for part := range slices.Chunk(receipts, chunk) {
		records = append(records, (&entry{kind: kindAck, receipts: part}).encode())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.wake()
	s.note(records)
	return s.index.Ack(ctx, receipts)
}

// Park implements [store.Queue].
func (s *Store) Park(ctx context.Context, letters []ticket.Letter) error {
	var records [][]byte
	for part := range slices.Chunk(letters, chunk) {
		records = append(records, (&entry{kind: kindPark, letters: part}).encode())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(records)
	return s.index.Park(ctx, letters)
}

// note writes records that may be lost: a full disk must not stop flushing.
func (s *Store) note(records [][]byte) {
	if len(records) == 0 {
		return
	}
	_, err := s.log.Append(records...)
	if err != nil && !s.unlogged {
		s.opts.Log.Warn().Err(err).
			Msg("flushed tickets cannot be recorded in the journal: after a restart these tickets are flushed again")
	}
	s.unlogged = err != nil
}

// Retry implements [store.DeadLetters].
func (s *Store) Retry(ctx context.Context, now time.Time, ids []ticket.ID) (int, error) {
	return s.decided(ctx, "retry", entry{kind: kindRetry, at: now}, ids, func() (int, error) {
		return s.index.Retry(ctx, now, ids)
	})
}

// Drop implements [store.DeadLetters].
func (s *Store) Drop(ctx context.Context, ids []ticket.ID) (int, error) {
	defer s.wake()
	defer s.feed.made(ctx)
	return s.decided(ctx, "drop", entry{kind: kindDrop}, ids, func() (int, error) {
		events := s.index.DropTold(ids)
		return len(events), s.feed.append(events)
	})
}

// decided writes an operator's decision on dead letters, executes the decision, and waits until the record is durable.
func (s *Store) decided(ctx context.Context, name string, r entry, ids []ticket.ID, do func() (int, error)) (int, error) {
	var records [][]byte
	for part := range slices.Chunk(ids, chunk) {
		r.ids = part
		records = append(records, r.encode())
	}
	s.mu.Lock()
	n := 0
	end, err := s.log.Append(records...)
	if err == nil {
		n, err = do()
	}
	s.mu.Unlock()
	if err == nil {
		err = s.log.Commit(ctx, end)
	}
	return n, wrap(name, err)
}
