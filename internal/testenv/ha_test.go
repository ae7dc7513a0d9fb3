package testenv

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestClusterReplacesADeadMaster(t *testing.T) {
	t.Parallel()
	c := NewCluster(t, RedisOptions{Password: `p"s`})
	masters := c.Masters(t.Context())
	if len(masters) != 3 {
		t.Fatalf("%d masters, want 3", len(masters))
	}
	masters[0].Kill()
	within(t, 20*time.Second, func() bool { return len(c.Masters(t.Context())) == 3 })
	if err := masters[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, func() bool { return c.Whole(t.Context()) == nil })
	if err := c.Client(t).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestSentinelsReplaceADeadMaster(t *testing.T) {
	t.Parallel()
	s := NewSentinels(t, SentinelOptions{Redis: RedisOptions{Password: "secret"}, Password: "watch"})
	master := s.Masters(t.Context())[0]
	master.Kill()
	within(t, 20*time.Second, func() bool { return len(s.Masters(t.Context())) == 1 })
	if err := master.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, func() bool { return s.InSync(t.Context()) == nil })
}

func TestTLSRedisWantsACertificate(t *testing.T) {
	t.Parallel()
	server := NewRedis(t, RedisOptions{Certificates: NewCertificates(t)})
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("it answers without TLS")
	}
}

// within polls: agreement among servers has no signal.
func within(t *testing.T, most time.Duration, holds func() bool) {
	t.Helper()
	begin := time.Now()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		if time.Since(begin) > most {
			t.Fatalf("not within %v", most)
		}
		<-ticker.C
	}
	t.Log(strings.TrimSpace("after " + time.Since(begin).String()))
}
