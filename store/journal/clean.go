package journal

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// cleanAll cleans until no step is left.
func (s *Store) cleanAll(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := s.clean() //nolint:contextcheck // a step is done as a whole
		if err != nil && !errors.Is(err, store.ErrFull) {
			s.opts.Log.Warn().Err(err).Msg("the journal cannot free space")
		}
		if err != nil || !more {
			return
		}
	}
}

// cleanStep is how many tickets and requests a step writes once more while writers wait.
const cleanStep = 64

// clean does a step of cleaning and says whether a next step may follow. A step removes a segment that is not needed, or writes
// some of the content that the oldest segment is needed for once more. A crash in between does no harm: replaying the same
// content twice gives the same index.
func (s *Store) clean() (more bool, err error) {
	log := s.log.Stats()
	first, active := log.Segments[0].Number, log.Segments[len(log.Segments)-1].Number
	if first == active {
		return false, nil
	}
	needed, some := s.index.Needed()
	if !some || needed > active {
		needed = active
	}
	pinned := s.feed.pin(log, needed)
	switch {
	case first < pinned:
		return true, s.drop(first + 1)
	case first < needed: // the feed alone needs the segment
		return false, nil
	}
	if !s.worthwhile(log.Bytes) {
		return false, nil
	}
	return true, s.move()
}

// worthwhile says whether so much of the log is not needed that writing the oldest segment's content once more pays: more than
// half of the log and a few segments, or an eighth if the log is more than half full.
func (s *Store) worthwhile(bytes int64) bool {
	live := s.index.Size().Bytes
	waste := bytes - live
	if bytes > s.opts.MaxBytes/2 {
		return waste > bytes/8
	}
	return waste > live+4*wal.SegmentBytes(s.opts.MaxBytes)
}

// drop removes the first segment. A record with the highest revision goes into a later segment first.
func (s *Store) drop(before uint64) error {
	s.mu.Lock()
	mark := entry{kind: kindMark, highest: s.index.Size().Highest, unsure: s.unsure}
	_, err := s.log.Append(mark.encode())
	// A mutation in a later segment tells the highest revision, too: a full disk must not keep segments from being removed.
	told := s.segment >= before && s.unsure == 0
	s.mu.Unlock()
	if err != nil && !told {
		return wrap("mark", err)
	}
	if err := s.feed.rewrite(before); err != nil {
		return wrap("mark", err)
	}
	if err := s.log.Drop(before); err != nil {
		return wrap("give back space", err)
	}
	s.feed.forgetBefore(before)
	return nil
}

// move writes some of the content that the oldest segment is needed for once more.
func (s *Store) move() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	needs, _, some := s.index.Oldest(cleanStep)
	if !some {
		return nil
	}
	records := encodeStates(needs.States)
	if len(needs.Requests) > 0 {
		records = append(records, (&entry{kind: kindRequests, requests: needs.Requests}).encode())
	}
	if len(needs.Graves) > 0 {
		records = append(records, (&entry{kind: kindGraves, graves: needs.Graves}).encode())
	}
	at, err := s.log.Append(records...)
	if err != nil {
		return wrap("clean", err)
	}
	s.index.Moved(needs, at.Segment)
	return nil
}

// pin is the first segment that the feed needs, at most needed, the first that the index needs. The feed keeps no more than its
// share of segments for itself, and none once the log is three quarters full: readers get a gap then, and no change is refused
// because of the feed.
func (f *feed) pin(log wal.Stats, needed uint64) uint64 {
	all := f.destinations.All()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.holds) == 0 {
		return needed
	}
	pinned := needed
	for _, d := range all {
		segment := uint64(0) // has not begun
		if at, ok := position(d.Cursors[0]); ok && d.Cursors[0].Filling() == f.s.ID() {
			segment = at.Segment
		}
		pinned = min(pinned, segment)
	}
	if f.keep > 0 && len(all) > 0 {
		since := f.s.opts.Now().Add(-f.keep)
		for segment, of := range f.holds {
			if !of.newest.Before(since) {
				pinned = min(pinned, segment)
			}
		}
	}
	room := cmp.Or(f.to.MaxBytes, f.s.opts.MaxBytes/8)
	if log.Bytes > f.s.opts.MaxBytes/4*3 {
		room = 0
	}
	for _, s := range slices.Backward(log.Segments) {
		if s.Number < needed {
			if room -= s.Bytes; room < 0 {
				return max(pinned, s.Number+1)
			}
		}
	}
	return pinned
}

