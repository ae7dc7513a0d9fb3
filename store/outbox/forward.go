package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"maps"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

const (
	// maxReplay is how many changes are replayed in one call: enough to be fast, few enough for the next store's time-outs.
	maxReplay = 128
	// The pauses between tries while the next store does not take changes.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
	// spareBytes is up to which size the journal keeps its last segment when no changes are pending.
	spareBytes = 1 << 20
)

// run replays pending changes, each lane on its own.
func (s *Store) run(ctx context.Context) {
	var lanes sync.WaitGroup
	for _, l := range s.lanes {
		lanes.Go(func() { s.runLane(ctx, l) })
	}
	lanes.Wait()
}

func (s *Store) runLane(ctx context.Context, l *lane) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			s.gather(ctx, l)
		case <-l.now:
		case <-timer.C:
		}
		more, err := s.forward(ctx, l)
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

// gather waits for more changes, unless a caller waits for the present changes.
func (s *Store) gather(ctx context.Context, l *lane) {
	if s.opts.Gather == 0 {
		return
	}
	timer := time.NewTimer(s.opts.Gather)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.now:
	case <-timer.C:
	}
}

// tried counts a replay that has ended.
func (s *Store) tried() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
}

// forward replays a lane's oldest changes to the next store, once. more says that the lane has more changes.
func (s *Store) forward(ctx context.Context, l *lane) (more bool, err error) {
	entries, fence, written, err := s.oldest(l)
	if err != nil {
		s.opts.Log.Error().Err(err).Msg("the journal cannot be replayed: a record cannot be read")
		return false, err
	}
	if len(entries) == 0 {
		return false, nil
	}
	if err := s.journal.Persist(ctx, written); err != nil {
		return false, fmt.Errorf("journal: %w", err)
	}
	if fence {
		if err := s.next.Fence(ctx, l.partition); err != nil {
			s.unanswered(entries[0].Mutation.ID)
			return false, s.failed(l, err)
		}
	}
	s.mu.Lock()
	away := l.away
	s.mu.Unlock()
	outcomes, err := s.replay(ctx, away, begun(entries))
	if err != nil {
		return false, s.failed(l, err)
	}
	switch ended := endedAt(outcomes); {
	case ended > 0: // that create is the first of the next replay
		entries, outcomes = entries[:ended], outcomes[:ended]
	case ended == 0 && errors.Is(outcomes[0].Err, store.ErrUnsure):
		entries, outcomes = entries[:1], outcomes[:1] // MySQL does not answer: the create is tried again
	case ended == 0:
		err := s.move(ctx, l, entries[0].Mutation.ID)
		if err == nil {
			return true, nil
		}
		entries, outcomes = entries[:1], outcomes[:1]
		outcomes[0].Err = fmt.Errorf("%w: %w", outcomes[0].Err, err)
	}
	return s.arrived(l, entries, outcomes) //nolint:contextcheck // arrivals are recorded even after ctx ends
}

// endedAt returns the index of the create at which a replay stopped because the id is taken or may be taken; -1 after a complete
// replay.
func endedAt(outcomes []store.Outcome) int {
	return slices.IndexFunc(outcomes, func(o store.Outcome) bool {
		return errors.Is(o.Err, store.ErrTaken) || errors.Is(o.Err, store.ErrUnsure)
	})
}

// begun returns the entries with each create as [store.Mutation.Begun], as clients may have changed the tickets since.
func begun(entries []store.Entry) []store.Entry {
	all := slices.Clone(entries)
	for i := range all {
		if all[i].Mutation.Kind == store.Create {
			all[i].Mutation = all[i].Mutation.Begun()
		}
	}
	return all
}

