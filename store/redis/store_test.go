package redis_test

import (
	"context"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
	"github.com/ticketd/ticketd/store/storetest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		server, prefix := testenv.SharedRedis(t)
		client := server.Client(t)
		return storetest.Backend{
			Store: open(t, client, redis.Options{Prefix: prefix, Host: "contract"}),
			Cramped: func(t *testing.T) store.Store {
				return open(t, client, redis.Options{Prefix: prefix + "cramped:", MaxDirty: 2})
			},
			Expires: func(t *testing.T, id ticket.ID) bool {
				return ttl(t, client, prefix+"ticket:"+id.String()) > 0
			},
			Remembers: func(t *testing.T, requestID string) time.Duration {
				return ttl(t, client, prefix+"ticket:req:"+requestID)
			},
		}
	})
}

// The same on three masters, over the client that the daemon uses.
func TestContractOnACluster(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		server, prefix := testenv.SharedCluster(t)
		client, _ := link.Connect(link.ClientOptions{
			Cluster: server.Addrs()[:1], DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
		}, zerolog.Nop())
		closed(t, client)
		key := func(id ticket.ID) string {
			return prefix + link.HashTag(id.Partition(link.Partitions(true))) + ":ticket:"
		}
		return storetest.Backend{
			Store: open(t, client, redis.Options{Prefix: prefix, Cluster: true, Host: "contract"}),
			Cramped: func(t *testing.T) store.Store {
				return open(t, client, redis.Options{Prefix: prefix + "cramped:", Cluster: true, MaxDirty: 2 * link.Partitions(true)})
			},
			Expires: func(t *testing.T, id ticket.ID) bool {
				return ttl(t, client, key(id)+id.String()) > 0
			},
			Remembers: func(t *testing.T, requestID string) (longest time.Duration) {
				for id := range ticket.ID(link.Partitions(true)) {
					longest = max(longest, ttl(t, client, key(id)+"req:"+requestID))
				}
				return longest
			},
		}
	})
}

// closed closes a client with the test.
func closed(t *testing.T, client goredis.UniversalClient) {
	t.Helper()
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}

// open makes a store with defaults for the options that a test leaves out.
func open(t *testing.T, client goredis.UniversalClient, o redis.Options) *redis.Store {
	t.Helper()
	if o.Clock == nil {
		o.Clock = ticket.NewClock(time.Now)
	}
	if o.CleanTTL == 0 {
		o.CleanTTL = time.Hour
	}
	s, err := redis.New(client, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// admin returns a store as commands use the store.
func admin(s *redis.Store) *redis.Admin { return &redis.Admin{Store: s} }

func ttl(t *testing.T, client goredis.UniversalClient, key string) time.Duration {
	t.Helper()
	d, err := client.PTTL(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// set changes one field of one ticket and returns the outcome.
func set(ctx context.Context, s *redis.Store, id ticket.ID, name, value string) (store.Outcome, error) {
	outcomes, err := s.Apply(ctx, []store.Mutation{{
		Kind: store.Set, ID: id, Fields: ticket.Fields{{Name: name, Value: ticket.Text(value)}},
		Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
	}})
	if err != nil {
		return store.Outcome{}, err
	}
	return outcomes[0], outcomes[0].Err
}

func mustSet(t *testing.T, s *redis.Store, id ticket.ID, name, value string) ticket.Revision {
	t.Helper()
	outcome, err := set(t.Context(), s, id, name, value)
	if err != nil {
		t.Fatalf("set %d: %v", id, err)
	}
	return outcome.Revision
}

func ids(list ...ticket.ID) []ticket.ID { return list }
