package redis

import (
	"context"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
)

// maxTickets is the most tickets that a script looks through in one call: so many keep Redis from serving others for about two
// milliseconds.
const maxTickets = 250

// runEach runs a script for tickets, call by call, each of one partition: its keys are the partition's dirty index, where
// withDead says so the dead letters, and the tickets' hashes; its arguments are first, then the tickets' ids. take gets each
// reply.
func (s *Store) runEach(
	ctx context.Context, script *goredis.Script, withDead bool, first []any, ids []ticket.ID, take func(*goredis.Cmd) error,
) error {
	for p, indexes := range s.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		for part := range slices.Chunk(indexes, maxTickets) {
			names, args := []string{s.keys.dirty(p)}, slices.Clone(first)
			if withDead {
				names = append(names, s.keys.dead(p))
			}
			for _, at := range part {
				names = append(names, s.keys.ticket(ids[at]))
				args = append(args, int64(ids[at]))
			}
			if err := take(s.run(ctx, script, p, names, args...)); err != nil {
				return err
			}
		}
	}
	return nil
}

// countEach is runEach of a script that returns a number, and adds them up.
func (s *Store) countEach(
	ctx context.Context, script *goredis.Script, withDead bool, first []any, ids []ticket.ID,
) (sum int, err error) {
	err = s.runEach(ctx, script, withDead, first, ids, func(reply *goredis.Cmd) error {
		n, err := reply.Int()
		sum += n
		return err
	})
	return sum, err
}
