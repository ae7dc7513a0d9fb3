package journal

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// One write of three fields, in a crowd of 16 for each processor.
func BenchmarkApply(b *testing.B) {
	for _, mode := range []wal.Sync{wal.Always, wal.Interval, wal.Never} {
		b.Run(string(mode), func(b *testing.B) {
			s, _, err := Open(b.Context(), b.TempDir(), Options{Sync: mode})
			if err != nil {
				b.Fatal(err)
			}
			s.Start(b.Context())
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for id := ticket.ID(1); pb.Next(); id = id%5000 + 1 {
					m := store.Mutation{
						Kind: store.Set, ID: id, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
						Fields: ticket.Fields{
							{Name: "status", Value: ticket.Text("pending")}, {Name: "priority", Value: ticket.Text("high")},
							{Name: "updated_at", Value: ticket.Text("2026-01-02 03:04:05")},
						},
					}
					if _, err := store.Make(b.Context(), s, m); err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
