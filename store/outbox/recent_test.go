package outbox

import (
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// So many requests are remembered as the bound says, the newest.
func TestRecentRequestsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	r := newRecent(func() time.Time { return now })
	request := func(i int) *store.Mutation {
		return &store.Mutation{Kind: store.Set, ID: 1, RequestID: strconv.Itoa(i)}
	}
	for i := range maxRequests + 2 {
		r.add(request(i), store.Outcome{ID: 1})
	}
	if n := r.requests.Len(); n != maxRequests {
		t.Errorf("%d requests are remembered, want %d", n, maxRequests)
	}
	for i, want := range map[int]bool{1: false, 2: true, maxRequests + 1: true} {
		if _, known := r.find(request(i)); known != want {
			t.Errorf("request %d is known: %v", i, known)
		}
	}
}

// A read whose changes have all arrived since it began, so that the queue is empty, waits for nothing.
func TestReadWhoseChangesHaveArrived(t *testing.T) {
	t.Parallel()
	s := &Store{lanes: []*lane{{}}, opts: Options{Up: func(int) bool { return true }}}
	s.settleRead(t.Context(), []ticket.ID{1}, []acceptance{{ticket: &waiting{last: 1}, count: 1}})
}
