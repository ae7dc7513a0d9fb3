package redis_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

const leaseTime = 30 * time.Second

func soon() time.Time { return time.Now().Add(time.Second) }

// watched makes a store over a client with short time-outs and a running watch, and a channel that tells when Redis is back.
func watched(t *testing.T, server *testenv.Redis) (
	s *redis.Store, w *link.Watch, client goredis.UniversalClient, back chan struct{},
) {
	t.Helper()
	client, w = link.Connect(link.ClientOptions{
		Network: "unix", Address: server.Socket(),
		DialTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond, WriteTimeout: 200 * time.Millisecond,
	}, zerolog.Nop())
	back = make(chan struct{}, 1)
	w.OnUp(func() { back <- struct{}{} })
	w.Start(t.Context())
	t.Cleanup(func() {
		if err := errors.Join(w.Stop(t.Context()), client.Close()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return open(t, client, redis.Options{}), w, client, back
}

func TestKilledRedisComesBack(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"appendonly yes", "appendfsync always"}})
	s, w, _, back := watched(t, server)
	mustSet(t, s, 1, "status", "open")
	server.Kill()
	if _, err := set(t.Context(), s, 1, "status", "closed"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("write to a killed Redis: %v, want ErrUnavailable", err)
	}
	if up, _, reason := w.State(); up || reason == "" {
		t.Errorf("state up=%v, reason %q, want down with a reason", up, reason)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-back
	mustSet(t, s, 2, "status", "open")
	records, err := s.Get(t.Context(), ids(1))
	if v, _ := records[0].Fields.Get("status"); err != nil || v.Text() != "open" {
		t.Errorf("ticket 1 has status %q (%v), want open", v.Text(), err)
	}
}

// A Redis that hangs costs the first callers one time-out; then calls fail at once until Redis is back.
func TestHangingRedisFailsFast(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	s, _, _, back := watched(t, server)
	mustSet(t, s, 1, "status", "open")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := set(t.Context(), s, 1, "status", "closed"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("write to a hanging Redis: %v, want ErrUnavailable", err)
	}
	begin := time.Now()
	for range 100 {
		if _, err := set(t.Context(), s, 1, "status", "closed"); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("write to a hanging Redis: %v, want ErrUnavailable", err)
		}
	}
	if took := time.Since(begin); took > 100*time.Millisecond {
		t.Errorf("100 refused writes took %v: each waited", took)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	<-back
	mustSet(t, s, 1, "status", "closed")
}

// A replica answers, and takes no writes: the replica stays down until promotion to master. With a PING as the probe the replica
// is up after the first PING (tried by hand).
func TestReplicaStaysDown(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"replicaof 127.0.0.1 1"}})
	s, w, _, back := watched(t, server)
	direct := server.Client(t)
	if _, err := set(t.Context(), s, 1, "status", "open"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("write to a replica: %v, want ErrUnavailable", err)
	}
	for asked := 0; asked < 3; { // the server counts its refusals
		select {
		case <-back:
			t.Fatal("a replica counts as up")
		default:
		}
		text, err := direct.Info(t.Context(), "errorstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		_, count, _ := strings.Cut(text, "errorstat_READONLY:count=")
		count, _, _ = strings.Cut(count, "\r")
		asked, _ = strconv.Atoi(count)
	}
	if up, _, reason := w.State(); up || !strings.Contains(reason, "READONLY") {
		t.Errorf("up %v, reason %q, want down with the reason", up, reason)
	}
	if err := direct.ReplicaOf(t.Context(), "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	<-back
	mustSet(t, s, 1, "status", "open")
}

func TestInspect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		config []string
		want   []string // a part of each warning, in order
	}{
		{"fit", []string{"appendonly yes", "maxmemory-policy volatile-lru"}, nil},
		{"evicts anything", []string{"appendonly yes", "maxmemory-policy allkeys-lru"}, []string{"allkeys-lru"}},
		{"forgets at a crash", nil, []string{"appendonly yes"}},
		{"replica", []string{"appendonly yes", "replicaof 127.0.0.1 1"}, []string{"connect to the master"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := testenv.NewRedis(t, testenv.RedisOptions{Config: c.config}).Client(t)
			got, _, err := link.Inspect(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, c.want, strings.Contains) {
				t.Errorf("warnings %q, want %q", got, c.want)
			}
		})
	}
}

// This Redis accepts the configuration of docs/, the inspector has no finding, and the configuration works: where memory is
// short, clean copies go and dirty tickets stay. Under allkeys-lru the dirty tickets go, too (tried).
func TestConfigurationOfTheDocs(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../../docs/redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	client := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"include " + path, "maxmemory 4mb"}}).Client(t)
	if found, _, err := link.Inspect(t.Context(), client); err != nil || len(found) > 0 {
		t.Errorf("the inspector finds %q (%v)", found, err)
	}
	s := open(t, client, redis.Options{})
	const tickets = 4000 // of about a kilobyte: more than fits
	text := strings.Repeat("x", 900)
	kept := 0
	for id := ticket.ID(1); id <= tickets; id++ {
		outcome, err := set(t.Context(), s, id, "subject", text)
		if errors.Is(err, store.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if id%10 == 0 {
			kept++
			continue // the ticket stays dirty
		}
		if err := s.Ack(t.Context(), []store.Receipt{{ID: id, Revision: outcome.Revision}}); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := client.InfoMap(t.Context(), "stats").Result()
	if err != nil || stats["Stats"]["evicted_keys"] == "0" {
		t.Errorf("nothing was evicted (%v): this proves nothing", err)
	}
	claims, err := s.Claim(t.Context(), soon(), 1000, leaseTime)
	if err != nil || len(claims) != kept || kept < tickets/20 {
		t.Errorf("%d dirty tickets are left (%v), %d were written", len(claims), err, kept)
	}
}
