package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"math/rand/v2"
	"slices"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/wal"
)

// Options of a journal.
type Options struct {
	// Sync and Interval say when writes are on disk, see [wal.Options].
	Sync     wal.Sync
	Interval time.Duration
	// MaxBytes bounds the log; 0 means 1 GiB. An eighth of MaxBytes is reserved for acks and for cleaning.
	MaxBytes int64
	// MaxEntries bounds the pending tickets; 0 means 1,000,000.
	MaxEntries int
	// MaxDirty is a second bound on the pending tickets, with [store.ErrQuota]; 0: no second bound.
	MaxDirty int
	// MaxClean and MaxRequests bound clean tickets and request ids in memory, see [pending.Options].
	MaxClean, MaxRequests int
	// Floor returns the highest revision in the next place. Open calls Floor, and then a started journal until Floor returns a
	// revision. nil: only this journal gives revisions to these tickets.
	Floor func(context.Context) (ticket.Revision, error)
	// Now is the clock by which request ids are forgotten; nil means [time.Now].
	Now func() time.Time
	Log zerolog.Logger
	// OpenFile is passed to the log, see [wal.Options].
	OpenFile func(path string) (wal.File, error)
	// OnRestored is passed to the log, too.
	OnRestored func()
}

// Store is a store on a local log, safe for concurrent use. Cleaning, and asking for the next place's revision again, need Start;
// all other calls work without Start.
type Store struct {
	opts  Options
	log   *wal.Log
	index *pending.Store
	feed  *feed
	loop  lifecycle.Loop
	nudge chan struct{}

	// mu gives records in the log and changes in the index the same order. mu is never held during a wait for the disk.
	mu sync.Mutex
	// unsure is the lowest revision that was given while the next place's revision was not known: pending changes from unsure on may
	// have to be lifted. 0: the next place's revision is known.
	unsure ticket.Revision
	// segment is the segment of the last mutation.
	segment uint64
	// full is why the last change found no room; empty if the change found room.
	full string
	// unlogged says that the last write of records that may be lost has failed.
	unlogged bool
}

var _ store.Backend = (*Store)(nil)

// Open opens the journal in a folder, makes the folder if missing, and replays the journal. The errors are the errors of
// [wal.Open], and [ErrRecord] if another version has written the journal.
func Open(ctx context.Context, dir string, o Options) (*Store, wal.Report, error) {
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<30)
	o.MaxEntries = cmp.Or(o.MaxEntries, 1_000_000)
	o.MaxRequests = cmp.Or(o.MaxRequests, pending.MaxRequests)
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{opts: o, nudge: make(chan struct{}, 1)}
	s.index = pending.NewWith(pending.Options{
		Now: o.Now, MaxDirty: o.MaxEntries, Quota: o.MaxDirty, MaxClean: o.MaxClean, MaxRequests: o.MaxRequests,
	})
	s.feed = newFeed(s)
	var report wal.Report
	var err error
	s.log, report, err = wal.Open(dir, wal.Options{ //nolint:contextcheck // Open reads the whole log or fails
		Sync: o.Sync, Interval: o.Interval, MaxBytes: o.MaxBytes,
		Log: o.Log, OpenFile: o.OpenFile, OnRestored: o.OnRestored, Unneeded: s.unneeded,
	}, s.replay)
	if err != nil {
		return nil, report, err
	}
	if err := s.openFloor(ctx); err != nil {
		return nil, report, errors.Join(err, s.log.Close()) //nolint:contextcheck // see Close
	}
	return s, report, nil
}

// unneeded says that no change waits in the journal.
func (s *Store) unneeded() bool {
	pending, err := s.index.Backlog(context.Background()) // counts in memory
	return err == nil && pending.Dirty == 0 && pending.Dead == 0
}

