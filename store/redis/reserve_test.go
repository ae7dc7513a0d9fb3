package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// request is a set or a create under a request id.
func request(kind store.Kind, id ticket.ID, digest string) store.Mutation {
	return store.Mutation{
		Kind: kind, ID: id, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}}, RequestID: "r", Digest: digest,
		Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
	}
}

// A request that an earlier version has remembered has no digest, and still answers a repetition.
func TestRequestsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix})
	mustSet(t, s, 812, "status", "closed")
	if err := client.Set(t.Context(), prefix+"ticket:req:r", "812 77", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := s.Apply(t.Context(), []store.Mutation{request(store.Set, 812, "a digest")})
	if err != nil || got[0] != (store.Outcome{ID: 812, Revision: 77}) {
		t.Errorf("repeated after an upgrade: %+v (%v)", got, err)
	}
}

// The same on a cluster, where the request id is tied to its ticket in another partition: a refused change gives the id back.
func TestReservationsOnACluster(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedCluster(t)
	client, _ := link.Connect(link.ClientOptions{
		Cluster: server.Addrs()[:1], DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	}, zerolog.Nop())
	closed(t, client)
	s := open(t, client, redis.Options{Prefix: prefix, Cluster: true})
	apply := func(m store.Mutation) store.Outcome {
		t.Helper()
		outcomes, err := s.Apply(t.Context(), []store.Mutation{m})
		if err != nil {
			t.Fatal(err)
		}
		return outcomes[0]
	}
	mustSet(t, s, 1, "status", "open")
	conditional := request(store.Set, 1, "at revision 1")
	conditional.IfRevision = 1
	var conflict *store.ConflictError
	if got := apply(conditional); !errors.As(got.Err, &conflict) {
		t.Fatalf("%+v, want a conflict", got)
	}
	made := apply(request(store.Create, 2, "a create")) // under the id that was given back
	if made.Err != nil || made.ID != 2 {
		t.Fatalf("%+v, want ticket 2", made)
	}
	if got := apply(request(store.Create, 3, "a create")); got != made {
		t.Errorf("repeated: %+v, want %+v", got, made)
	}
	for _, other := range []store.Mutation{request(store.Create, 3, "another"), request(store.Set, 35, "another")} {
		if got := apply(other); !errors.Is(got.Err, store.ErrReused) {
			t.Errorf("another request: %+v, want ErrReused", got)
		}
	}
	var keys []string
	for p := range link.Partitions(true) { // as an earlier version has left the keys
		key := prefix + link.HashTag(p) + ":ticket:asked:r"
		if n, err := client.Del(t.Context(), key).Result(); err != nil {
			t.Fatal(err)
		} else if n > 0 {
			keys = append(keys, key)
		}
	}
	if len(keys) != 1 {
		t.Errorf("the digest was in %v, want one key", keys)
	}
}
