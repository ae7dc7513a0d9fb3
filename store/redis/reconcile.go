package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Reconcile forgets all clean copies when Redis is another process than the last time: after a fail-over or a restart
// it may hold an older state than the sink, and a clean copy that is older would be read until it expires. It says how
// many it dropped; none where Redis is the same. Dirty tickets stay and are due at once; the sink's revision guard and
// the ack sort out which of them are older.
func (s *Store) Reconcile(ctx context.Context) (dropped int, err error) {
	text, err := s.client.Info(ctx, "server").Result()
	if err != nil {
		return 0, wrap("reconcile", err)
	}
	run := parseInfo(text)["run_id"]
	for p := range s.keys.partitions {
		known, err := s.client.HGet(ctx, s.keys.meta(p), "run").Result()
		if err != nil && !errors.Is(err, goredis.Nil) {
			return dropped, wrap("reconcile", err)
		}
		if known == run {
			continue
		}
		if known != "" {
			s.NewLine()
			n, err := s.forgetClean(ctx, p)
			if err != nil {
				return dropped + n, err
			}
			dropped += n
		}
		if err := s.client.HSet(ctx, s.keys.meta(p), "run", run).Err(); err != nil {
			return dropped, wrap("reconcile", err)
		}
	}
	return dropped, nil
}

// forgetClean forgets the clean copies of one partition, batch by batch, beside all other work.
func (s *Store) forgetClean(ctx context.Context, p int) (dropped int, err error) {
	err = s.scanKeys(ctx, s.keys.base(p), func(ids []ticket.ID) error {
		if len(ids) == 0 {
			return nil
		}
		names, args := []string{s.keys.dirty(p)}, []any{millis(time.Now())}
		for _, id := range ids {
			names, args = append(names, s.keys.ticket(id)), append(args, int64(id))
		}
		n, err := reconcileScript.Run(ctx, s.client, names, args...).Int()
		dropped += n
		return wrap("reconcile", err)
	})
	return dropped, err
}
