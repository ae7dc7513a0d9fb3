package pending

import (
	"context"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/graves"
)

// Grave is a bucket of tombstones, as a log keeps it.
type Grave struct {
	Number uint64 // of the bucket, see [graves.Number]
	Bits   graves.Bitmap
}

// graveWeight is about how many bytes a bucket takes in a log.
const graveWeight = 96

// grave says where in a log a bucket's tombstones are.
type grave struct {
	number uint64
	pin    uint64
	links  links[grave]
}

// Bury implements [store.Tickets].
func (s *Store) Bury(_ context.Context, ids []ticket.ID) error {
	s.NewGraves(ids)
	return nil
}

// NewGraves is Bury for the index of a log, and returns the changed buckets for the log; see [Store.Graves].
func (s *Store) NewGraves(ids []ticket.ID) []Grave {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := map[uint64]bool{}
	for _, id := range ids {
		if s.graves.Add(id) {
			changed[graves.Number(id)] = true
		}
	}
	buckets := make([]Grave, 0, len(changed))
	for number := range changed {
		buckets = append(buckets, Grave{number, s.graves.Bitmap(number)})
	}
	return buckets
}

// Graves puts buckets of tombstones back, or records that the buckets are in this segment of the log.
func (s *Store) Graves(buckets []Grave, segment uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range buckets {
		s.graves.Merge(buckets[i].Number, buckets[i].Bits)
		s.engrave(buckets[i].Number, segment)
	}
}

// bury records a deletion that the log has in this segment.
func (s *Store) bury(id ticket.ID, segment uint64) {
	s.graves.Add(id)
	s.engrave(graves.Number(id), segment)
}

// engrave records that the log has tombstones of a bucket in a segment. Tombstones of the bucket in earlier segments stay needed.
// Segment 0 means: not in a log.
func (s *Store) engrave(number, segment uint64) {
	if segment == 0 || s.engraved[number] != nil {
		return
	}
	g := &grave{number: number, pin: segment}
	s.engraved[number] = g
	s.bySegment.push(g)
}
