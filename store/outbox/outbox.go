package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"bytes"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/logs"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// Next is the store that the outbox stands in front of.
type Next interface {
	store.Backend
	// Replay makes the mutations, all of one partition, in their order, passing over those whose sequence number it has seen, and
	// returns one outcome for each. It ends with the first create whose id is taken: what follows is not made. An error means that
	// none of the outcomes is known; the same call may be repeated.
	Replay(ctx context.Context, entries []store.Entry) ([]store.Outcome, error)
	// Fence sees to it that no earlier Apply to a partition, of this process or of one before it on the same journal, is made from
	// now on.
	Fence(ctx context.Context, partition int) error
}

// Options of an outbox.
type Options struct {
	// MaxEntries bounds the changes that wait; above zero. The journal's own bound is that of its bytes.
	MaxEntries int
	// Gather is how long a change waits in the journal for others, so that they go to the next store in one round trip: those
	// who have their answer must not pay for a round trip each. Zero: not at all. Nobody who waits for a change to arrive
	// waits for this.
	Gather time.Duration
	// Partitions is how many parts the next store has, each of which may answer while others do not; 0 stands for 1.
	Partitions int
	// Up tells whether a partition of the next store is believed to answer.
	Up func(partition int) bool
	// NextID returns an id for a new ticket, for a create whose id turns out to be another ticket's when it is replayed. Without
	// it, or while it fails, the create waits. Optional.
	NextID func(ctx context.Context) (ticket.ID, error)
	// Moves is told of creates that get such an id. Optional.
	Moves Moves
	// Born says since when, at the latest, the place behind the next store knows tickets of these ids, alive or deleted; those that
	// it does not know are left out. Without it, or while it fails, creates that meet a ticket wait. Optional.
	Born func(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error)
	// Aside keeps a change that the next store refuses for good, with [store.ErrPredates], and that was acknowledged at that time:
	// when it returns nil the change is on the disk, and leaves the journal. Without it, or while it fails, the change waits.
	Aside func(m *store.Mutation, acknowledged time.Time) error
	// Wake is told when replayed changes are due in the next store. Optional.
	Wake func(due time.Time)
	// Now is the wall clock.
	Now func() time.Time
	// Clock is told the revisions of changes that waited when the journal was opened.
	Clock *ticket.Clock
	Log   zerolog.Logger
}

// Store is a store whose changes go into a journal where the next store does not take them. Start and Stop are idempotent.
type Store struct {
	next    Next
	journal *wal.Log
	opts    Options
	loop    lifecycle.Loop

	mu      sync.Mutex
	waiting *overlay
	recent  *recent
	lanes   []*lane // one per partition of the next store
	count   int     // of the changes that wait, in all lanes
	last    uint64  // the sequence number of the newest entry ever
	// numbered is the journal's segment with the newest record that names a sequence number.
	numbered uint64
	highest  ticket.Revision
	// moved is closed and replaced whenever entries have arrived or could not be brought.
	moved    chan struct{}
	replayed int64
	tries    int64  // replays that have ended, in whatever way
	full     string // why the last change found no room; empty where it found some
	untold   []Move // those of which [Options].Moves has not been told
	// recovering is the replacement whose entries are being read while the journal is opened; nil otherwise.
	recovering *replacement

	repeats zerolog.Logger // limited, for what may concern each change of a long outage
}

// lane is what waits for one partition of the next store. It is replayed on its own, so that a partition that is away holds up no
// other; the order that must be kept is that of a ticket's changes, and a ticket is in one partition.
type lane struct {
	partition int
	wake      chan struct{} // something waits
	now       chan struct{} // and is to be brought at once
	queue     []queued      // in the order of the journal
	// failing says that the last replay failed: until one works, every change queues behind it.
	failing bool
	// away is when a change came last that waits because the next store did not take it: nothing was asked for it there.
	away time.Time
	// fence says that a write to the partition went unanswered since the fence was raised.
	fence bool
	// written is up to where the journal must be on disk before the next replay: it takes the place of entries whose sequence
	// numbers that replay uses up.
	written wal.Position
	// tried are the stuck tickets whose changes were tried since the last change that arrived.
	tried map[ticket.ID]bool
}

var _ store.Backend = (*Store)(nil)

