package boot

import (
	"context"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
)

// No client writes, and Redis becomes a replica, which answers but takes no change: the look at its settings has Redis proved,
// once.
func TestANewFindingHasRedisProved(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: server.Socket()})
	defer func() { _ = client.Close() }()
	i, proved := newInspector(client, func() []*runningSite { return nil }, zerolog.Nop()), 0
	i.prove = func(context.Context) { proved++ }
	looks := func(want int, when string) {
		t.Helper()
		if !i.look(t.Context()) || proved != want {
			t.Errorf("%s: proved %d times, want %d", when, proved, want)
		}
	}
	looks(0, "at the start, which proves Redis by itself")
	looks(0, "without news")
	if err := client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	looks(1, "a replica")
	looks(1, "still a replica")
}
