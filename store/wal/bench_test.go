package wal

import (
	"testing"
)

// One write of 120 bytes, and waiting for it, alone and in a crowd of 16 for each processor.
func BenchmarkAppend(b *testing.B) {
	record := make([]byte, 120)
	for _, mode := range []Sync{Always, Interval, Never} {
		for name, crowd := range map[string]int{"alone": 0, "crowd": 16} {
			b.Run(string(mode)+"/"+name, func(b *testing.B) {
				l, _, err := Open(b.TempDir(), Options{Sync: mode}, nil)
				if err != nil {
					b.Fatal(err)
				}
				write := func() {
					at, err := l.Append(record)
					if err == nil {
						err = l.Commit(b.Context(), at)
					}
					if err != nil {
						b.Error(err)
					}
				}
				b.SetBytes(int64(len(record)))
				if crowd == 0 {
					for b.Loop() {
						write()
					}
				} else {
					b.SetParallelism(crowd)
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							write()
						}
					})
				}
				b.StopTimer()
				b.ReportMetric(float64(l.Stats().Syncs)/float64(b.N), "syncs/op")
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
