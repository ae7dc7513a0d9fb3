package redis

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Ack implements [store.Queue].
func (s *Store) Ack(ctx context.Context, receipts []store.Receipt) error {
	groups := s.split(len(receipts), func(i int) ticket.ID { return receipts[i].ID })
	return s.each(groups, func(p int, indexes []int) error {
		for part := range slices.Chunk(indexes, maxTickets) {
			names := []string{s.keys.dirty(p), s.keys.dead(p), s.keys.meta(p)}
			args := []any{s.opts.CleanTTL.Milliseconds()}
			for _, at := range part {
				r := &receipts[at]
				s.opts.Clock.Observe(r.Revision)
				names = append(names, s.keys.ticket(r.ID))
				args = append(args, int64(r.ID), int64(r.Revision), r.Ahead)
			}
			if err := ackScript.Run(ctx, s.client, names, args...).Err(); err != nil {
				return wrap("ack", err)
			}
		}
		return nil
	})
}

// Release implements [store.Queue].
func (s *Store) Release(ctx context.Context, claims []store.Claim) error {
	if len(claims) == 0 {
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for p, indexes := range s.split(len(claims), func(i int) ticket.ID { return claims[i].ID }) {
			members := make([]goredis.Z, len(indexes))
			for i, at := range indexes {
				members[i] = goredis.Z{Score: float64(millis(claims[at].Due)), Member: int64(claims[at].ID)}
			}
			pipe.ZAddArgs(ctx, s.keys.dirty(p), goredis.ZAddArgs{XX: true, LT: true, Members: members})
		}
		return nil
	})
	if err != nil && isFull(err) { // then there was no lease to give back, as claim.lua says
		return nil
	}
	return wrap("release", err)
}

// letter is a dead letter as the hash keeps it.
type letter struct {
	Revision ticket.Revision `json:"revision"`
	Code     int             `json:"code"`
	Reason   string          `json:"reason"`
	At       time.Time       `json:"at"`
}

// Park implements [store.Queue].
func (s *Store) Park(ctx context.Context, letters []store.DeadLetter) error {
	for _, l := range letters {
		text, err := json.Marshal(letter{Revision: l.Revision, Code: l.Code, Reason: l.Reason, At: l.At})
		if err != nil {
			return wrap("park", err)
		}
		p := s.keys.partition(l.ID)
		names := []string{s.keys.dirty(p), s.keys.dead(p), s.keys.ticket(l.ID)}
		err = parkScript.Run(ctx, s.client, names, int64(l.ID), int64(l.Revision), millis(l.At), string(text)).Err()
		if err != nil {
			return wrap("park", err)
		}
	}
	return nil
}
