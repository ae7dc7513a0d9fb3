package redis

import (
	"context"
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// A Redis that was restarted or failed over may hold clean copies from before the sink's rows. Until [Store.Reconcile] has
// forgotten them, which takes a scan and the other daemons, the partition is in doubt: the process that serves it (line in the
// meta hash, noted by again.lua before anything else is sent) is another than the one that was reconciled last (run). In doubt a
// clean field counts as unknown, and a condition on a clean ticket cannot be decided, unless fill.lua has completed the ticket
// since (_line).

// doubted returns the lines of those partitions that are in doubt, as far as this daemon has noticed a change of process.
func (s *Store) doubted(ctx context.Context, ids []ticket.ID) (map[int]string, error) {
	var lines map[int]string
	for _, p := range s.partitionsOf(ids) {
		generation, doubt := s.kept[p].doubted()
		if !doubt {
			continue
		}
		var held *goredis.SliceCmd
		err := s.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { held = pipe.HMGet(ctx, s.keys.meta(p), "line", "run") })
		if err != nil && !errors.Is(err, goredis.Nil) {
			return nil, err
		}
		line, _ := held.Val()[0].(string)
		run, _ := held.Val()[1].(string)
		if line == "" || line == run {
			s.kept[p].trusted(generation)
			continue
		}
		if lines == nil {
			lines = make(map[int]string)
		}
		lines[p] = line
	}
	return lines, nil
}

// generations are those of the tickets' partitions, to notice a change of process in between.
func (s *Store) generations(ids []ticket.ID) (sum int) {
	for _, p := range s.partitionsOf(ids) {
		generation, _ := s.kept[p].sending()
		sum += generation
	}
	return sum
}

// known is a ticket's hash without what is in doubt. Nothing is of a ticket whose create the sink does not have.
func known(hash map[string]string) map[string]string {
	if hash[markPrefix+fieldNew] != "" {
		return hash
	}
	for name := range hash {
		_, dirty := hash[markPrefix+name]
		if name == fieldFull || (!strings.HasPrefix(name, reserved) && !dirty) {
			delete(hash, name)
		}
	}
	return hash
}

// Get implements [store.Tickets]: one round trip, and one more after a change of Redis' process.
func (s *Store) Get(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	for {
		before := s.generations(ids)
		lines, err := s.doubted(ctx, ids)
		if err != nil {
			return nil, link.Wrap("get", err)
		}
		hashes, err := s.hashes(ctx, ids)
		if err != nil {
			return nil, link.Wrap("get", err)
		}
		if s.generations(ids) != before {
			continue // the answer may be of a process of which nothing was known
		}
		for i, hash := range hashes {
			if line, doubt := lines[s.keys.partition(ids[i])]; doubt && !isStray(hash) && hash[fieldLine] != line {
				hashes[i] = known(hash)
			}
		}
		records := s.records(ids, hashes)
		for i := range records { // what waits may be older than what another daemon has still to apply again
			_, doubt := lines[s.keys.partition(ids[i])]
			records[i].Behind = records[i].Behind || doubt && records[i].Dirty
		}
		return records, nil
	}
}
