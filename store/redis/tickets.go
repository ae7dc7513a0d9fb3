package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// The reserved fields of a ticket's hash; doc.go says what they mean.
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
	fieldClean    = "_clean" // in a reply of changes.lua alone: the hash holds fields that have not changed
	markPrefix    = "_d:"
)

// records are what the hashes hold.
func (s *Store) records(ids []ticket.ID, hashes []map[string]string) []store.Record {
	records := make([]store.Record, len(ids))
	for i, hash := range hashes {
		records[i] = record(ids[i], hash)
		if hash == nil {
			records[i].Err = s.foreign(ids[i])
		} else if records[i].Stray != nil {
			s.stray(ids[i])
		}
		s.opts.Clock.Observe(records[i].Revision)
	}
	return records
}

// hashes reads whole tickets in one round trip. It is nil for a ticket whose key holds something else, and empty for one that is
// not held.
func (s *Store) hashes(ctx context.Context, ids []ticket.ID) ([]map[string]string, error) {
	commands := make([]*goredis.MapStringStringCmd, len(ids))
	if err := s.read(ctx, s.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			commands[i] = pipe.HGetAll(ctx, s.keys.ticket(id))
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
	s.mend(ctx, ids, hashes)
	return hashes, nil
}

// foreign makes the error for a ticket whose key holds something else, and reports it.
func (s *Store) foreign(id ticket.ID) error {
	key := s.keys.ticket(id)
	if s.opts.OnForeign != nil {
		s.opts.OnForeign(key)
	}
	return fmt.Errorf("the Redis key %q is %w: something else uses this name; give the site a key_prefix of its own, or delete "+
		"the key", key, store.ErrForeign)
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
		Fields:   make(ticket.Fields, 0, len(hash)),
	}
	if ms, err := strconv.ParseInt(hash[fieldDirty], 10, 64); err == nil {
		r.Since = time.UnixMilli(ms)
	}
	for name, value := range hash {
		if field, marked := strings.CutPrefix(name, markPrefix); marked {
			if _, set := hash[field]; !set && !strings.HasPrefix(field, reserved) {
				r.Fields = append(r.Fields, ticket.Field{Name: field, Value: ticket.Null})
			}
		} else if !strings.HasPrefix(name, reserved) {
			r.Fields = append(r.Fields, ticket.Field{Name: name, Value: ticket.Text(value)})
		}
	}
	return r
}

// revision reads a stored revision; what is no number counts as none, and what no revision can be as the lowest: see mend.
func revision(s string) ticket.Revision {
	r, err := ticket.ParseRevision(s)
	if err != nil && strings.Trim(s, "0123456789") == "" && s != "" {
		return 1
	}
	return r
}

// Fill implements [store.Tickets].
func (s *Store) Fill(ctx context.Context, rows []store.Record, bases []ticket.Revision) error {
	calls := make([]guardedCall, len(rows))
	for i := range rows {
		calls[i] = guardedCall{s.keys.partition(rows[i].ID), s.fillKeys(rows[i].ID), s.fillArgs(&rows[i], bases[i])}
	}
	return link.Wrap("fill", firstErr(s.runPiped(ctx, fillScript, calls)))
}

func (s *Store) fillKeys(id ticket.ID) []string {
	return []string{s.keys.ticket(id), s.keys.meta(s.keys.partition(id)), s.keys.graves(id)}
}

func (s *Store) fillArgs(row *store.Record, base ticket.Revision) []any {
	deleted := 0
	if row.Deleted {
		deleted = 1
	}
	args := []any{int64(base), int64(row.Revision), deleted, s.opts.CleanTTL.Milliseconds(), int64(row.ID)}
	for _, f := range row.Fields {
		if !f.Value.IsNull() {
			args = append(args, f.Name, f.Value.Text())
		}
	}
	return args
}

// Bury implements [store.Tickets].
func (s *Store) Bury(ctx context.Context, ids []ticket.ID) error {
	buckets := map[string]int{} // which of the calls is the bucket's
	var calls []guardedCall
	for _, id := range ids {
		key := s.keys.graves(id)
		at, known := buckets[key]
		if !known {
			at = len(calls)
			p := s.keys.partition(id)
			buckets[key], calls = at, append(calls, guardedCall{p, []string{key, s.keys.meta(p)}, nil})
		}
		calls[at].args = append(calls[at].args, int64(id))
	}
	return link.Wrap("bury", firstErr(s.runPiped(ctx, buryScript, calls)))
}
