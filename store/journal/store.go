package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

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
	// MaxBytes bounds the log; 1 GiB where it is 0. An eighth of it is kept for acks and for giving back space.
	MaxBytes int64
	// MaxEntries bounds the tickets that wait; 1,000,000 where it is 0.
	MaxEntries int
	// MaxDirty bounds them likewise, with [store.ErrQuota]; 0: no further bound.
	MaxDirty int
	// MaxClean and MaxRequests bound what else is kept in memory, see [pending.Options].
	MaxClean, MaxRequests int
	// Floor returns the highest revision that the next place has. It is asked by Open, and by a started journal until it has
	// answered. nil: nobody else has given revisions to these tickets.
	Floor func(context.Context) (ticket.Revision, error)
	// Now is the clock by which request ids are forgotten; [time.Now] where it is nil.
	Now func() time.Time
	Log zerolog.Logger
	// OpenFile is the log's, see [wal.Options].
	OpenFile func(path string) (wal.File, error)
	// OnRestored is the log's likewise.
	OnRestored func()
}

// Store is a store on a local log. Between Start and Stop it gives back space and asks for the next place's revision; all
// else works without. It is safe for concurrent use.
type Store struct {
	opts  Options
	log   *wal.Log
	index *pending.Store
	loop  lifecycle.Loop
	nudge chan struct{}

	// mu makes the order of records in the log that of changes in the index. It is never held while waiting for the disk's
	// confirmation.
	mu sync.Mutex
	// unsure is the least revision that was given while the next place's was not known: what waits from there on may have to
	// be lifted. 0: it is known.
	unsure ticket.Revision
	// segment is the one to which the last mutation was written.
	segment uint64
	// full is why the last change found no room; empty where it found some.
	full string
	// unlogged says that the last record that may be lost could not be written.
	unlogged bool
}

var _ store.Backend = (*Store)(nil)

// Open opens the journal in a folder, which it makes where it does not exist, and replays it. The errors are those of [wal.Open],
// and [ErrRecord] where another version has written the journal.
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
	var report wal.Report
	var err error
	s.log, report, err = wal.Open(dir, wal.Options{ //nolint:contextcheck // it reads all or nothing
		Sync: o.Sync, Interval: o.Interval, MaxBytes: o.MaxBytes,
		Log: o.Log, OpenFile: o.OpenFile, OnRestored: o.OnRestored,
	}, s.replay)
	if err != nil {
		return nil, report, err
	}
	if err := s.openFloor(ctx); err != nil {
		return nil, report, errors.Join(err, s.log.Close()) //nolint:contextcheck // see Close
	}
	return s, report, nil
}

// replay brings a record of the log into the index.
func (s *Store) replay(at wal.Position, data []byte) error {
	r, err := decode(data)
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch r.kind {
	case kindMutation:
		s.index.Replay(&r.mutation, store.Outcome{ID: r.mutation.ID, Revision: r.revision}, r.expires, at.Segment)
		s.segment = at.Segment
	case kindAck:
		// What is clean was not written again when the next place's row replaced it, so it may be old by now: it is forgotten.
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
	case kindOldState, kindState:
		s.index.Restore(&r.state, at.Segment)
	case kindGraves:
		s.index.Graves(r.graves, at.Segment)
	case kindOldRequests: // never comes here: decode makes kindRequests of it
	case kindRequests:
		s.index.Remember(r.requests, at.Segment)
	case kindMark:
		s.index.Raise(r.highest)
		s.unsure = r.unsure
	}
	return err
}

// hasRoom says that no bound on what is kept in memory is near: an eighth is free of each, so that the log does not tell of each
// change that finds room and each that does not.
func (s *Store) hasRoom() bool {
	size := s.index.Size()
	free := func(n, most int) bool { return n < most-most/8 }
	return free(size.Dirty, s.opts.MaxEntries) && free(size.Requests, s.opts.MaxRequests)
}

// Start begins giving back space; it ends with Stop, or with ctx.
func (s *Store) Start(ctx context.Context) { s.loop.Start(ctx, s.run) }

// Stop ends what Start began. The store goes on without; see Close.
func (s *Store) Stop(ctx context.Context) error { return s.loop.Stop(ctx, "journal") }

// Close stops, brings the log to disk and closes it. No other call may be under way.
func (s *Store) Close() error {
	return errors.Join(s.Stop(context.Background()), s.log.Close())
}

// ID returns the journal's name, see [wal.Log.ID].
func (s *Store) ID() string { return s.log.ID() }

// Stuck implements [store.Backend]: no other store stands behind a journal.
func (s *Store) Stuck([]ticket.ID) error { return nil }

// Nudge implements [store.Backend].
func (s *Store) Nudge() {}

// noteRoom says when the journal becomes full, and when it takes changes again. The caller holds the lock.
func (s *Store) noteRoom(err error) {
	full := store.FullReason(err)
	switch {
	case full != "" && s.full == "":
		s.opts.Log.Error().Err(err).Msg("the journal is full: changes are answered overloaded")
	case err == nil && s.full != "" && !s.hasRoom():
		return // for this change alone, which needs no further ticket, or no request id
	case err == nil && s.full != "":
		s.opts.Log.Info().Msg("the journal has room again")
	}
	s.full = full
}

// Journal implements [store.Backend].
func (s *Store) Journal() *store.Journal {
	backlog, _ := s.index.Backlog(context.Background()) // it has no errors
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
