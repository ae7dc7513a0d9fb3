package outbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"bytes"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
	"github.com/ticketd/ticketd/store/wal/record"
)

// Next is the store behind the outbox.
type Next interface {
	store.Backend
	// Replay makes the mutations, all of the same partition, in order, skips mutations with a sequence number that has arrived, and
	// returns an outcome for each. Replay ends with the first create whose id is taken; the mutations after this create are not
	// made. An error means that no outcome is known; the same call may be repeated.
	Replay(ctx context.Context, entries []store.Entry) ([]store.Outcome, error)
	// Fence makes sure that from now on the partition makes no earlier Apply, of this process or of an earlier process with the same
	// journal.
	Fence(ctx context.Context, partition int) error
}

// Options of an outbox.
type Options struct {
	// MaxEntries bounds the pending changes; above zero. The journal itself bounds the bytes.
	MaxEntries int
	// Gather is how long a change waits in the journal for further changes, so that all go to the next store in a single round trip:
	// acknowledged changes must not cost a round trip each. Zero: no wait. A caller that waits for a change to arrive ends the wait.
	Gather time.Duration
	// Partitions is how many independently reachable parts the next store has; 0 means 1.
	Partitions int
	// Up tells whether a partition of the next store is believed to answer.
	Up func(partition int) bool
	// NextID returns a new id for a create whose id turns out, at the replay, to belong to another ticket. Without NextID, or while
	// NextID fails, the create stays pending. Optional.
	NextID func(ctx context.Context) (ticket.ID, error)
	// Moves receives the creates that get such an id. Optional.
	Moves Moves
	// Born says since when, at the latest, the place behind the next store knows tickets of these ids, alive or deleted; unknown ids
	// are left out. Without Born, or while Born fails, creates that meet a ticket stay pending. Optional.
	Born func(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error)
	// Aside keeps a change that the next store refuses for good with [store.ErrPredates]; acknowledged is when the change was
	// acknowledged. After nil the change is on the disk, and leaves the journal. Without Aside, or while Aside fails, the change
	// stays pending.
	Aside func(m *store.Mutation, acknowledged time.Time) error
	// Wake receives the time at which replayed changes are due in the next store. Optional.
	Wake func(due time.Time)
	// Now is the wall clock.
	Now func() time.Time
	// Clock observes the revisions of the journal's changes when the journal is opened.
	Clock *ticket.Clock
	Log   zerolog.Logger
}

// Store is a store with a journal for the changes that the next store does not take. Start and Stop are idempotent.
type Store struct {
	next    Next
	journal *wal.Log
	opts    Options
	loop    lifecycle.Loop

	mu      sync.Mutex
	waiting *overlay
	recent  *recent
	lanes   []*lane // by partition of the next store
	count   int     // of the pending changes in all lanes
	last    uint64  // the sequence number of the newest entry ever
	// numbered is the journal's segment with the newest record that names a sequence number.
	numbered uint64
	highest  ticket.Revision
	// moved is closed and replaced whenever entries have arrived or a replay has failed.
	moved    chan struct{}
	replayed int64
	tries    int64  // ended replays, successful or failed
	full     string // why the last change found no room; empty if the change found room
	told     bool   // the log says that the next store does not take changes
	untold   []Move // moves that [Options].Moves has not kept yet
	// recovering is the replacement whose entries are being read while the journal is opened; nil otherwise.
	recovering *replacement

	repeats zerolog.Logger // limited, for messages that may concern each change of a long outage
}

// lane holds the pending changes of a partition of the next store. Lanes are replayed independently, so that an unreachable
// partition holds up no other partition. Only the order of a ticket's changes must be kept, and all changes of a ticket are in
// the same lane.
type lane struct {
	partition int
	wake      chan struct{} // changes are pending
	now       chan struct{} // replay at once
	queue     []queued      // in the order of the journal
	// failing says that the last replay failed: until a replay works, every change goes into the queue.
	failing bool
	// away is when the last change came that is pending because the next store did not take changes: the next store was not asked
	// about such a change.
	away time.Time
	// fence says that a write to the partition went unanswered since the fence was raised.
	fence bool
	// written is up to where the journal must be on disk before the next replay, because the records up to here replace entries
	// whose sequence numbers that replay uses up.
	written wal.Position
	// tried are the stuck tickets whose changes were retried since the last arrival of a change.
	tried map[ticket.ID]bool
}

var _ store.Backend = (*Store)(nil)

// queued is a pending change as the journal's record, which takes less memory than the change itself.
type queued struct {
	sequence uint64
	segment  uint64 // of the journal
	record   []byte
	at       time.Time
}

// In each repeatPeriod the log names at most maxRepeats changes that Redis does not take unchanged.
const (
	maxRepeats   = 20
	repeatPeriod = 10 * time.Second
)

