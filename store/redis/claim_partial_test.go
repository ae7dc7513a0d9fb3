package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/sync/flush"
)

// refusing is a sink that refuses every change.
type refusing struct{ writes int }

func (s *refusing) Write(_ context.Context, changes []store.Claim) ([]flush.Result, error) {
	s.writes++
	results := make([]flush.Result, len(changes))
	for i := range results {
		results[i].Refused = &flush.Refusal{Code: 1406, Reason: "Data too long"}
	}
	return results, nil
}

// A ticket from before a fail-over that the sink refuses in part and as a whole is parked.
func TestRefusedChangeFromBeforeAFailOverIsParked(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	s := open(t, server.Client(t), redis.Options{Prefix: prefix})
	mustSet(t, s, 1, "status", "old")
	mustSet(t, s, 1, "category", "new")
	s.NewLine()
	sink := &refusing{}
	f := flush.New(s, sink, flush.Options{Batch: 10, Lease: leaseTime, MaxPause: time.Second, Log: zerolog.Nop()})
	moved, err := f.Flush(t.Context(), nil, nil)
	if err != nil || moved.Dead != 1 || sink.writes != 2 {
		t.Errorf("moved %+v (%v) in %d writes, want one dead letter in two", moved, err, sink.writes)
	}
	if got, err := s.Backlog(t.Context()); err != nil || got.Dirty != 0 || got.Dead != 1 {
		t.Errorf("backlog %+v (%v), want one dead letter", got, err)
	}
}
