// Package graves is a set of the ids of deleted tickets. A site's set fits in memory: a bitmap for each [Bucket] consecutive ids
// of which the set has at least one.
package graves

import (
	"iter"
	"math/bits"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Bucket is how many consecutive ids share a bitmap.
const Bucket = 512

// Bitmap says which ids of a bucket are in the set: bit n%64 of word n/64 stands for the bucket's first id plus n.
type Bitmap [Bucket / 64]uint64

// Set is a set of ids. The zero value is empty. It is not safe for concurrent use.
type Set struct {
	buckets map[uint64]*Bitmap
	count   int
}

// Number is the number of an id's bucket: its first id is Number times [Bucket].
func Number(id ticket.ID) uint64 { return uint64(id) / Bucket } //nolint:gosec // ids are above zero

// Add adds an id, and says whether the id is new.
func (s *Set) Add(id ticket.ID) bool {
	b := s.bitmap(Number(id))
	word, bit := place(id)
	if b[word]&bit != 0 {
		return false
	}
	b[word] |= bit
	s.count++
	return true
}

// Remove removes an id, and says whether the set had the id.
func (s *Set) Remove(id ticket.ID) bool {
	b := s.buckets[Number(id)]
	word, bit := place(id)
	if b == nil || b[word]&bit == 0 {
		return false
	}
	b[word] &^= bit
	s.count--
	if *b == (Bitmap{}) {
		delete(s.buckets, Number(id))
	}
	return true
}

// Has says whether the set has the id.
func (s *Set) Has(id ticket.ID) bool {
	b := s.buckets[Number(id)]
	if b == nil {
		return false
	}
	word, bit := place(id)
	return b[word]&bit != 0
}

// Count is how many ids are in the set.
func (s *Set) Count() int { return s.count }

// Buckets counts the bitmaps.
func (s *Set) Buckets() int { return len(s.buckets) }

// Bitmap returns the bitmap of a bucket, empty if the set has no id of the bucket.
func (s *Set) Bitmap(number uint64) Bitmap {
	if b := s.buckets[number]; b != nil {
		return *b
	}
	return Bitmap{}
}

// Merge adds the ids of a bitmap.
func (s *Set) Merge(number uint64, more Bitmap) {
	if more == (Bitmap{}) {
		return
	}
	b := s.bitmap(number)
	for i := range b {
		s.count += bits.OnesCount64(more[i] &^ b[i])
		b[i] |= more[i]
	}
}

// All yields every bucket, in no order.
func (s *Set) All() iter.Seq2[uint64, Bitmap] {
	return func(yield func(uint64, Bitmap) bool) {
		for number, b := range s.buckets {
			if !yield(number, *b) {
				return
			}
		}
	}
}

func (s *Set) bitmap(number uint64) *Bitmap {
	b := s.buckets[number]
	if b == nil {
		if s.buckets == nil {
			s.buckets = map[uint64]*Bitmap{}
		}
		b = &Bitmap{}
		s.buckets[number] = b
	}
	return b
}

func place(id ticket.ID) (word int, bit uint64) {
	n := uint64(id) % Bucket //nolint:gosec // ids are above zero
	return int(n / 64), 1 << (n % 64)
}
