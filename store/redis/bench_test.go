package redis_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// One set at a time on a cluster: without a request id, under one that a client made up for the call, and under one that somebody
// chose, which is tied to its ticket first, in a round trip of its own.
func BenchmarkSetOnACluster(b *testing.B) {
	server, prefix := testenv.SharedCluster(b)
	client, _ := redis.Connect(redis.ClientOptions{
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
