package redis_test

import (
	"errors"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// A site whose quota of dirty tickets is used up may change its dirty tickets, and a further ticket when one was flushed; another
// site of the same Redis does not notice.
func TestQuota(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix, MaxDirty: 2})
	first := mustSet(t, s, 1, "status", "open")
	second, third := mutationOf(2), mutationOf(3)
	outcomes, err := s.Apply(t.Context(), []store.Mutation{second, third, mutationOf(1)})
	if err != nil || outcomes[0].Err != nil || !errors.Is(outcomes[1].Err, store.ErrQuota) || outcomes[2].Err != nil {
		t.Fatalf("the second, the third and the first ticket: %v, %+v", err, outcomes)
	}
	if n, err := client.Exists(t.Context(), prefix+"ticket:3").Result(); err != nil || n != 0 {
		t.Errorf("the refused ticket is there: %d, %v", n, err)
	}
	mustSet(t, open(t, client, redis.Options{Prefix: prefix + "other:", MaxDirty: 1}), 3, "status", "open")
	entries := []store.Entry{
		{Sequence: 1, Revision: 5, Mutation: mutationOf(1)}, {Sequence: 2, Revision: 6, Mutation: mutationOf(3)},
	}
	replaying := open(t, client, redis.Options{Prefix: prefix, MaxDirty: 2, Journal: "j"})
	if _, err := replaying.Replay(t.Context(), entries); !errors.Is(err, store.ErrQuota) {
		t.Errorf("what the journal has acknowledged is replayed beyond the quota: %v", err)
	}
	if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: max(first, outcomes[2].Revision)}}); err != nil {
		t.Fatal(err)
	}
	done, err := replaying.Replay(t.Context(), entries)
	if err != nil || done[0].Err != nil || done[1].Err != nil {
		t.Errorf("when there is room: %v, %+v", err, done)
	}
}

func mutationOf(id ticket.ID) store.Mutation {
	return store.Mutation{
		Kind: store.Set, ID: id, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}}, Proposed: 1,
	}
}
