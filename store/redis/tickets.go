package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// tickets reads the hashes of tickets, and completes clean hashes.
type tickets struct {
	*site

	recall *recall
}

// isOdd says that a ticket's hash has an impossible revision, which another program has written. Later revisions of the site
// would have to be above that revision.
func isOdd(hash map[string]string) bool {
	for name, value := range hash {
		mark := strings.HasPrefix(name, markPrefix)
		if name != fieldRevision && !mark {
			continue
		}
		_, err := ticket.ParseRevision(value)
		if err != nil && (!mark || strings.Trim(value, "0123456789") == "") { // what is no number is no mark of ours
			return true
		}
	}
	return false
}

// mend gives tickets with odd hashes a revision above all other revisions, as their fields may be pending, and returns the new
// hashes. A hash that mend cannot change now stays as it is: revision reads its revision as the lowest.
func (t *tickets) mend(ctx context.Context, ids []ticket.ID, hashes []map[string]string) {
	for i, hash := range hashes {
		if !isOdd(hash) {
			continue
		}
		key, p := t.keys.ticket(ids[i]), t.keys.partition(ids[i])
		if t.opts.OnOdd != nil {
			t.opts.OnOdd(key)
		}
		given, err := t.run(ctx, mendScript, p, []string{key, t.keys.meta(p)}, int64(t.opts.Clock.Propose())).Int64()
		if err != nil || given == 0 {
			continue
		}
		t.opts.Clock.Observe(ticket.Revision(given))
		if again, err := t.client.HGetAll(ctx, key).Result(); err == nil {
			hashes[i] = again
		}
	}
}

// The reserved fields of a ticket's hash; doc.go explains each.
const (
	reserved      = "_"
	fieldRevision = "_rev"
	fieldDirty    = "_dirty"
	fieldFull     = "_full"
	fieldGone     = "_gone"
	fieldNew      = "_new" // in a mark alone
	fieldBorn     = "_born"
	fieldDead     = "_dead"
	fieldLine     = "_line"
	fieldHad      = "_had"
	fieldClean    = "_clean" // in a reply of changes.lua alone: the hash holds fields that have not changed
	markPrefix    = "_d:"
)

// records makes records of hashes, and reports keys with no hash and hashes of another program.
func (t *tickets) records(ids []ticket.ID, hashes []map[string]string) []store.Record {
	records := make([]store.Record, len(ids))
	for i, hash := range hashes {
		records[i] = record(ids[i], hash)
		if hash == nil {
			records[i].Err = t.foreign(ids[i])
		} else if records[i].Stray != nil {
			t.stray(ids[i])
		}
		t.opts.Clock.Observe(records[i].Revision)
	}
	return records
}

// hashes reads whole tickets in one round trip. The map is nil for a ticket whose key holds no hash, and empty for a ticket that
// the store does not hold.
func (t *tickets) hashes(ctx context.Context, ids []ticket.ID) ([]map[string]string, error) {
	commands := make([]*goredis.MapStringStringCmd, len(ids))
	if err := t.read(ctx, t.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			commands[i] = pipe.HGetAll(ctx, t.keys.ticket(id))
		}
	}); err != nil && !link.IsForeign(err) {
		return nil, err
	}
	hashes := make([]map[string]string, len(ids))
	for i, command := range commands {
		hash, err := command.Result()
		switch {
		case err == nil:
			hashes[i] = hash
		case !link.IsForeign(err):
			return nil, err
		}
	}
	t.mend(ctx, ids, hashes)
	return hashes, nil
}

func record(id ticket.ID, hash map[string]string) store.Record {
	if isStray(hash) {
		return store.Record{ID: id, Stray: Unpack(hash)}
	}
	r := store.Record{
		ID:       id,
		Revision: revision(hash[fieldRevision]),
		Full:     hash[fieldFull] != "",
		Deleted:  hash[fieldGone] != "",
		Dirty:    hash[fieldDirty] != "",
		Created:  revision(hash[markPrefix+fieldNew]),
		Born:     revision(hash[fieldBorn]),
		Had:      hash[fieldHad] != "",
		Fields:   make(ticket.Fields, 0, len(hash)),
	}
	if ms, err := strconv.ParseInt(hash[fieldDirty], 10, 64); err == nil {
		r.Since = time.UnixMilli(ms)
	}
	for name := range hash {
		field, marked := strings.CutPrefix(name, markPrefix)
		if !marked || strings.HasPrefix(field, reserved) {
			continue
		}
		value := ticket.Null
		if text, set := hash[field]; set {
			value = ticket.Text(text)
		}
		r.Fields = append(r.Fields, ticket.Field{Name: field, Value: value})
	}
	r.Changed = len(r.Fields)
	for name, value := range hash {
		if strings.HasPrefix(name, reserved) {
			continue
		}
		if _, marked := hash[markPrefix+name]; !marked {
			r.Fields = append(r.Fields, ticket.Field{Name: name, Value: ticket.Text(value)})
		}
	}
	return r
}

