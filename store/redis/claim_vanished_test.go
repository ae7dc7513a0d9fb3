package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// Another program deletes keys of dirty tickets: the changes that this daemon acknowledged are claimed as before, the changes of
// another daemon are reported as lost.
func TestDeletedKeysOfTicketsThatWait(t *testing.T) {
	t.Parallel()
	far := time.Now().Add(time.Hour)
	for name, claim := range map[string]func(context.Context, *redis.Store) ([]store.Claim, error){
		"Claim": func(ctx context.Context, s *redis.Store) ([]store.Claim, error) {
			return s.Claim(ctx, far, 10, time.Minute)
		},
		"ClaimIDs": func(ctx context.Context, s *redis.Store) ([]store.Claim, error) {
			return s.ClaimIDs(ctx, far, ids(1, 2, 3, 4), time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, prefix := testenv.SharedRedis(t)
			client := server.Client(t)
			told := map[string]bool{}
			s := open(t, client, redis.Options{Prefix: prefix, Host: "a", OnVanished: func(key string, back bool) { told[key] = back }})
			other := open(t, client, redis.Options{Prefix: prefix, Host: "b"})
			mine := mustSet(t, s, 1, "status", "mine")
			mustSet(t, other, 2, "status", "another daemon's")
			mustSet(t, s, 3, "status", "flushed")
			arrived := ticket.Revision(far.UnixMicro())
			if err := s.Ack(t.Context(), []store.Receipt{{ID: 3, Revision: arrived}}); err != nil {
				t.Fatal(err)
			}
			if err := client.Del(t.Context(), prefix+"ticket:1", prefix+"ticket:2", prefix+"ticket:3").Err(); err != nil {
				t.Fatal(err)
			}
			claims, err := claim(t.Context(), s)
			if err != nil || len(claims) != 1 || claims[0].ID != 1 || claims[0].Revision != mine ||
				claims[0].Fields[0].Value != ticket.Text("mine") {
				t.Errorf("claims %+v (%v), want the change of ticket 1 at %d", claims, err, mine)
			}
			if back, is := told[prefix+"ticket:1"]; !back || !is {
				t.Errorf("told %v, want that ticket 1 is back", told)
			}
			if back, is := told[prefix+"ticket:2"]; back || !is || len(told) != 2 {
				t.Errorf("told %v, want that ticket 2 is lost, and nothing of ticket 3", told)
			}
			if b, err := s.Backlog(t.Context()); err != nil || b.Dirty != 1 {
				t.Errorf("backlog %+v (%v), want ticket 1", b, err)
			}
		})
	}
}
