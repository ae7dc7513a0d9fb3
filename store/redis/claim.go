package redis

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// queue hands pending changes to the flusher.
type queue struct {
	*site

	recall  *recall
	tickets *tickets
	dead    *deadLetters

	raising  sync.Mutex
	expected expected
}

// maxClaim bounds the tickets of one script call: Lua's unpack is bounded at about 8,000 values.
const maxClaim = 1000

// Claim implements [store.Queue].
func (q *queue) Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	q.raise(ctx)
	if q.keys.partitions > 1 {
		return q.claimSeveral(ctx, now, limit, lease)
	}
	if err := q.recall.claimable(ctx, 0); err != nil {
		return nil, err
	}
	ids, dues, err := q.lease(ctx, 0, now, min(limit, maxClaim), lease)
	if err != nil {
		return nil, err
	}
	return q.readClaims(ctx, ids, dues)
}

// lease takes up to n due tickets of a partition, and returns the tickets with their due times.
func (q *queue) lease(
	ctx context.Context, p int, now time.Time, n int, lease time.Duration,
) (ids []ticket.ID, dues []time.Time, err error) {
	found, err := q.run(ctx, claimScript, p, []string{q.keys.dirty(p)}, millis(now), n, millis(now.Add(lease))).StringSlice()
	if err != nil {
		return nil, nil, link.Wrap("claim", err)
	}
	for i := 0; i+1 < len(found); i += 2 {
		id, err := ticket.ParseID(found[i])
		if err != nil {
			continue // Not ours: the index holds ids only.
		}
		ids, dues = append(ids, id), append(dues, score(found[i+1]))
	}
	return ids, dues, nil
}

// ClaimIDs implements [store.Queue].
func (q *queue) ClaimIDs(
	ctx context.Context, now time.Time, ids []ticket.ID, lease time.Duration,
) ([]store.Claim, error) {
	q.raise(ctx)
	if err := q.claimableOf(ctx, ids); err != nil {
		return nil, err
	}
	err := q.dueAt(ctx, []any{"XX"}, len(ids), func(i int) (ticket.ID, time.Time) { return ids[i], now.Add(lease) })
	if err != nil {
		return nil, link.Wrap("claim", err)
	}
	dues := make([]time.Time, len(ids))
	for i := range dues {
		dues[i] = now
	}
	return q.readClaims(ctx, ids, dues)
}

// readClaims reads the pending changes of claimed tickets. A ticket that turns out to be clean or gone leaves the index, and so
// does a ticket whose key holds no hash any more: no change of the ticket is left to save.
func (q *queue) readClaims(ctx context.Context, ids []ticket.ID, dues []time.Time) ([]store.Claim, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	hashes, err := q.changes(ctx, ids)
	if err != nil {
		return nil, link.Wrap("claim", err)
	}
	if err := q.withVanished(ctx, ids, hashes); err != nil {
		return nil, err
	}
	claims := make([]store.Claim, 0, len(ids))
	var stale []store.Receipt
	for i, id := range ids {
		hash := hashes[i]
		if hash == nil {
			_ = q.foreign(id) // reported; the other tickets are claimed
		}
		c := claim(id, hash, ticket.Revision(q.line.Load()))
		if isRevision(&c, hash) {
			c.Partial, c.Last, c.Revision = false, false, c.Newest
		} else if len(c.Fields) == 0 && !c.Deleted {
			stale = append(stale, store.Receipt{ID: id})
			continue
		}
		c.Due = dues[i]
		c.Rest = func(ctx context.Context) (ticket.Fields, bool, error) { return q.rest(ctx, &c) }
		q.opts.Clock.Observe(c.Newest)
		claims = append(claims, c)
	}
	if len(stale) > 0 {
		return q.withoutOwed(claims), q.Ack(ctx, stale)
	}
	return q.withoutOwed(claims), nil
}

// changes reads the pending changes of tickets in one round trip, as changes.lua returns them. A ticket whose key holds no hash
// has nil, and a ticket that is not held an empty map.
func (q *queue) changes(ctx context.Context, ids []ticket.ID) ([]map[string]string, error) {
	var calls []guardedCall
	var parts [][]int
	for p, indexes := range q.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		for part := range slices.Chunk(indexes, maxTickets) {
			names := make([]string, len(part))
			for i, at := range part {
				names[i] = q.keys.ticket(ids[at])
			}
			calls, parts = append(calls, guardedCall{p, names, nil}), append(parts, part)
		}
	}
	hashes := make([]map[string]string, len(ids))
	for i, reply := range q.runPiped(ctx, changesScript, calls) {
		lists, err := reply.Slice()
		if err != nil {
			return nil, err
		}
		for j, at := range parts[i] {
			hashes[at] = pairs(lists[j])
		}
	}
	q.tickets.mend(ctx, ids, hashes)
	return hashes, nil
}

