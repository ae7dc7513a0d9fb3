package redis_test

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Sets on a cluster, one at a time: without a request id, under a generated id for one call, and under an id that a user chose,
// which is tied to the ticket first, in a round trip of its own.
func BenchmarkSetOnACluster(b *testing.B) {
	server, prefix := testenv.SharedCluster(b)
	client, _ := link.Connect(link.ClientOptions{
		Cluster: server.Addrs()[:1], DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	}, zerolog.Nop())
	defer func() { _ = client.Close() }()
	s, err := redis.New(client, redis.Options{
		Prefix: prefix, Cluster: true, CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now),
	})
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for name, identify := range map[string]func(m *store.Mutation){
		"no id": func(*store.Mutation) {},
		"made up": func(m *store.Mutation) {
			m.RequestID, m.Digest, m.Remember = strconv.Itoa(n), "AAAAAAAAAAE", 10*time.Minute
		},
		"chosen": func(m *store.Mutation) { m.RequestID, m.Digest = strconv.Itoa(n), "AAAAAAAAAAE" },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				n++
				m := store.Mutation{
					Kind: store.Set, ID: ticket.ID(n%1000 + 1), Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
					Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
				}
				identify(&m)
				if outcomes, err := s.Apply(b.Context(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
					b.Fatal(err, outcomes)
				}
			}
		})
	}
}

// The cost of a site's operations, with the proof that the keys are the site's.
func BenchmarkStore(b *testing.B) {
	server := testenv.NewRedis(b, testenv.RedisOptions{})
	client := server.Client(b)
	s, err := redis.New(client, redis.Options{CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now)})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	ids := make([]ticket.ID, 32)
	mutations := make([]store.Mutation, len(ids))
	for i := range ids {
		ids[i] = ticket.ID(i + 1)
		mutations[i] = store.Mutation{Kind: store.Set, ID: ids[i], Proposed: 1, Due: time.UnixMilli(1), Fields: ticket.Fields{
			{Name: "status", Value: ticket.Text("open")}, {Name: "priority", Value: ticket.Text("high")},
			{Name: "subject", Value: ticket.Text("My parcel has not arrived")}, {Name: "assigned_to", Value: ticket.Text("7")},
		}}
	}
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"set", func() error { _, err := s.Apply(ctx, mutations[:1]); return err }},
		{"get", func() error { _, err := s.Get(ctx, ids[:1]); return err }},
		{"get 32", func() error { _, err := s.Get(ctx, ids); return err }},
		{"backlog", func() error { _, err := s.Backlog(ctx); return err }},
		{"set, claim and ack 32", func() error {
			if _, err := s.Apply(ctx, mutations); err != nil {
				return err
			}
			claims, err := s.Claim(ctx, time.Now(), 100, time.Minute)
			if err != nil {
				return err
			}
			receipts := make([]store.Receipt, len(claims))
			for i := range claims {
				receipts[i] = store.Receipt{ID: claims[i].ID, Revision: claims[i].Revision}
			}
			return s.Ack(ctx, receipts)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The cost of claiming a change of status, of a ticket of 60 KB and of a short ticket: alone, and in a batch of 100.
func BenchmarkClaim(b *testing.B) {
	server := testenv.NewRedis(b, testenv.RedisOptions{})
	for _, c := range []struct {
		name          string
		tickets, size int
	}{{"60 KB", 1, 60 << 10}, {"short", 1, 100}, {"100 of 60 KB", 100, 60 << 10}, {"100 short", 100, 100}} {
		b.Run(c.name, func(b *testing.B) {
			s, err := redis.New(server.Client(b), redis.Options{
				Prefix: c.name, CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now),
			})
			if err != nil {
				b.Fatal(err)
			}
			apply := func(kind store.Kind, fields ticket.Fields) {
				mutations := make([]store.Mutation, c.tickets)
				for i := range mutations {
					mutations[i] = store.Mutation{
						Kind: kind, ID: ticket.ID(i + 1), Proposed: 1, Due: time.UnixMilli(1), Fields: fields,
					}
				}
				if _, err := s.Apply(b.Context(), mutations); err != nil {
					b.Fatal(err)
				}
			}
			claim := func() []store.Claim {
				claims, err := s.Claim(b.Context(), time.Now(), c.tickets, 0)
				if err != nil || len(claims) != c.tickets {
					b.Fatalf("%d claims (%v)", len(claims), err)
				}
				return claims
			}
			filler := make(ticket.Fields, 20)
			for i := range filler {
				filler[i] = ticket.Field{
					Name: "field_" + strconv.Itoa(i), Value: ticket.Text(strings.Repeat("x", c.size/len(filler))),
				}
			}
			apply(store.Create, filler)
			claims := claim()
			receipts := make([]store.Receipt, len(claims))
			for i := range claims {
				receipts[i] = store.Receipt{ID: claims[i].ID, Revision: claims[i].Revision}
			}
			if err := s.Ack(b.Context(), receipts); err != nil {
				b.Fatal(err)
			}
			apply(store.Set, ticket.Fields{{Name: "status", Value: ticket.Text("open")}})
			b.ReportAllocs()
			for b.Loop() {
				claim()
			}
		})
	}
}

// The cost of a write in this process, by one caller and by many, with and without keeping the change for a fail-over. The two
// take turns, and processor time is counted: the elapsed time has the other work of the machine, too.
func BenchmarkKept(b *testing.B) {
	server := testenv.NewRedis(b, testenv.RedisOptions{})
	client := server.Client(b)
	for round := range 3 {
		for _, host := range []string{"", "bench"} {
			name := "not kept"
			if host != "" {
				name = "kept"
			}
			s, err := redis.New(client, redis.Options{
				Prefix: strconv.Itoa(round) + host, Host: host, CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now),
			})
			if err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			write := func() {
				at := n.Add(1)
				m := store.Mutation{
					Kind: store.Set, ID: ticket.ID(at%10_000 + 1), Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
					RequestID: strconv.FormatInt(at, 10), Digest: "AAAAAAAAAAE", Remember: time.Minute,
					Fields: ticket.Fields{
						{Name: "status", Value: ticket.Text("open")}, {Name: "priority", Value: ticket.Text("high")},
						{Name: "subject", Value: ticket.Text("My parcel has not arrived")}, {Name: "assigned_to", Value: ticket.Text("7")},
					},
				}
				if outcomes, err := s.Apply(context.Background(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
					b.Error(err, outcomes)
				}
			}
			b.Run("one/"+name, func(b *testing.B) {
				defer processor(b)()
				for b.Loop() {
					write()
				}
			})
			b.Run("many/"+name, func(b *testing.B) {
				defer processor(b)()
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						write()
					}
				})
			})
		}
	}
}

// processor begins to count the processor time of this process; report reports the time.
func processor(b *testing.B) (report func()) {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begin := used()
	return func() { b.ReportMetric(float64(used()-begin)/float64(b.N), "cpu-ns/op") }
}