// oldest returns a lane's changes to be replayed next, whether the fence must be raised first, and up to where the journal must
// be on disk.
func (s *Store) oldest(l *lane) (entries []store.Entry, fence bool, written wal.Position, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries = make([]store.Entry, min(len(l.queue), maxReplay))
	for i := range entries {
		e, err := l.queue[i].entry()
		if err != nil {
			return nil, false, written, err
		}
		entries[i] = store.Entry{Sequence: e.sequence, Revision: e.revision, Mutation: e.mutation}
	}
	fence = l.fence && len(entries) > 0
	if fence {
		l.fence = false // an unanswered write sets the flag again
	}
	return entries, fence, l.written, nil
}

// failed records that the next store does not take a lane's changes, and logs this once for all lanes, unless Redis is known to
// be down: one line then stands for all sites.
func (s *Store) failed(l *lane, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told && s.opts.Up(l.partition) {
		s.told = true
		s.opts.Log.Warn().Err(err).Int("changes", s.count).
			Msg("Redis does not accept changes: the journal keeps new changes and replays the changes when Redis recovers")
	}
	l.failing = true
	s.signal()
	return err
}

// takesAll says that no lane is failing. The caller holds the lock.
func (s *Store) takesAll() bool {
	return !slices.ContainsFunc(s.lanes, func(l *lane) bool { return l.failing })
}

// signal wakes the callers that wait for the queue to move. The caller holds the lock.
func (s *Store) signal() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// arrived records the outcomes of replayed changes: all changes have arrived, except changes that the next store cannot make now.
func (s *Store) arrived(l *lane, entries []store.Entry, outcomes []store.Outcome) (more bool, err error) {
	if len(outcomes) != len(entries) {
		return false, s.failed(l, fmt.Errorf("the next store answered %d of %d changes", len(outcomes), len(entries)))
	}
	var due time.Time
	var stuck []refused
	held := make(map[ticket.ID]bool) // the tickets of stuck entries: their later entries are made again, in the same order
	for i := range outcomes {
		m := &entries[i].Mutation
		err := outcomes[i].Err
		if errors.Is(err, store.ErrDeleted) {
			s.noteDeleted(m.ID)
			s.repeats.Warn().Int64("ticket", int64(m.ID)).
				Msg("a change was accepted while Redis was away, of a ticket that had been deleted elsewhere: the deletion stands")
			err = nil
		}
		if errors.Is(err, store.ErrPredates) && !held[m.ID] {
			if err = s.setAside(&entries[i]); err == nil {
				continue
			}
		}
		if err != nil {
			s.repeats.Warn().Err(err).Int64("ticket", int64(m.ID)).
				Msg("a change in the journal cannot be made; the outbox retries the change at the end of the queue")
			held[m.ID] = true
		}
		if held[m.ID] {
			stuck = append(stuck, refused{i, err})
			continue
		}
		if due.IsZero() || m.Due.Before(due) {
			due = m.Due
		}
	}
	more, err = s.confirm(l, entries, stuck)
	if s.opts.Wake != nil && !due.IsZero() {
		s.opts.Wake(due)
	}
	if err == nil && s.cycled(l, entries, len(stuck) == len(entries)) { // no change has arrived: pause before the next try
		err = stuck[0].why
	}
	return more, err
}

// cycled says that all pending changes of a lane are stuck: the next ticket was already tried since the last arrival of a change.
// still says that none of the entries, which were just tried, has arrived.
func (s *Store) cycled(l *lane, entries []store.Entry, still bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !still {
		clear(l.tried)
		return false
	}
	for i := range entries {
		l.tried[entries[i].Mutation.ID] = true
	}
	next, err := l.queue[0].entry()
	if err != nil || !l.tried[next.mutation.ID] {
		return false
	}
	clear(l.tried)
	return true
}

func (s *Store) noteDeleted(id ticket.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.bury(id)
}