// Open opens the journal in a folder, makes the folder if missing, and loads the pending changes. open returns the next store for
// the journal's id, which names the journal in the next store.
func Open(dir string, o wal.Options, opts Options, open func(id string) (Next, error)) (*Store, wal.Report, error) {
	s := &Store{
		opts: opts, moved: make(chan struct{}), waiting: newOverlay(), recent: newRecent(opts.Now), lanes: newLanes(opts.Partitions),
		repeats: logs.Limited(opts.Log, maxRepeats, repeatPeriod),
	}
	o.Unneeded = s.isEmpty
	log, report, err := wal.Open(dir, o, s.recover)
	if err != nil {
		return nil, report, err
	}
	s.journal, s.recovering = log, nil
	s.last = max(s.last, firstSequence(opts.Now()))
	if s.next, err = open(log.ID()); err != nil {
		return nil, report, errors.Join(err, log.Close())
	}
	if n := s.count; n > 0 {
		opts.Log.Info().Int("changes", n).Msg("changes are pending in the journal: the changes are replayed to Redis")
	}
	return s, report, nil
}

// firstSequence returns a number above the sequence numbers of all earlier processes, also of entries that a power loss removed:
// the next store may have seen such an entry, and would skip a new entry with the same number. The number is the time in µs, as
// no journal accepts an entry in each µs. A clock that is wrong by centuries is ignored.
func firstSequence(now time.Time) uint64 {
	const bound = 1 << 52
	at := now.UnixMicro()
	if at < 0 || at > bound {
		return 0
	}
	return uint64(at)
}

func newLanes(partitions int) []*lane {
	lanes := make([]*lane, max(partitions, 1))
	for p := range lanes {
		lanes[p] = &lane{
			partition: p, wake: make(chan struct{}, 1), now: make(chan struct{}, 1), fence: true, tried: make(map[ticket.ID]bool),
		}
	}
	return lanes
}

// recover loads a record when the journal is opened.
func (s *Store) recover(at wal.Position, data []byte) error {
	if len(data) > 0 && data[0] == recordConfirmed {
		c, err := decodeConfirmed(data)
		if err != nil {
			return err
		}
		s.last, s.numbered = max(s.last, c.last), at.Segment
		return s.forget(c)
	}
	if len(data) > 0 && data[0] == recordReplaced {
		return s.recoverReplaced(at, data)
	}
	e, err := decode(data)
	if err != nil {
		return err
	}
	if s.opts.Clock != nil {
		s.opts.Clock.Observe(e.revision)
	}
	return s.recoverEntry(at, &e, data)
}

// forget drops the entries that have arrived, when the journal is opened. The journal may be from a time with a different number
// of partitions.
func (s *Store) forget(c confirmed) error {
	if c.partitions == len(s.lanes) {
		l := s.lanes[c.partition]
		for len(l.queue) > 0 && l.queue[0].sequence <= c.upTo {
			e, err := l.queue[0].entry()
			if err != nil {
				return err
			}
			s.waiting.remove(&e)
			s.count--
			l.queue = l.queue[1:]
		}
		return nil
	}
	for _, l := range s.lanes {
		kept := l.queue[:0]
		for _, q := range l.queue {
			e, err := q.entry()
			if err != nil {
				return err
			}
			if q.sequence > c.upTo || e.mutation.ID.Partition(c.partitions) != c.partition {
				kept = append(kept, q)
				continue
			}
			s.waiting.remove(&e)
			s.count--
		}
		l.queue = kept
	}
	return nil
}

// recoverReplaced records, when the journal is opened, that a replacement follows. The replacement uses up its sequence numbers
// even if the entries cannot be read.
func (s *Store) recoverReplaced(at wal.Position, data []byte) error {
	r, err := decodeReplaced(data)
	if err != nil {
		return err
	}
	s.recovering = &replacement{replaced: r}
	s.last, s.numbered = max(s.last, r.upTo+uint64(r.count)), at.Segment //nolint:gosec // positive
	return nil
}

// recoverEntry loads an entry when the journal is opened, or keeps the entry back until its replacement is complete.
func (s *Store) recoverEntry(at wal.Position, e *entry, record []byte) error {
	r := s.recovering
	if r == nil || e.sequence != r.upTo+1+uint64(len(r.entries)) || e.mutation.ID != r.to {
		s.recovering = nil // a crash has cut the replacement off
		s.enqueue(e, at, bytes.Clone(record))
		return nil
	}
	r.entries = append(r.entries, *e)
	if len(r.entries) < r.count {
		return nil
	}
	s.recovering = nil
	l := s.lane(r.from)
	old, rest, err := apart(l.queue, r.from)
	if err != nil {
		return err
	}
	r.since = acknowledgedAt(append(old, r.entries...)) // if the old entries are gone, Moves has kept the move already
	s.void(l, old, rest)
	s.queueAgain(at, r)
	return nil
}

