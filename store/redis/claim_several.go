package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// claimSeveral is Claim where there are several partitions: the earliest due times of all of them come first, in rounds, until
// the limit is reached or nothing more is due. Partitions that do not answer are passed over; that is an error where
// nothing was claimed for it.
func (s *Store) claimSeveral(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	var claims []store.Claim
	for len(claims) < limit {
		counts, err := s.earliest(ctx, now, limit-len(claims))
		if len(counts) == 0 {
			if len(claims) > 0 {
				err = nil
			}
			return claims, err
		}
		read, err := s.claimCounts(ctx, counts, now, lease)
		claims = append(claims, read...)
		if err != nil || len(read) == 0 {
			if len(claims) > 0 {
				err = nil
			}
			return claims, err
		}
	}
	return claims, nil
}

// earliest says how many tickets of which partition are the next limit that are due, or fewer where that takes another look. It
// looks at twice the share of each partition: more would be read in vain where tickets are spread as ids are.
func (s *Store) earliest(ctx context.Context, now time.Time, limit int) (counts map[int][]int, err error) {
	const spare = 8
	share := 2*limit/s.keys.partitions + spare
	commands := make([]*goredis.ZSliceCmd, s.keys.partitions)
	err = s.read(ctx, s.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range commands {
			commands[p] = pipe.ZRangeByScoreWithScores(ctx, s.keys.dirty(p), &goredis.ZRangeBy{
				Min: "-inf", Max: strconv.FormatInt(millis(now), 10), Count: int64(share),
			})
		}
	})
	if errors.Is(err, store.ErrOwner) {
		return nil, link.Wrap("claim", err)
	}
	type due struct {
		at        float64
		partition int
	}
	var all []due
	known := float64(millis(now)) // up to when everything that is due has been seen
	for p, command := range commands {
		found := command.Val() // none where the partition does not answer
		for _, z := range found {
			all = append(all, due{z.Score, p})
		}
		if len(found) == share {
			known = min(known, found[share-1].Score)
		}
	}
	slices.SortStableFunc(all, func(a, b due) int { return cmp.Compare(a.at, b.at) })
	counts = make(map[int][]int)
	for i, d := range all[:min(len(all), limit)] {
		if d.at > known {
			break
		}
		counts[d.partition] = append(counts[d.partition], i)
	}
	return counts, link.Wrap("claim", err)
}

// claimCounts leases so many tickets of each partition as it has indexes, and reads them.
func (s *Store) claimCounts(
	ctx context.Context, counts map[int][]int, now time.Time, lease time.Duration,
) ([]store.Claim, error) {
	var mu sync.Mutex
	var ids []ticket.ID
	var dues []time.Time
	err := s.each(counts, func(p int, indexes []int) error {
		if err := s.claimable(ctx, p); err != nil {
			return err
		}
		of, at, err := s.lease(ctx, p, now, min(len(indexes), maxClaim), lease)
		mu.Lock()
		defer mu.Unlock()
		ids, dues = append(ids, of...), append(dues, at...)
		return err
	})
	if len(ids) == 0 {
		return nil, err
	}
	claims, err := s.readClaims(ctx, ids, dues)
	slices.SortStableFunc(claims, func(a, b store.Claim) int { return a.Due.Compare(b.Due) })
	return claims, err
}
