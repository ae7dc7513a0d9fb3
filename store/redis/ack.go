package redis

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Ack implements [store.Queue].
func (s *Store) Ack(ctx context.Context, receipts []store.Receipt) error {
	now := time.Now()
	groups := s.split(len(receipts), func(i int) ticket.ID { return receipts[i].ID })
	return s.each(groups, func(p int, indexes []int) error {
		for part := range slices.Chunk(indexes, maxTickets) {
			names := []string{s.keys.dirty(p), s.keys.dead(p), s.keys.meta(p)}
			args := []any{s.opts.CleanTTL.Milliseconds()}
			for _, at := range part {
				r := &receipts[at]
				s.opts.Clock.Observe(r.Revision)
				s.kept[p].arrived(now, r.ID, r.Revision, r.Ahead)
				names = append(names, s.keys.ticket(r.ID))
				args = append(args, int64(r.ID), int64(r.Revision), r.Ahead)
			}
			if err := s.run(ctx, ackScript, p, names, args...).Err(); err != nil {
				return link.Wrap("ack", err)
			}
		}
		return nil
	})
}

// Release implements [store.Queue].
func (s *Store) Release(ctx context.Context, claims []store.Claim) error {
	err := s.dueAt(ctx, []any{"XX", "LT"}, len(claims), func(i int) (ticket.ID, time.Time) { return claims[i].ID, claims[i].Due })
	return link.Wrap("release", err)
}

// dueAt changes the due times of n tickets, with these options of ZADD.
func (s *Store) dueAt(ctx context.Context, options []any, n int, of func(i int) (ticket.ID, time.Time)) error {
	var calls []guardedCall
	for p, indexes := range s.split(n, func(i int) ticket.ID { id, _ := of(i); return id }) {
		for part := range slices.Chunk(indexes, maxClaim) {
			args := slices.Clone(options)
			for _, at := range part {
				id, due := of(at)
				args = append(args, millis(due), int64(id))
			}
			calls = append(calls, guardedCall{p, []string{s.keys.dirty(p)}, args})
		}
	}
	return firstErr(s.runPiped(ctx, dueScript, calls))
}

// letter is a dead letter as the hash keeps it.
type letter struct {
	Revision ticket.Revision `json:"revision"`
	Code     int             `json:"code"`
	Reason   string          `json:"reason"`
	At       time.Time       `json:"at"`
}

// Park implements [store.Queue].
func (s *Store) Park(ctx context.Context, letters []ticket.Letter) error {
	for _, l := range letters {
		text, err := json.Marshal(letter{Revision: l.Revision, Code: l.Code, Reason: l.Reason, At: l.At})
		if err != nil {
			return link.Wrap("park", err)
		}
		p := s.keys.partition(l.ID)
		names := []string{s.keys.dirty(p), s.keys.dead(p), s.keys.ticket(l.ID)}
		err = s.run(ctx, parkScript, p, names, int64(l.ID), int64(l.Revision), millis(l.At), string(text)).Err()
		if err != nil {
			return link.Wrap("park", err)
		}
	}
	return nil
}