// Waiting opens the journal in a folder only to count the pending changes.
func Waiting(dir string) (int, error) {
	s := &Store{waiting: newOverlay(), recent: newRecent(time.Now), lanes: newLanes(1)}
	log, _, err := wal.Open(dir, wal.Options{}, s.recover)
	if err != nil {
		return 0, err
	}
	return s.count, log.Close()
}

// isEmpty says that no change is pending for the next store.
func (s *Store) isEmpty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count == 0
}

func (q *queued) entry() (entry, error) { return decode(q.record) }

// lane returns the lane of a ticket's changes.
func (s *Store) lane(id ticket.ID) *lane { return s.lanes[id.Partition(len(s.lanes))] }

// enqueue adds an entry that is in the journal to its lane.
func (s *Store) enqueue(e *entry, at wal.Position, record []byte) {
	l := s.lane(e.mutation.ID)
	l.queue = append(l.queue, queued{sequence: e.sequence, segment: at.Segment, record: record, at: changedAt(&e.mutation)})
	s.count++
	s.last, s.numbered = max(s.last, e.sequence), at.Segment
	s.waiting.add(e)
	s.recent.add(&e.mutation, store.Outcome{ID: e.mutation.ID, Revision: e.revision})
	s.highest = max(s.highest, e.revision)
}

// Start begins to replay, and starts the next store.
func (s *Store) Start(ctx context.Context) {
	s.next.Start(ctx)
	s.loop.Start(ctx, s.run)
}

// Stop ends replaying, waits for a running replay until ctx ends, and stops the next store. Pending changes stay in the journal.
func (s *Store) Stop(ctx context.Context) error {
	return errors.Join(s.loop.Stop(ctx, "outbox"), s.next.Stop(ctx))
}

// Close closes the journal. No Apply may follow.
func (s *Store) Close() error { return errors.Join(s.next.Close(), s.journal.Close()) }

// Nudge makes the outbox replay now, without gathering changes and without the pause after a failure.
func (s *Store) Nudge() {
	for _, l := range s.lanes {
		l.nudge()
	}
}

// wakeUp tells the lane's loop that changes are pending.
func (l *lane) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default: // the loop is awake already
	}
}

// nudge tells the lane's loop not to gather changes.
func (l *lane) nudge() {
	select {
	case l.now <- struct{}{}:
	default:
	}
}

// oldestAt is when the oldest pending change was accepted; zero without pending changes. The caller holds the lock.
func (s *Store) oldestAt() time.Time {
	var oldest time.Time
	for _, l := range s.lanes {
		if len(l.queue) > 0 && (oldest.IsZero() || l.queue[0].at.Before(oldest)) {
			oldest = l.queue[0].at
		}
	}
	return oldest
}

// Feed implements [store.Backend]: revisions are final in the next store alone, so a change is told after its replay.
func (s *Store) Feed() store.Feed { return s.next.Feed() }

// Journal implements [store.Backend].
func (s *Store) Journal() *store.Journal {
	stats := s.journal.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	return &store.Journal{
		Entries: int64(s.count), Requests: int64(s.recent.requests.Len()), Bytes: stats.Bytes, Segments: int64(len(stats.Segments)),
		Oldest: s.oldestAt(), Replayed: s.replayed, Tries: s.tries, Full: s.full, Gone: s.journal.Gone(),
	}
}

// decodeConfirmed reads a confirmation's record.
func decodeConfirmed(b []byte) (confirmed, error) {
	r := record.NewReader(b)
	kind, upTo := r.Byte(), r.Int()
	partitions, partition, last := int64(1), int64(0), upTo
	if r.Left() > 0 {
		if partitions, partition, last = r.Int(), r.Int(), r.Int(); partitions == 1 {
			r.Fail() // encode leaves these numbers out for a single partition
		}
	}
	if !r.Done() || kind != recordConfirmed || upTo < 0 || last < upTo || partition < 0 || partition >= partitions {
		return confirmed{}, fmt.Errorf("%w: kind %#x, confirmation of %d of %d in partition %d of %d",
			errRecord, kind, upTo, last, partition, partitions)
	}
	return confirmed{upTo: uint64(upTo), partitions: int(partitions), partition: int(partition), last: uint64(last)}, nil
}

// decodeReplaced reads a replacement's record.
func decodeReplaced(b []byte) (replaced, error) {
	r := record.NewReader(b)
	kind, from, to, upTo, count, at := r.Byte(), r.ID(), r.ID(), r.Int(), r.Int(), r.Time()
	possible := upTo > 0 && count > 0 && count <= math.MaxInt32 && upTo < math.MaxInt64-count
	if !r.Done() || kind != recordReplaced || !possible {
		return replaced{}, fmt.Errorf("%w: kind %#x, %d entries of %d replaced up to %d under %d",
			errRecord, kind, count, from, upTo, to)
	}
	return replaced{from: from, to: to, upTo: uint64(upTo), count: int(count), at: at}, nil //nolint:gosec // positive
}