// revision reads a stored revision. Text that is no number counts as no revision, and a number that no revision can be as the
// lowest: see mend.
func revision(s string) ticket.Revision {
	if s == "" { // mostly a mark that the hash does not have
		return 0
	}
	r, err := ticket.ParseRevision(s)
	if err != nil && strings.Trim(s, "0123456789") == "" {
		return 1
	}
	return r
}

// Fill implements [store.Tickets].
func (t *tickets) Fill(ctx context.Context, rows []store.Record, bases []ticket.Revision) error {
	calls := make([]guardedCall, len(rows))
	for i := range rows {
		calls[i] = guardedCall{t.keys.partition(rows[i].ID), t.fillKeys(rows[i].ID), t.fillArgs(&rows[i], bases[i])}
	}
	replies := t.runPiped(ctx, fillScript, calls)
	var vanished []ticket.ID
	for i, reply := range replies {
		if n, _ := reply.Int(); n == fillVanished {
			vanished = append(vanished, rows[i].ID)
		}
	}
	err := link.Wrap("fill", firstErr(replies))
	if len(vanished) > 0 {
		err = errors.Join(err, t.recall.bringBack(ctx, vanished))
	}
	return err
}

// fillVanished is the reply of fill.lua for a pending ticket whose hash another program has deleted.
const fillVanished = 2

func (t *tickets) fillKeys(id ticket.ID) []string {
	p := t.keys.partition(id)
	return []string{t.keys.ticket(id), t.keys.meta(p), t.keys.graves(id), t.keys.dirty(p), t.keys.dead(p)}
}

func (t *tickets) fillArgs(row *store.Record, base ticket.Revision) []any {
	deleted := 0
	if row.Deleted {
		deleted = 1
	}
	args := []any{int64(base), int64(row.Revision), deleted, t.opts.CleanTTL.Milliseconds(), int64(row.ID)}
	for _, f := range row.Fields {
		if !f.Value.IsNull() {
			args = append(args, f.Name, f.Value.Text())
		}
	}
	return args
}

// Bury implements [store.Tickets].
func (t *tickets) Bury(ctx context.Context, ids []ticket.ID) error {
	buckets := map[string]int{} // the index of a bucket's call
	var calls []guardedCall
	for _, id := range ids {
		key := t.keys.graves(id)
		at, known := buckets[key]
		if !known {
			at = len(calls)
			p := t.keys.partition(id)
			buckets[key], calls = at, append(calls, guardedCall{p, []string{key, t.keys.meta(p)}, nil})
		}
		calls[at].args = append(calls[at].args, int64(id))
	}
	return link.Wrap("bury", firstErr(t.runPiped(ctx, buryScript, calls)))
}

// known returns a ticket's hash without the fields in doubt. A clean field still proves that the sink had the ticket. No field is
// in doubt where the sink does not have the ticket's create.
func known(hash map[string]string) map[string]string {
	if hash[markPrefix+fieldNew] != "" {
		return hash
	}
	for name := range hash {
		_, dirty := hash[markPrefix+name]
		clean := !strings.HasPrefix(name, reserved) && !dirty
		if clean {
			hash[fieldHad] = "1"
		}
		if clean || name == fieldFull {
			delete(hash, name)
		}
	}
	return hash
}

// Get implements [store.Tickets]: one round trip, and one more round trip after a change of Redis' process.
func (t *tickets) Get(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	for {
		before := t.generations(ids)
		lines, err := t.recall.doubted(ctx, ids)
		if err != nil {
			return nil, link.Wrap("get", err)
		}
		hashes, err := t.hashes(ctx, ids)
		if err != nil {
			return nil, link.Wrap("get", err)
		}
		if t.generations(ids) != before {
			continue // the answer may come from a process that this daemon did not know yet
		}
		for i, hash := range hashes {
			if line, doubt := lines[t.keys.partition(ids[i])]; doubt && !isStray(hash) && hash[fieldLine] != line {
				hashes[i] = known(hash)
			}
		}
		records := t.records(ids, hashes)
		for i := range records { // a pending change may be older than a change that another daemon has still to apply again
			records[i].Behind = records[i].Behind || records[i].Dirty && t.recall.kept[t.keys.partition(ids[i])].isBefore(&records[i])
		}
		return records, nil
	}
}

// generations sums the generations of the tickets' partitions, to notice a change of process in between.
func (t *tickets) generations(ids []ticket.ID) (sum int) {
	for _, p := range t.partitionsOf(ids) {
		generation, _ := t.recall.kept[p].sending()
		sum += generation
	}
	return sum
}
