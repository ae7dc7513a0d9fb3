package journal

import (
	"context"
	"errors"

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
