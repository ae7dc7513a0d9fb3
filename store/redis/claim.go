package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// maxClaim is the most that one script call claims: Lua's unpack is bounded at about 8,000 values.
const maxClaim = 1000

// Claim implements [store.Queue].
func (s *Store) Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	s.raise(ctx)
	if s.keys.partitions > 1 {
		return s.claimSeveral(ctx, now, limit, lease)
	}
	if err := s.claimable(ctx, 0); err != nil {
		return nil, err
	}
	ids, dues, err := s.lease(ctx, 0, now, min(limit, maxClaim), lease)
	if err != nil {
		return nil, err
	}
	return s.readClaims(ctx, ids, dues)
}

// lease takes up to n due tickets of a partition, and returns them with their due times.
func (s *Store) lease(
	ctx context.Context, p int, now time.Time, n int, lease time.Duration,
) (ids []ticket.ID, dues []time.Time, err error) {
	found, err := s.run(ctx, claimScript, p, []string{s.keys.dirty(p)}, millis(now), n, millis(now.Add(lease))).StringSlice()
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
func (s *Store) ClaimIDs(
	ctx context.Context, now time.Time, ids []ticket.ID, lease time.Duration,
) ([]store.Claim, error) {
	s.raise(ctx)
	if err := s.claimableOf(ctx, ids); err != nil {
		return nil, err
	}
	err := s.dueAt(ctx, []any{"XX"}, len(ids), func(i int) (ticket.ID, time.Time) { return ids[i], now.Add(lease) })
	if err != nil {
		return nil, link.Wrap("claim", err)
	}
	dues := make([]time.Time, len(ids))
	for i := range dues {
		dues[i] = now
	}
	return s.readClaims(ctx, ids, dues)
}

// readClaims reads what changed in the claimed tickets. Those that turn out to be clean or gone leave the index, and so do
// those whose keys hold something else by now: nothing of them is left that could be saved.
func (s *Store) readClaims(ctx context.Context, ids []ticket.ID, dues []time.Time) ([]store.Claim, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	hashes, err := s.changes(ctx, ids)
	if err != nil {
		return nil, link.Wrap("claim", err)
	}
	if err := s.withVanished(ctx, ids, hashes); err != nil {
		return nil, err
	}
	claims := make([]store.Claim, 0, len(ids))
	var stale []store.Receipt
	for i, hash := range hashes {
		if hash == nil {
			_ = s.foreign(ids[i]) // reported; it is no matter of the other tickets'
		}
		c := claim(ids[i], hash, ticket.Revision(s.line.Load()))
		if len(c.Fields) == 0 && !c.Deleted {
			stale = append(stale, store.Receipt{ID: ids[i]})
			continue
		}
		c.Due = dues[i]
		c.Rest = func(ctx context.Context) (ticket.Fields, bool, error) { return s.rest(ctx, &c) }
		s.opts.Clock.Observe(c.Revision)
		claims = append(claims, c)
	}
	if len(stale) > 0 {
		return s.withoutOwed(claims), s.Ack(ctx, stale)
	}
	return s.withoutOwed(claims), nil
}

// changes reads the pending changes of tickets in one round trip, as changes.lua returns them. A ticket whose key holds no hash
// has nil, and a ticket that is not held an empty map.
func (s *Store) changes(ctx context.Context, ids []ticket.ID) ([]map[string]string, error) {
	var calls []guardedCall
	var parts [][]int
	for p, indexes := range s.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		for part := range slices.Chunk(indexes, maxTickets) {
			names := make([]string, len(part))
			for i, at := range part {
				names[i] = s.keys.ticket(ids[at])
			}
			calls, parts = append(calls, guardedCall{p, names, nil}), append(parts, part)
		}
	}
	hashes := make([]map[string]string, len(ids))
	for i, reply := range s.runPiped(ctx, changesScript, calls) {
		lists, err := reply.Slice()
		if err != nil {
			return nil, err
		}
		for j, at := range parts[i] {
			hashes[at] = pairs(lists[j])
		}
	}
	s.mend(ctx, ids, hashes)
	return hashes, nil
}

// pairs makes a map of a list of names and values; nil of anything else.
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
func (s *Store) rest(ctx context.Context, c *store.Claim) (fields ticket.Fields, whole bool, err error) {
	hashes, err := s.hashes(ctx, []ticket.ID{c.ID})
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

// claim takes what changed out of a hash. Of changes from before line, which this Redis may have gone back to, only the oldest
// are taken.
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
	for name := range hash {
		field, marked := strings.CutPrefix(name, markPrefix)
		switch {
		case !marked, revision(hash[name]) < moot:
		case field == fieldGone:
			c.Deleted = c.Deleted || revision(hash[name]) <= c.Revision
		case strings.HasPrefix(field, reserved): // another program's: no ticket has such a field
		default:
			value := ticket.Null
			if text, set := hash[field]; set {
				value = ticket.Text(text)
			}
			c.All = append(c.All, ticket.Field{Name: field, Value: value})
			if c.Partial && revision(hash[name]) <= c.Revision {
				c.Fields = append(c.Fields, ticket.Field{Name: field, Value: value})
			}
		}
	}
	if !c.Partial {
		c.Fields = c.All
	}
	return c
}

// confirmed says whether a hash holds fields that have not changed since they were flushed or read, or the whole ticket.
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

// mootBefore returns the revision of a deletion that waits, 0 without one. What an earlier version left beside it, changed
// before, is not to arrive any more.
func mootBefore(hash map[string]string) ticket.Revision { return revision(hash[markPrefix+fieldGone]) }

// oldestChange returns the lowest revision among the marks of what changed; 0 if there are no marks.
func oldestChange(hash map[string]string) ticket.Revision {
	var oldest ticket.Revision
	moot := mootBefore(hash)
	for name, value := range hash {
		r := revision(value)
		if strings.HasPrefix(name, markPrefix) && name != markPrefix+fieldNew && r >= moot && (oldest == 0 || r < oldest) {
			oldest = r
		}
	}
	return oldest
}

// score reads a due time as the index keeps it.
func score(s string) time.Time {
	ms, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
