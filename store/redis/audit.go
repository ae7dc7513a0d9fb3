package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/redis/link"
)

// TicketIDs calls f with every ticket that is held or indexed, in batches of up to some thousand; one may come more
// than once, and one that is made or goes meanwhile may be left out. It does not block Redis.
func (s *Store) TicketIDs(ctx context.Context, f func([]ticket.ID) error) error {
	if err := s.scanKeys(ctx, s.keys.ticketID, f); err != nil {
		return err
	}
	for p := range s.keys.partitions {
		for _, index := range []string{s.keys.dirty(p), s.keys.dead(p)} {
			if err := s.scanIndex(ctx, p, index, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// scanKeys finds the keys whose names are a ticket's by named, each master's once.
func (s *Store) scanKeys(ctx context.Context, named func(string) (ticket.ID, bool), f func([]ticket.ID) error) error {
	cluster, several := s.client.(*goredis.ClusterClient)
	if !several {
		return s.scanMaster(ctx, s.client, named, f)
	}
	var turn sync.Mutex // the masters are scanned at once, f is called one at a time
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		return s.scanMaster(ctx, master, named, func(ids []ticket.ID) error {
			turn.Lock()
			defer turn.Unlock()
			return f(ids)
		})
	})
}

func (s *Store) scanMaster(
	ctx context.Context, master goredis.Cmdable, named func(string) (ticket.ID, bool), f func([]ticket.ID) error,
) error {
	var cursor uint64
	for {
		names, next, err := master.Scan(ctx, cursor, s.keys.pattern(), maxClaim).Result()
		if err != nil {
			return link.Wrap("scan", err)
		}
		var found []ticket.ID
		for _, name := range names {
			if id, ours := named(name); ours {
				found = append(found, id)
			}
		}
		if err := f(found); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (s *Store) scanIndex(ctx context.Context, p int, index string, f func([]ticket.ID) error) error {
	var cursor uint64
	for {
		members, next, err := s.zscan(ctx, p, index, cursor)
		if err != nil {
			return link.Wrap("scan", err)
		}
		var found []ticket.ID
		for i := 0; i < len(members); i += 2 {
			if id, err := ticket.ParseID(members[i]); err == nil {
				found = append(found, id)
			}
		}
		if err := f(found); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// zscan reads a page of an index, of this site for certain.
func (s *Store) zscan(ctx context.Context, p int, index string, cursor uint64) (members []string, next uint64, err error) {
	var page *goredis.ScanCmd
	err = s.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { page = pipe.ZScan(ctx, index, cursor, "", maxClaim) })
	if err != nil {
		return nil, 0, err
	}
	return page.Result()
}

// Indexed tells for each ticket whether one of the indexes names it.
func (s *Store) Indexed(ctx context.Context, ids []ticket.ID) ([]bool, error) {
	type pair struct{ dirty, dead *goredis.FloatCmd }
	commands := make([]pair, len(ids))
	err := s.read(ctx, s.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			p := s.keys.partition(id)
			commands[i] = pair{
				dirty: pipe.ZScore(ctx, s.keys.dirty(p), id.String()), dead: pipe.ZScore(ctx, s.keys.dead(p), id.String()),
			}
		}
	})
	if err != nil && !errors.Is(err, goredis.Nil) {
		return nil, link.Wrap("look up in the index", err)
	}
	indexed := make([]bool, len(ids))
	for i := range commands {
		indexed[i] = commands[i].dirty.Err() == nil || commands[i].dead.Err() == nil
	}
	return indexed, nil
}

// Repair brings the index into line with the tickets' hashes: what is dirty and missing there becomes due at once. It
// returns how many entries were added and removed.
func (s *Store) Repair(ctx context.Context, ids []ticket.ID) (added, removed int, err error) {
	err = s.runEach(ctx, repairScript, true, []any{millis(time.Now())}, ids, func(reply *goredis.Cmd) error {
		counts, err := reply.Int64Slice()
		if err != nil {
			return err
		}
		added += int(counts[0])
		removed += int(counts[1])
		return nil
	})
	return added, removed, link.Wrap("repair", err)
}

// Forget drops tickets that are clean and still at the given revision: the next reader gets them from the next place.
func (s *Store) Forget(ctx context.Context, ids []ticket.ID, revisions []ticket.Revision) error {
	calls := make([]guardedCall, len(ids))
	for i, id := range ids {
		calls[i] = guardedCall{s.keys.partition(id), []string{s.keys.ticket(id)}, []any{int64(revisions[i])}}
	}
	return link.Wrap("forget", firstErr(s.runPiped(ctx, forgetScript, calls)))
}