// pairs makes a map of a list of names and values, and nil of any other reply.
func pairs(reply any) map[string]string {
	list, is := reply.([]any)
	if !is {
		return nil
	}
	hash := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		hash[name], _ = list[i+1].(string)
	}
	return hash
}

// rest is [store.Claim.Rest] of a claim.
func (q *queue) rest(ctx context.Context, c *store.Claim) (fields ticket.Fields, whole bool, err error) {
	hashes, err := q.tickets.hashes(ctx, []ticket.ID{c.ID})
	if err != nil {
		return nil, false, link.Wrap("read the rest of a claim", err)
	}
	r := record(c.ID, hashes[0])
	fields = slices.DeleteFunc(r.Fields, func(f ticket.Field) bool {
		_, changed := c.All.Get(f.Name)
		return changed
	})
	return fields, r.Full && !r.Deleted && r.Revision >= c.Newest, nil
}

// claim returns the pending changes of a hash. Of changes from before line, to which this Redis may have gone back, claim returns
// the oldest alone.
func claim(id ticket.ID, hash map[string]string, line ticket.Revision) store.Claim {
	c := store.Claim{
		ID: id, Revision: revision(hash[fieldRevision]), Created: revision(hash[markPrefix+fieldNew]),
		Confirmed: confirmed(hash),
	}
	c.Newest = c.Revision
	if oldest := oldestChange(hash); oldest < line && oldest < c.Revision {
		c.Revision, c.Partial = oldest, true
	}
	if ms, err := strconv.ParseInt(hash[fieldDirty], 10, 64); err == nil {
		c.Since = time.UnixMilli(ms)
	}
	moot := mootBefore(hash)
	c.Last = c.Partial
	c.All = make(ticket.Fields, 0, len(hash)/2) // a mark and a value for each
	for name := range hash {
		field, marked := strings.CutPrefix(name, markPrefix)
		switch {
		case !marked, revision(hash[name]) < moot:
		case field == fieldGone:
			c.Deleted = c.Deleted || revision(hash[name]) <= c.Revision
			c.Last = false // a deletion shows no revision
		case strings.HasPrefix(field, reserved): // another program wrote the mark: no ticket has such a field
		default:
			value := ticket.Null
			if text, set := hash[field]; set {
				value = ticket.Text(text)
			}
			c.All = append(c.All, ticket.Field{Name: field, Value: value})
			if c.Partial && revision(hash[name]) <= c.Revision {
				c.Fields = append(c.Fields, ticket.Field{Name: field, Value: value})
			} else {
				c.Last = false
			}
		}
	}
	if !c.Partial {
		c.Fields = c.All
	}
	return c
}

// isRevision says that the revision alone of a ticket is pending: see raise in apply.lua.
func isRevision(c *store.Claim, hash map[string]string) bool {
	return hash[markPrefix+fieldRevision] != "" && c.RevisionOnly()
}

// confirmed says that a hash holds the whole ticket, or fields without pending changes.
func confirmed(hash map[string]string) bool {
	if hash[fieldFull] != "" || hash[fieldClean] != "" {
		return true
	}
	for name := range hash {
		if _, changed := hash[markPrefix+name]; !changed && !strings.HasPrefix(name, reserved) {
			return true
		}
	}
	return false
}

// mootBefore returns the revision of a pending deletion, 0 without a deletion. Earlier versions left changes from before the
// deletion in the hash: these changes must not arrive any more.
func mootBefore(hash map[string]string) ticket.Revision { return revision(hash[markPrefix+fieldGone]) }

// oldestChange returns the lowest revision among the marks of pending changes; 0 without marks.
func oldestChange(hash map[string]string) ticket.Revision {
	var oldest ticket.Revision
	moot := mootBefore(hash)
	for name, value := range hash {
		if !strings.HasPrefix(name, markPrefix) || name == markPrefix+fieldNew {
			continue
		}
		if r := revision(value); r >= moot && (oldest == 0 || r < oldest) {
			oldest = r
		}
	}
	return oldest
}