// rewrite writes the feed's state and letters once more, if a segment before a number has them.
func (f *feed) rewrite(before uint64) error {
	f.mu.Lock()
	noted, letters := f.noted != 0 || len(f.holds) > 0, f.letters != 0 && f.letters < before
	f.mu.Unlock()
	if noted {
		f.s.mu.Lock()
		r := entry{kind: kindFeed, feed: f.state()}
		at, err := f.s.log.Append(r.encode())
		f.s.mu.Unlock()
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.noted = at.Segment
		f.mu.Unlock()
	}
	if !letters {
		return nil
	}
	first := uint64(0)
	for name := range f.destinations.All() {
		for after, more := uint64(0), true; more; {
			page := f.destinations.Letters(name, after, chunk)
			for i := range page {
				at, err := f.s.log.Append((&entry{kind: kindFeedLetter, destination: name, letter: page[i]}).encode())
				if err != nil {
					return err
				}
				after, first = page[i].Key, cmp.Or(first, at.Segment)
			}
			more = len(page) == chunk
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.letters = first
	return nil
}

// forgetBefore forgets segments that are gone, and what was erased in them.
func (f *feed) forgetBefore(before uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.number + 1
	for segment, of := range f.holds {
		if segment < before {
			delete(f.holds, segment)
		} else {
			oldest = min(oldest, of.first)
		}
	}
	var left map[ticket.ID]uint64
	for id, number := range f.erased {
		if number >= oldest {
			if left == nil {
				left = map[ticket.ID]uint64{}
			}
			left[id] = number
		}
	}
	f.erased = left
}

// lasting is the lease above which a right outlasts the process, as an operator's pause does. A courier's right ends with the
// process.
const lasting = time.Hour

// Own implements [store.FeedCouriers].
func (f *feed) Own(ctx context.Context, destination, token string, lease time.Duration) (map[int]store.Cursor, error) {
	before, known := f.destinations.All()[destination]
	cursors, err := f.destinations.Own(destination, token, lease)
	switch {
	case err != nil:
	case lease > lasting:
		if err = f.record(ctx); err != nil && before.Owner != token {
			f.destinations.Release(destination, token)
			_ = f.note() // the record may be in the log
		}
	case !known:
		_ = f.note()
	}
	if err != nil {
		return nil, err
	}
	return cursors, nil
}

// Advance implements [store.FeedCouriers].
func (f *feed) Advance(_ context.Context, destination, token string, partition int, upTo store.Cursor) error {
	moved, err := f.destinations.Advance(destination, token, partition, upTo)
	if moved {
		_ = f.note()
		f.s.wake()
	}
	return err
}

// Release implements [store.FeedCouriers].
func (f *feed) Release(ctx context.Context, destination, token string) error {
	before := f.destinations.All()[destination]
	left := before.Until.Sub(f.s.opts.Now())
	f.destinations.Release(destination, token)
	if before.Owner != token || left <= lasting {
		return nil
	}
	err := f.record(ctx)
	if err != nil {
		_, _ = f.destinations.Own(destination, token, left) // not released
	}
	return err
}

// Rewind implements [store.FeedCouriers].
func (f *feed) Rewind(ctx context.Context, destination string, to []store.Cursor) error {
	if err := f.destinations.Set(destination, to); err != nil {
		return err
	}
	return f.record(ctx)
}

// Destinations implements [store.FeedCouriers].
func (f *feed) Destinations(context.Context) (map[string]store.Destination, error) {
	return f.destinations.All(), nil
}

// Forget implements [store.FeedCouriers].
func (f *feed) Forget(_ context.Context, destination string) error {
	f.destinations.Forget(destination)
	err := f.note()
	f.s.wake()
	return wrap("feed", err)
}

// AddLetter implements [store.FeedLetters].
func (f *feed) AddLetter(ctx context.Context, destination string, letter *store.FeedLetter) error {
	if err := f.destinations.AddLetter(destination, letter); err != nil {
		return err
	}
	at, err := f.s.log.Append((&entry{kind: kindFeedLetter, destination: destination, letter: *letter}).encode())
	if err == nil {
		err = f.s.log.Commit(ctx, at)
	}
	if err != nil {
		f.destinations.DropLetters(destination, []uint64{letter.Key})
		return wrap("feed", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.letters = cmp.Or(f.letters, at.Segment)
	return nil
}

// FeedLetters implements [store.FeedLetters].
func (f *feed) FeedLetters(_ context.Context, destination string, after uint64, limit int) ([]store.FeedLetter, error) {
	return f.destinations.Letters(destination, after, limit), nil
}

// DropLetters implements [store.FeedLetters].
func (f *feed) DropLetters(_ context.Context, destination string, keys []uint64) (int, error) {
	if _, err := f.s.log.Append((&entry{kind: kindFeedDropped, destination: destination, keys: keys}).encode()); err != nil {
		return 0, wrap("feed", err)
	}
	return f.destinations.DropLetters(destination, keys), nil
}
