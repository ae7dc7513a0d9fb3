package testenv

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestRedisRestartKeepsWhatItHadWritten(t *testing.T) {
	t.Parallel()
	server := NewRedis(t, RedisOptions{
		Config: []string{"appendonly yes", "appendfsync always"}, Password: `p"s`, TCP: true,
	})
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Password: `p"s`, MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}

	server.Kill()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Fatal("a killed server answered")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := server.Client(t).Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Fatalf("over the socket after the restart: %q, %v; want v", got, err)
	}
	if got, err := client.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Fatalf("over the same port after the restart: %q, %v; want v", got, err)
	}
}

func TestSharedRedisGivesEachTestItsOwnPrefix(t *testing.T) {
	t.Parallel()
	one, first := SharedRedis(t)
	two, second := SharedRedis(t)
	if one != two || first == second {
		t.Fatalf("servers %p and %p with prefixes %q and %q; want one server, two prefixes", one, two, first, second)
	}
	if err := one.Client(t).Set(t.Context(), first+"k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
}
