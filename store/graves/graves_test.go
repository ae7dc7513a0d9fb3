package graves

import (
	"math/rand/v2"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
)

// The set behaves like a map, also at the ends of the range of ids.
func TestSetIsASet(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var s Set
	want := map[ticket.ID]bool{}
	for range 20_000 {
		id := ticket.ID(random.Int64N(5*Bucket) + 1)
		if random.IntN(10) == 0 {
			id = 1<<63 - 1 - id
		}
		if random.IntN(3) == 0 {
			if s.Remove(id) != want[id] {
				t.Fatalf("removing %d, which was there: %v", id, want[id])
			}
			delete(want, id)
		} else {
			if s.Add(id) == want[id] {
				t.Fatalf("adding %d, which was there: %v", id, want[id])
			}
			want[id] = true
		}
		if s.Has(id) != want[id] || s.Count() != len(want) {
			t.Fatalf("%d is there: %v; %d ids, want %d", id, s.Has(id), s.Count(), len(want))
		}
	}
	var copied Set
	for number, b := range s.All() {
		copied.Merge(number, b)
		copied.Merge(number, s.Bitmap(number)) // a second merge makes no change
	}
	for id := range want {
		if !copied.Has(id) {
			t.Fatalf("%d is not in the copy", id)
		}
		s.Remove(id)
	}
	if copied.Count() != len(want) || s.Count() != 0 || s.Buckets() != 0 {
		t.Errorf("the copy has %d of %d; %d are left, in %d buckets", copied.Count(), len(want), s.Count(), s.Buckets())
	}
}
