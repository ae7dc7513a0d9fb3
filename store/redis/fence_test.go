package redis_test

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// Two hosts were cloned from one image: their journals have the same id, and the second journal's numbers are above the first
// journal's. The first daemon takes another name, and its replay is made; Redis tells the two apart from then on. (Where replayed
// changes carry no fence, they are passed over as if Redis had made them.)
func TestTwinsWithOneJournalID(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	met := map[string]int{}
	twin := func(name string) *redis.Store {
		return open(t, client, redis.Options{
			Prefix: prefix, Journal: "j", Host: "j", OnTwin: func(id string) { met[name+" "+id]++ },
		})
	}
	first, second := twin("first"), twin("second")
	replay := func(s *redis.Store, sequence uint64, id ticket.ID) {
		t.Helper()
		outcomes, err := s.Replay(t.Context(), []store.Entry{{
			Sequence: sequence, Revision: ticket.Revision(time.Now().UnixMicro()), Mutation: store.Mutation{
				Kind: store.Set, ID: id, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}}, Due: time.Now(),
			},
		}})
		if err != nil || outcomes[0].Err != nil {
			t.Fatalf("outcomes %+v (%v)", outcomes, err)
		}
		records, err := s.Get(t.Context(), ids(id))
		if err != nil || !records[0].Held() {
			t.Errorf("the change of ticket %d counts as made, and Redis does not hold it (%v)", id, err)
		}
	}
	replay(first, 100, 1)
	replay(second, 200, 2)
	for id := range ticket.ID(3) {
		replay(first, 101+uint64(id), 3+id)
		replay(second, 201+uint64(id), 6+id)
		mustSet(t, first, 9, "status", "open")
		mustSet(t, second, 9, "status", "open")
	}
	if len(met) != 1 || met["first j"] != 1 {
		t.Errorf("told of %v, want of the first one's journal, once", met)
	}
}
