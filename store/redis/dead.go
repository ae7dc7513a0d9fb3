package redis

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/redis/link"
)

// deadLetters are the tickets that the sink refuses.
type deadLetters struct {
	*site

	recall  *recall
	tickets *tickets
}

// Letters implements [store.DeadLetters]. Letters reads the ids of all dead letters, as the index is sorted by time: dead letters
// are few, and an operator reads them.
func (d *deadLetters) Letters(ctx context.Context, after ticket.ID, limit int) ([]ticket.Letter, error) {
	ids, err := d.deadIDs(ctx, after)
	if err != nil {
		return nil, link.Wrap("dead letters", err)
	}
	var letters []ticket.Letter
	for len(ids) > 0 && len(letters) < limit {
		n := min(limit-len(letters), len(ids), maxClaim)
		hashes, err := d.tickets.hashes(ctx, ids[:n])
		if err != nil {
			return nil, link.Wrap("dead letters", err)
		}
		for i, hash := range hashes {
			if l, dead := readLetter(ids[i], hash); dead {
				letters = append(letters, l)
			}
		}
		ids = ids[n:]
	}
	return letters, nil
}

// deadIDs returns the dead letters above an id, sorted.
func (d *deadLetters) deadIDs(ctx context.Context, after ticket.ID) ([]ticket.ID, error) {
	var ids []ticket.ID
	for p := range d.keys.partitions {
		var members *goredis.StringSliceCmd
		err := d.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { members = pipe.ZRange(ctx, d.keys.dead(p), 0, -1) })
		if err != nil {
			return nil, err
		}
		for _, member := range members.Val() {
			if id, err := ticket.ParseID(member); err == nil && id > after {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// readLetter reads a dead letter from the ticket's hash; false where a write has revived the ticket since.
func readLetter(id ticket.ID, hash map[string]string) (ticket.Letter, bool) {
	text, dead := hash[fieldDead]
	if !dead {
		return ticket.Letter{}, false
	}
	var l letter
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		l.Reason = "the reason cannot be read: " + err.Error() // it is dead all the same, and can be retried or dropped
	}
	c := claim(id, hash, 0)
	of := ticket.Letter{
		ID: id, Revision: c.Revision, Oldest: oldestChange(hash), Code: l.Code, Reason: l.Reason, At: l.At,
		Fields: c.Fields, Deleted: c.Deleted,
	}
	if c.Created != 0 {
		of.Oldest = 0
	}
	return of, true
}

// Retry implements [store.DeadLetters].
func (d *deadLetters) Retry(ctx context.Context, now time.Time, ids []ticket.ID) (int, error) {
	n, err := d.countEach(ctx, retryScript, true, []any{millis(now)}, ids)
	return n, link.Wrap("retry", err)
}

// Drop implements [store.DeadLetters].
func (d *deadLetters) Drop(ctx context.Context, ids []ticket.ID) (int, error) {
	dropped := 0
	for p, indexes := range d.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		for part := range slices.Chunk(indexes, maxTickets) {
			names := []string{d.keys.dirty(p), d.keys.dead(p), d.keys.meta(p), d.keys.feed(p)}
			args := append(make([]any, 0, 1+len(part)), time.Now().UnixMicro())
			for _, at := range part {
				names = append(names, d.keys.ticket(ids[at]), d.keys.graves(ids[at]))
				args = append(args, int64(ids[at]))
			}
			n, err := d.run(ctx, dropScript, p, names, args...).Int()
			if err != nil {
				return dropped, link.Wrap("drop", err)
			}
			dropped += n
			d.forgetKept(p, ids, part)
		}
	}
	return dropped, nil
}

// forgetKept forgets the kept changes of tickets that were given up.
func (d *deadLetters) forgetKept(p int, ids []ticket.ID, indexes []int) {
	of := make([]ticket.ID, len(indexes))
	for i, at := range indexes {
		of[i] = ids[at]
	}
	d.recall.kept[p].forget(of)
}