// replay applies a record of the log to the index.
func (s *Store) replay(at wal.Position, data []byte) error {
	r, err := decode(data)
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch r.kind {
	case kindMutation, kindTold:
		s.feed.replay(r, at)
		s.index.Replay(&r.mutation, store.Outcome{ID: r.mutation.ID, Revision: r.revision}, r.expires, at.Segment)
		s.segment = at.Segment
	case kindAck:
		// The log does not tell when the next place's row replaced a clean ticket, so a clean ticket may be old: the index forgets the
		// ticket.
		for i := range r.receipts {
			r.receipts[i].Ahead = true
		}
		err = s.index.Ack(ctx, r.receipts)
	case kindPark:
		err = s.index.Park(ctx, r.letters)
	case kindRetry:
		_, err = s.index.Retry(ctx, r.at, r.ids)
	case kindDrop:
		_, err = s.index.Drop(ctx, r.ids)
	case kindOldState, kindState, kindHadState:
		s.index.Restore(&r.state, at.Segment)
	case kindGraves:
		s.index.Graves(r.graves, at.Segment)
	case kindOldRequests: // decode has made kindRequests of this kind
	case kindRequests:
		s.index.Remember(r.requests, at.Segment)
	case kindMark:
		s.index.Raise(r.highest)
		s.unsure = r.unsure
	default:
		s.feed.replay(r, at)
	}
	return err
}

// Start begins cleaning, until Stop or the end of ctx.
func (s *Store) Start(ctx context.Context) { s.loop.Start(ctx, s.run) }

// The pauses between tries to ask for the next place's revision.
const (
	firstPause = 500 * time.Millisecond
	maxPause   = 10 * time.Second
)

// run cleans after each wake, and asks for the next place's revision until the revision is known.
func (s *Store) run(ctx context.Context) {
	s.wake()
	pause := firstPause
	ask := time.NewTimer(pause)
	defer ask.Stop()
	if !s.floorMissing() {
		ask.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ask.C:
			if s.askFloor(ctx) != nil {
				pause = min(2*pause, maxPause)
				ask.Reset(pause/2 + rand.N(pause/2+1))
			}
		case <-s.nudge:
			s.cleanAll(ctx)
		}
	}
}

// wake tells the loop that a segment may be removable.
func (s *Store) wake() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// Stop ends the work of Start. The store stays usable until Close.
func (s *Store) Stop(ctx context.Context) error { return s.loop.Stop(ctx, "journal") }

// Close stops the work of Start, syncs the log to disk and closes the log. No other call may be running.
func (s *Store) Close() error {
	return errors.Join(s.Stop(context.Background()), s.log.Close())
}

// ID returns the journal's name, see [wal.Log.ID].
func (s *Store) ID() string { return s.log.ID() }

// Stuck implements [store.Backend]: a journal has no next store that could refuse changes.
func (s *Store) Stuck([]ticket.ID) error { return nil }

// Nudge implements [store.Backend].
func (s *Store) Nudge() {}

// Feed implements [store.Backend].
func (s *Store) Feed() store.Feed { return s.feed }

// Journal implements [store.Backend].
func (s *Store) Journal() *store.Journal {
	backlog, _ := s.index.Backlog(context.Background()) // never fails
	log := s.log.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	return &store.Journal{
		Entries: backlog.Dirty + backlog.Dead, Requests: int64(s.index.Size().Requests),
		Bytes: log.Bytes, Segments: int64(len(log.Segments)), Oldest: backlog.Oldest, Full: s.full, Gone: s.log.Gone(),
	}
}

// wrap names the operation and sorts an error of the log into [store.ErrFull] and [store.ErrUnavailable].
func wrap(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("journal %s: %w", operation, err)
	default:
		return fmt.Errorf("journal %s: %w: %w", operation, store.ErrUnavailable, err)
	}
}

// floorTimeout bounds how long Open waits for the next place's revision.
const floorTimeout = 2 * time.Second

// openFloor asks for the next place's revision before the first write. Without an answer the log records from where on revisions
// may be too low.
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

// askFloor asks for the next place's revision, and lifts the pending changes above it that were written before the answer.
func (s *Store) askFloor(ctx context.Context) error {
	floor, err := s.opts.Floor(ctx)
	if err != nil {
		return err
	}
	defer s.feed.made(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsure == 0 {
		s.index.Raise(floor)
		return nil
	}
	by := floor + 1 - s.unsure
	lifted := s.index.Lift(s.unsure, floor)
	s.index.Raise(floor)
	for part := range slices.Chunk(lifted, chunk) {
		at, err := s.log.Append(encodeStates(part)...)
		if err != nil {
			return wrap("lift", err) // the next try lifts these tickets further
		}
		s.index.Moved(pending.Needs{States: part}, at.Segment)
		s.feed.restated(part, by)
	}
	mark := entry{kind: kindMark, highest: s.index.Size().Highest}
	if _, err := s.log.Append(mark.encode()); err != nil {
		return wrap("lift", err)
	}
	s.unsure = 0
	return nil
}

func (s *Store) floorMissing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsure != 0
}
