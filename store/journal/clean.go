package journal

import (
	"context"
	"errors"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// cleanAll gives back what space there is to give back.
func (s *Store) cleanAll(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := s.clean() //nolint:contextcheck // a step is done as a whole
		if err != nil && !errors.Is(err, store.ErrFull) {
			s.opts.Log.Warn().Err(err).Msg("the journal cannot give back space")
		}
		if err != nil || !more {
			return
		}
	}
}

// cleanStep is how many tickets and requests are written once more while writers wait.
const cleanStep = 64

// clean takes one step of giving back space and says whether there may be another: it removes a segment that is not needed, or
// writes some of what the oldest one is needed for once more. A crash between the two costs nothing: what is there twice is
// replayed to the same.
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
	if first < needed {
		return true, s.drop(first + 1)
	}
	if !s.worthwhile(log.Bytes) {
		return false, nil
	}
	return true, s.move()
}

// worthwhile says whether so much of the log is not needed that it pays to write once more what the oldest segment is needed for:
// more than half of it and a few segments, or, where the log is nearly full, an eighth.
func (s *Store) worthwhile(bytes int64) bool {
	live := s.index.Size().Bytes
	waste := bytes - live
	if bytes > s.opts.MaxBytes/2 {
		return waste > bytes/8
	}
	return waste > live+4*wal.SegmentBytes(s.opts.MaxBytes)
}

// drop removes the first segment. The highest revision goes on into what stays.
func (s *Store) drop(before uint64) error {
	s.mu.Lock()
	mark := entry{kind: kindMark, highest: s.index.Size().Highest, unsure: s.unsure}
	_, err := s.log.Append(mark.encode())
	// A mutation that stays tells the highest revision, too: a full disk must not keep full segments.
	told := s.segment >= before && s.unsure == 0
	s.mu.Unlock()
	if err != nil && !told {
		return wrap("mark", err)
	}
	return wrap("give back space", s.log.Drop(before))
}

// move writes some of what the oldest segment is needed for once more.
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
