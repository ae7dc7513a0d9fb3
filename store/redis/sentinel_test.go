package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Sentinels put a replica into the place of a dead master: the store goes on there, and hears of another process. A connection to
// a sentinel is no other process; without that distinction the store hears of another process before the fail-over (tried).
func TestMasterOfSentinelsDies(t *testing.T) {
	t.Parallel()
	servers := testenv.NewSentinels(t, testenv.SentinelOptions{})
	client, w := link.Connect(link.ClientOptions{
		Sentinels: servers.SentinelAddrs(), MasterName: testenv.SentinelMaster,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	}, zerolog.Nop())
	back, runs := make(chan struct{}, 100), make(chan struct{}, 100)
	w.OnUp(func() { back <- struct{}{} })
	w.OnRun(func(context.Context, goredis.Scripter, string, []int) error {
		runs <- struct{}{}
		return nil
	})
	w.Start(t.Context())
	t.Cleanup(func() {
		if err := errors.Join(w.Stop(context.Background()), client.Close()); err != nil {
			t.Error(err)
		}
	})
	s := open(t, client, redis.Options{})
	mustSet(t, s, 1, "status", "open")
	if len(runs) > 0 {
		t.Error("the store was told of another process, and there is none")
	}
	if err := client.Do(t.Context(), "wait", 2, 5000).Err(); err != nil {
		t.Fatal(err)
	}
	servers.Masters(t.Context())[0].Kill()
	if _, err := set(t.Context(), s, 1, "status", "closed"); err == nil {
		t.Error("a dead master took a change")
	}
	<-back
	mustSet(t, s, 2, "status", "open")
	if len(runs) == 0 {
		t.Error("the store was not told that this is another process")
	}
}