// confirm takes replayed changes out of a lane's queue; stuck changes go to the end of the queue first.
func (s *Store) confirm(l *lane, entries []store.Entry, stuck []refused) (more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again, rest, err := s.behind(l, entries, stuck)
	if err != nil {
		return false, err
	}
	at, err := s.replace(again)
	if err != nil {
		return false, fmt.Errorf("journal: %w", err) // a second replay of the same entries makes no difference
	}
	for i := range entries {
		e := entry{revision: entries[i].Revision, mutation: entries[i].Mutation}
		s.waiting.remove(&e)
	}
	clear(l.queue[:len(entries)])
	s.count -= len(l.queue) - len(rest)
	l.queue = rest
	for i := range again {
		r := &again[i]
		delete(s.waiting.tickets, r.to) // the replacement has the ticket's other changes
		s.queueAgain(at, r)
		s.waiting.tickets[r.to].stuck = r.why
	}
	s.replayed += int64(len(entries) - len(stuck))
	if l.failing { // stuck changes do not count: they concern only their own tickets
		l.failing = false
		if s.told && s.takesAll() {
			s.told = false
			s.opts.Log.Info().Int("left", s.count).Msg("Redis accepts changes again: the journal is being replayed")
		}
	}
	s.signal()
	s.trim(l, entries[len(entries)-1].Sequence)
	return len(l.queue) > 0, nil
}

// trim records how far a lane has come and removes segments that are no longer needed, as far as the disk has room for the
// record. A failure is only logged: the outbox sends the same changes again, and the next store skips changes that have arrived.
// The caller holds the lock.
func (s *Store) trim(l *lane, upTo uint64) {
	end, err := s.mark(l, upTo)
	if err == nil && s.count == 0 && end.Offset > spareBytes {
		if err = s.journal.Rotate(); err == nil {
			_, err = s.mark(l, upTo)
		}
	}
	// The record with the newest sequence number always stays: after a restart the next numbers are above this number.
	needed := s.numbered
	for _, l := range s.lanes {
		if len(l.queue) > 0 {
			needed = min(needed, l.queue[0].segment)
		}
	}
	if s.tellMoves(); len(s.untold) > 0 {
		needed = 0
	}
	if err = errors.Join(err, s.journal.Drop(needed)); err != nil && !errors.Is(err, wal.ErrFull) {
		s.opts.Log.Warn().Err(err).Msg("the journal's space could not be freed; the next replay tries again")
	}
}

// mark writes that all entries up to a sequence number have arrived. The caller holds the lock.
func (s *Store) mark(l *lane, upTo uint64) (wal.Position, error) {
	end, err := s.journal.Append(confirmed{upTo, len(s.lanes), l.partition, s.last}.encode())
	if err == nil {
		s.numbered = end.Segment
	}
	return end, err
}

// settle waits until the journal has no changes of the tickets (nil: of any ticket) that were accepted before the call. settle
// returns an error if the next store does not take these changes.
func (s *Store) settle(ctx context.Context, ids []ticket.ID) error {
	targets := s.newest(ids)
	for {
		waiting, failing, moved := s.left(targets)
		switch {
		case len(waiting) == 0 && ids == nil:
			return nil // stuck changes concern only their own tickets
		case len(waiting) == 0:
			return s.Stuck(ids)
		case failing:
			return fmt.Errorf("journal: %w: changes are pending for Redis", store.ErrUnavailable)
		}
		for _, l := range waiting {
			l.nudge()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newest returns, for each lane, the sequence number of the last pending change of the tickets (nil: of any ticket); 0 without
// pending changes.
func (s *Store) newest(ids []ticket.ID) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	targets := make([]uint64, len(s.lanes))
	if ids == nil {
		for i, l := range s.lanes {
			if n := len(l.queue); n > 0 {
				targets[i] = l.queue[n-1].sequence
			}
		}
		return targets
	}
	for _, id := range ids {
		if w := s.waiting.tickets[id]; w != nil {
			at := &targets[s.lane(id).partition]
			*at = max(*at, w.last)
		}
	}
	return targets
}

// left returns the lanes with pending changes up to the lane's target, whether any of these lanes is failing, and a channel that
// is closed when the queue moves.
func (s *Store) left(targets []uint64) (waiting []*lane, failing bool, moved <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range s.lanes {
		if len(l.queue) > 0 && l.queue[0].sequence <= targets[i] {
			waiting = append(waiting, l)
			failing = failing || l.failing
		}
	}
	return waiting, failing, s.moved
}

var errNoAside = errors.New("no other place is configured")

// setAside puts a replayed change of an earlier ticket with the same id where an operator finds the change. The error says why
// the change must stay in the journal.
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
		s.recent.forget(m.ID) // the present ticket with the id was not deleted
	}
	return nil
}