// queued is a change that waits, as the journal's record, which takes less memory than the change itself.
type queued struct {
	sequence uint64
	segment  uint64 // of the journal
	record   []byte
	at       time.Time
}

// In each repeatPeriod the log tells of so many changes that Redis does not take as they are.
const (
	maxRepeats   = 20
	repeatPeriod = 10 * time.Second
)

// Open opens the journal in a folder, which it makes where it is missing, and takes up what waits in it. The journal's id
// names it in the next store, which open returns for it.
func Open(dir string, o wal.Options, opts Options, open func(id string) (Next, error)) (*Store, wal.Report, error) {
	s := &Store{
		opts: opts, moved: make(chan struct{}), waiting: newOverlay(), recent: newRecent(opts.Now), lanes: newLanes(opts.Partitions),
		repeats: logs.Limited(opts.Log, maxRepeats, repeatPeriod),
	}
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
		opts.Log.Info().Int("changes", n).Msg("changes wait in the journal: they are replayed to Redis")
	}
	return s, report, nil
}

// firstSequence returns the number below which all entries are numbered that earlier processes have written, also those that a
// loss of power took away: the next store may have seen them, and would pass over another entry of the same number. It is the
// time in µs, as no journal takes an entry in each µs. A clock that is wrong by centuries is not believed.
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

// recover takes up one record when the journal is opened.
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

// forget drops what has arrived, when the journal is opened. The journal may be from a time when the next store had other
// partitions.
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

// recoverReplaced notes, when the journal is opened, that a replacement follows. Its sequence numbers are used up even if its
// entries cannot be read.
func (s *Store) recoverReplaced(at wal.Position, data []byte) error {
	r, err := decodeReplaced(data)
	if err != nil {
		return err
	}
	s.recovering = &replacement{replaced: r}
	s.last, s.numbered = max(s.last, r.upTo+uint64(r.count)), at.Segment //nolint:gosec // positive
	return nil
}

// recoverEntry takes up an entry when the journal is opened, or keeps it back until its replacement is complete.
func (s *Store) recoverEntry(at wal.Position, e *entry, record []byte) error {
	r := s.recovering
	if r == nil || e.sequence != r.upTo+1+uint64(len(r.entries)) || e.mutation.ID != r.to {
		s.recovering = nil // a crash has cut it off
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
	r.since = acknowledgedAt(append(old, r.entries...)) // the old ones may be gone: what comes then has been kept
	s.void(l, old, rest)
	s.queueAgain(at, r)
	return nil
}

// Waiting opens the journal in a folder only to count the changes that wait in it.
func Waiting(dir string) (int, error) {
	s := &Store{waiting: newOverlay(), recent: newRecent(time.Now), lanes: newLanes(1)}
	log, _, err := wal.Open(dir, wal.Options{}, s.recover)
	if err != nil {
		return 0, err
	}
	return s.count, log.Close()
}

func (q *queued) entry() (entry, error) { return decode(q.record) }

// lane is the one that a ticket's changes wait in.
func (s *Store) lane(id ticket.ID) *lane { return s.lanes[id.Partition(len(s.lanes))] }

// enqueue takes up an entry that the journal has.
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

// Stop ends replaying and waits for a replay that is under way, until ctx ends, and stops the next store. What waits stays in the
// journal.
func (s *Store) Stop(ctx context.Context) error {
	return errors.Join(s.loop.Stop(ctx, "outbox"), s.next.Stop(ctx))
}

// Close closes the journal. Nothing may be applied any more.
func (s *Store) Close() error { return errors.Join(s.next.Close(), s.journal.Close()) }

// Nudge has the outbox bring now what waits, without waiting for more or for the pause after a failure to end.
func (s *Store) Nudge() {
	for _, l := range s.lanes {
		l.nudge()
	}
}

// wakeUp tells the lane's loop that something waits.
func (l *lane) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake already
	}
}

// nudge tells it not to wait for more.
func (l *lane) nudge() {
	select {
	case l.now <- struct{}{}:
	default:
	}
}

// oldestAt is when the oldest change that waits was accepted; zero where none does. The caller holds the lock.
func (s *Store) oldestAt() time.Time {
	var oldest time.Time
	for _, l := range s.lanes {
		if len(l.queue) > 0 && (oldest.IsZero() || l.queue[0].at.Before(oldest)) {
			oldest = l.queue[0].at
		}
	}
	return oldest
}

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
