package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// A store touches no key of a Redis that belongs to another table. The mark of a filling, the epoch, is random, and a store
// learns the epoch only where the owner beside the epoch is the store's own table. So a caller that names the right epoch has the
// right keys. Every script receives the epoch and compares; a pipeline that reads puts the epoch last.

// guardTries bounds the tries where Redis answers again and again with another filling.
const guardTries = 3

// errRefilled means that Redis is emptied faster than the store can look at the filling.
var errRefilled = fmt.Errorf("%w: Redis was emptied again and again meanwhile", store.ErrUnavailable)

// run runs a script behind guard.lua, on keys of a partition.
func (s *site) run(ctx context.Context, script *goredis.Script, p int, names []string, args ...any) *goredis.Cmd {
	epoch, err := s.epoch(ctx, p)
	for try := 1; err == nil; try++ {
		reply := script.Run(ctx, s.client, s.guardedKeys(p, names), slices.Concat(args, []any{epoch})...)
		switch {
		case !isOtherEpoch(reply.Err()):
			return reply
		case try == guardTries:
			err = errRefilled
		default:
			epoch, err = s.reseed(ctx, p, epoch)
		}
	}
	failed := goredis.NewCmd(ctx)
	failed.SetErr(err)
	return failed
}

func (s *site) guardedKeys(p int, names []string) []string {
	return slices.Concat(names, []string{s.keys.meta(p)})
}

// isOtherEpoch recognises a script's answer that Redis holds another filling than the caller knows, and that the script has
// changed no key.
func isOtherEpoch(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "EPOCH") }

// guardedCall is one call of a script behind guard.lua.
type guardedCall struct {
	partition int
	names     []string
	args      []any
}

// runPiped makes calls of a script in one round trip. Each call has a reply and an error of its own.
func (s *site) runPiped(ctx context.Context, script *goredis.Script, calls []guardedCall) []*goredis.Cmd {
	if len(calls) == 1 { // by the script's hash
		c := &calls[0]
		return []*goredis.Cmd{s.run(ctx, script, c.partition, c.names, c.args...)}
	}
	replies := make([]*goredis.Cmd, len(calls))
	epochs := make([]string, len(calls))
	left := make([]int, 0, len(calls))
	for i := range calls {
		var err error
		if epochs[i], err = s.epoch(ctx, calls[i].partition); err != nil {
			replies[i] = goredis.NewCmd(ctx)
			replies[i].SetErr(err)
			continue
		}
		left = append(left, i)
	}
	for try := 1; len(left) > 0; try++ {
		_, _ = s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error { // each command has an error of its own
			for _, i := range left {
				c := &calls[i]
				// EVAL and not EVALSHA: inside a pipeline the client does not repeat a script that Redis does not know.
				replies[i] = script.Eval(ctx, pipe, s.guardedKeys(c.partition, c.names), slices.Concat(c.args, []any{epochs[i]})...)
			}
			return nil
		})
		again := left[:0]
		for _, i := range left {
			if !isOtherEpoch(replies[i].Err()) {
				continue
			}
			err := errRefilled
			if try < guardTries {
				epochs[i], err = s.reseed(ctx, calls[i].partition, epochs[i])
			}
			if err != nil {
				replies[i].SetErr(err)
				continue
			}
			again = append(again, i)
		}
		left = again
	}
	return replies
}

// firstErr returns the first error of several replies.
func firstErr(replies []*goredis.Cmd) error {
	for _, reply := range replies {
		if err := reply.Err(); err != nil {
			return err
		}
	}
	return nil
}

// read sends the reads that queue puts into a pipeline, of the given partitions, and proves that the reads saw this site's keys:
// the pipeline reads the epochs last, and an epoch that has not changed by then has not changed before, as no epoch comes back.
// After another epoch, read sends all reads again. The error is the first error among the reads; a caller that can use a part of
// the reads checks each. An error that wraps [store.ErrOwner] means that the caller must use no reply.
func (s *site) read(ctx context.Context, partitions []int, queue func(pipe goredis.Pipeliner)) error {
	expected, metas := make([]string, len(partitions)), make([]*goredis.StringCmd, len(partitions))
	for try := 1; ; try++ {
		for i, p := range partitions {
			var err error
			if expected[i], err = s.epoch(ctx, p); errors.Is(err, store.ErrOwner) {
				queue(s.client.Pipeline()) // never sent: the caller has commands without values, not none
				return err
			} // any other error is the error of the reads, too
		}
		replies, _ := s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			queue(pipe)
			for i, p := range partitions {
				metas[i] = pipe.HGet(ctx, s.keys.meta(p), "epoch")
			}
			return nil
		})
		same := true
		for i, p := range partitions {
			have, err := metas[i].Result()
			if have == expected[i] || err != nil && !errors.Is(err, goredis.Nil) { // a partition without an answer gave no read either
				continue
			}
			same = false
			if _, err := s.reseed(ctx, p, expected[i]); err != nil {
				return err
			}
		}
		switch {
		case same:
			return firstOfReads(replies, len(partitions))
		case try == guardTries:
			return errRefilled
		}
	}
}

// firstOfReads returns the first error among the replies, without the last few.
func firstOfReads(replies []goredis.Cmder, but int) error {
	for _, reply := range replies[:max(len(replies)-but, 0)] {
		if err := reply.Err(); err != nil {
			return err
		}
	}
	return nil
}

// maxTickets is the most tickets of one script call: so many tickets occupy Redis for about two milliseconds.
const maxTickets = 250

// runEach runs a script for tickets, each call for one partition. The keys of a call are the partition's dirty index, with
// withDead the dead letters, and the tickets' hashes; the arguments are first, then the tickets' ids. take receives each reply.
func (s *site) runEach(
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

// countEach is runEach of a script that returns a number, and returns the sum.
func (s *site) countEach(
	ctx context.Context, script *goredis.Script, withDead bool, first []any, ids []ticket.ID,
) (sum int, err error) {
	err = s.runEach(ctx, script, withDead, first, ids, func(reply *goredis.Cmd) error {
		n, err := reply.Int()
		sum += n
		return err
	})
	return sum, err
}
