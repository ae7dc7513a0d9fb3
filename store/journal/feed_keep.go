package journal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

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

// Own implements [store.FeedCouriers]. The rights end with the process.
func (f *feed) Own(_ context.Context, destination, token string, lease time.Duration) (map[int]store.Cursor, error) {
	known := f.destinations.Known(destination)
	cursors, err := f.destinations.Own(destination, token, lease)
	if err == nil && !known {
		f.note()
	}
	return cursors, err
}

// Advance implements [store.FeedCouriers].
func (f *feed) Advance(_ context.Context, destination, token string, partition int, upTo store.Cursor) error {
	moved, err := f.destinations.Advance(destination, token, partition, upTo)
	if moved {
		f.note()
		f.s.wake()
	}
	return err
}

// Release implements [store.FeedCouriers].
func (f *feed) Release(_ context.Context, destination, token string) error {
	f.destinations.Release(destination, token)
	return nil
}

// Rewind implements [store.FeedCouriers].
func (f *feed) Rewind(_ context.Context, destination string, to []store.Cursor) error {
	err := f.destinations.Set(destination, to)
	if err == nil {
		f.note()
	}
	return err
}

// Destinations implements [store.FeedCouriers].
func (f *feed) Destinations(context.Context) (map[string]store.Destination, error) {
	return f.destinations.All(), nil
}

// Forget implements [store.FeedCouriers].
func (f *feed) Forget(_ context.Context, destination string) error {
	f.destinations.Forget(destination)
	f.note()
	f.s.wake()
	return nil
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