const (
	// bornTimeout bounds the call of [Options].Born: other tickets' changes wait meanwhile.
	bornTimeout = 250 * time.Millisecond
	// freshFor is up to which age a create is replayed without a call of [Options].Born if the next store was asked about its id:
	// within this time the next store hardly forgets a ticket that another client has changed under the id.
	freshFor = time.Second
)

// replay sends changes to the next store. For a late create that may meet another ticket the place behind the next store decides.
// replay asks that place before the replay about creates that are older than freshFor or from a time when the next store was
// unreachable, and after the replay if the next store cannot tell.
func (s *Store) replay(ctx context.Context, away time.Time, entries []store.Entry) ([]store.Outcome, error) {
	s.beside(ctx, entries, func(m *store.Mutation) bool {
		return s.opts.Now().Sub(changedAt(m)) >= freshFor || !changedAt(m).After(away)
	})
	outcomes, err := s.next.Replay(ctx, entries)
	if err != nil || len(outcomes) == 0 || !errors.Is(outcomes[0].Err, store.ErrUnsure) {
		return outcomes, err
	}
	s.beside(ctx, entries[:1], func(*store.Mutation) bool { return true })
	return s.next.Replay(ctx, entries) // the first call made no change
}

// beside completes the creates that asked selects with the answer of the place behind the next store about the ids. Without an
// answer in time a create stays as it was.
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

// refused is a replayed entry that the next store cannot make now.
type refused struct {
	at  int // among the replayed entries
	why error
}

// Stuck returns a [store.StuckError] if changes of these tickets (nil: of any ticket) are stuck; else nil.
func (s *Store) Stuck(ids []ticket.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ids == nil {
		ids = slices.Sorted(maps.Keys(s.waiting.tickets))
	}
	var found *store.StuckError
	for _, id := range ids {
		w := s.waiting.tickets[id]
		switch {
		case w == nil || w.stuck == nil:
		case found == nil:
			found = &store.StuckError{Tickets: 1, First: id, Why: w.stuck}
		default:
			found.Tickets++
		}
	}
	if found == nil {
		return nil
	}
	return found
}

// behind returns the changes to be tried again at the end of the queue, and the rest of the lane's queue. For each ticket with
// stuck entries behind takes all pending entries, as a ticket's changes must keep their order. The caller holds the lock.
func (s *Store) behind(l *lane, entries []store.Entry, stuck []refused) (again []replacement, rest []queued, err error) {
	rest = l.queue[len(entries):]
	index := make(map[ticket.ID]int, len(stuck)) // of the tickets in again
	for _, r := range stuck {
		m := &entries[r.at].Mutation
		at, known := index[m.ID]
		if !known {
			at = len(again)
			index[m.ID] = at
			again = append(again, replacement{replaced: replaced{from: m.ID, to: m.ID}, why: r.why})
		}
		again[at].entries = append(again[at].entries, entry{revision: entries[r.at].Revision, mutation: *m})
	}
	more := false
	for i := range again {
		more = more || s.waiting.tickets[again[i].to].entries > len(again[i].entries)
	}
	if !more {
		return again, rest, nil
	}
	others := make([]queued, 0, len(rest))
	for i := range rest {
		e, err := rest[i].entry()
		if err != nil {
			return nil, nil, err
		}
		if at, known := index[e.mutation.ID]; known {
			again[at].entries = append(again[at].entries, e)
		} else {
			others = append(others, rest[i])
		}
	}
	return again, others, nil
}
