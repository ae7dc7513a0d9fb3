package redis_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// A write of three fields, as the store sends the write: of a ticket that Redis holds, which needs no look at the tombstones, and
// of a ticket that Redis does not hold, with and without tombstones in its bucket.
func BenchmarkApply(b *testing.B) {
	for name, c := range map[string]struct{ held, buried bool }{
		"held": {held: true}, "new": {}, "new beside tombstones": {buried: true},
	} {
		b.Run(name, func(b *testing.B) {
			server := testenv.NewRedis(b, testenv.RedisOptions{})
			s, err := redis.New(server.Client(b), redis.Options{CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now)})
			if err != nil {
				b.Fatal(err)
			}
			const batch = 100
			for id := ticket.ID(1); c.buried && id < ticket.ID(b.N*batch); id += 1000 {
				if err := s.Bury(b.Context(), every(id, id+1000, 2)); err != nil {
					b.Fatal(err)
				}
			}
			mutations := make([]store.Mutation, batch)
			for n := 0; b.Loop(); n++ {
				for i := range mutations {
					id := ticket.ID(2*i + 2)
					if !c.held {
						id += ticket.ID(2 * n * batch)
					}
					mutations[i] = store.Mutation{
						Kind: store.Set, ID: id, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
						Fields: ticket.Fields{
							{Name: "status", Value: ticket.Text("pending")}, {Name: "priority", Value: ticket.Text("high")},
							{Name: "updated_at", Value: ticket.Text("2026-01-02 03:04:05")},
						},
					}
				}
				if _, err := s.Apply(b.Context(), mutations); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*batch), "µs/write")
		})
	}
}

// The memory of a tombstone in Redis, where all tickets are deleted, every tenth, and every thousandth.
func BenchmarkTombstones(b *testing.B) {
	for name, step := range map[string]ticket.ID{"all": 1, "every tenth": 10, "every thousandth": 1000} {
		b.Run(name, func(b *testing.B) {
			const n = 100_000
			for b.Loop() {
				server := testenv.NewRedis(b, testenv.RedisOptions{})
				client := server.Client(b)
				s, err := redis.New(client, redis.Options{CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now)})
				if err != nil {
					b.Fatal(err)
				}
				used := func() int64 {
					found, err := client.InfoMap(b.Context(), "memory").Result()
					if err != nil {
						b.Fatal(err)
					}
					bytes, err := strconv.ParseInt(found["Memory"]["used_memory"], 10, 64)
					if err != nil {
						b.Fatal(err)
					}
					return bytes
				}
				before := used()
				for first := ticket.ID(0); first < n; first += 10_000 {
					if err := s.Bury(b.Context(), every(1+first*step, 1+(first+10_000)*step, step)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(used()-before)/n, "bytes/tombstone")
			}
		})
	}
}

func every(from, to, step ticket.ID) []ticket.ID {
	var all []ticket.ID
	for id := from; id < to; id += step {
		all = append(all, id)
	}
	return all
}