// score reads a due time of the index.
func score(s string) time.Time {
	ms, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// claimSeveral is Claim on several partitions: claimSeveral takes the earliest due times of all partitions, in rounds, until the
// limit is reached or no further ticket is due. claimSeveral passes over a partition that does not answer, and returns the error
// where the claim is empty.
func (q *queue) claimSeveral(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	var claims []store.Claim
	for len(claims) < limit {
		counts, err := q.earliest(ctx, now, limit-len(claims))
		if len(counts) == 0 {
			if len(claims) > 0 {
				err = nil
			}
			return claims, err
		}
		read, err := q.claimCounts(ctx, counts, now, lease)
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

// earliest counts, per partition, the next limit tickets that are due, or fewer where the rest takes another look. earliest looks
// at twice the share of each partition: ids are spread evenly, so more tickets would be read in vain.
func (q *queue) earliest(ctx context.Context, now time.Time, limit int) (counts map[int][]int, err error) {
	const spare = 8
	share := 2*limit/q.keys.partitions + spare
	commands := make([]*goredis.ZSliceCmd, q.keys.partitions)
	err = q.read(ctx, q.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range commands {
			commands[p] = pipe.ZRangeByScoreWithScores(ctx, q.keys.dirty(p), &goredis.ZRangeBy{
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
	known := float64(millis(now)) // all tickets that are due up to here have been seen
	for p, command := range commands {
		found := command.Val() // empty where the partition does not answer
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

// claimCounts leases as many tickets of each partition as the partition has indexes, and reads the tickets.
func (q *queue) claimCounts(
	ctx context.Context, counts map[int][]int, now time.Time, lease time.Duration,
) ([]store.Claim, error) {
	var mu sync.Mutex
	var ids []ticket.ID
	var dues []time.Time
	err := q.each(counts, func(p int, indexes []int) error {
		if err := q.recall.claimable(ctx, p); err != nil {
			return err
		}
		of, at, err := q.lease(ctx, p, now, min(len(indexes), maxClaim), lease)
		mu.Lock()
		defer mu.Unlock()
		ids, dues = append(ids, of...), append(dues, at...)
		return err
	})
	if len(ids) == 0 {
		return nil, err
	}
	claims, err := q.readClaims(ctx, ids, dues)
	slices.SortStableFunc(claims, func(a, b store.Claim) int { return a.Due.Compare(b.Due) })
	return claims, err
}

// Indexed tells for each ticket whether an index names the ticket.
func (q *queue) Indexed(ctx context.Context, ids []ticket.ID) ([]bool, error) {
	type pair struct{ dirty, dead *goredis.FloatCmd }
	commands := make([]pair, len(ids))
	err := q.read(ctx, q.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			p := q.keys.partition(id)
			commands[i] = pair{
				dirty: pipe.ZScore(ctx, q.keys.dirty(p), id.String()), dead: pipe.ZScore(ctx, q.keys.dead(p), id.String()),
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

// withVanished replaces the hashes that another program has deleted by the hashes that are written again.
func (q *queue) withVanished(ctx context.Context, ids []ticket.ID, hashes []map[string]string) error {
	var empty []ticket.ID
	for i, hash := range hashes {
		if hash != nil && len(hash) == 0 {
			empty = append(empty, ids[i])
		}
	}
	if len(empty) == 0 {
		return nil
	}
	indexed, err := q.Indexed(ctx, empty)
	if err != nil {
		return err
	}
	var vanished []ticket.ID
	for i, id := range empty {
		if indexed[i] { // else the last changes were acked since the claim
			vanished = append(vanished, id)
		}
	}
	if len(vanished) == 0 {
		return nil
	}
	if err := q.recall.bringBack(ctx, vanished); err != nil {
		return err
	}
	again, err := q.changes(ctx, vanished)
	if err != nil {
		return link.Wrap("claim", err)
	}
	for i, id := range vanished {
		hashes[slices.Index(ids, id)] = again[i]
	}
	return nil
}

// withoutOwed leaves out tickets with changes that could not be applied again yet: the leases of these tickets run out.
func (q *queue) withoutOwed(claims []store.Claim) []store.Claim {
	return slices.DeleteFunc(claims, func(c store.Claim) bool { return q.recall.kept[q.keys.partition(c.ID)].owes(c.ID) })
}

// claimableOf prepares the claim of tickets.
func (q *queue) claimableOf(ctx context.Context, ids []ticket.ID) error {
	partitions := q.split(len(ids), func(i int) ticket.ID { return ids[i] })
	if err := q.each(partitions, func(p int, _ []int) error { return q.recall.claimable(ctx, p) }); err != nil {
		return err
	}
	for _, id := range ids {
		if q.recall.kept[q.keys.partition(id)].owes(id) {
			return errNoRoom // a claim without the ticket would say that the ticket is clean
		}
	}
	return nil
}
