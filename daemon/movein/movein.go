package movein

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/sync/table"
)

const (
	// page is how many hashes are read at a time, and how many tickets one request to the daemon carries at most.
	page = 250
	// maxBytes bounds the values of one request, well below [protocol.MaxPayload].
	maxBytes = 1 << 20
)

// Tickets is what the daemon does for it.
type Tickets interface {
	GetMany(ctx context.Context, ids []int64) (protocol.GetManyResult, error)
	SetMany(ctx context.Context, tickets []protocol.TicketFields, requestID string) ([]protocol.SetOutcome, error)
}

// Owner takes over hashes under the site's own names.
type Owner interface {
	// Key is the name of a ticket's hash.
	Key(id ticket.ID) string
	TakeOver(ctx context.Context, ids []ticket.ID) []error
}

// Options say what is taken over, and how.
type Options struct {
	// Source is the Redis database with the hashes; Prefix is what stands before the id in their names.
	Source goredis.UniversalClient
	Prefix string
	// Own takes over the hashes that are the site's own keys; nil where Source is another database.
	Own Owner
	// Definition is the tickets table's.
	Definition *table.Definition
	Tickets    Tickets
	// DryRun changes nothing.
	DryRun bool
	// Overwrite sets tickets that exist already with other values.
	Overwrite bool
	// Refuse receives each field because of which a hash stays where it is.
	Refuse func(Refusal) error
	// Progress receives the counts so far after each page.
	Progress func(Summary)
}

// Refusal is why one hash was not taken over.
type Refusal struct {
	ID     ticket.ID `json:"id"`
	Key    string    `json:"key"`
	Field  string    `json:"field,omitempty"`
	Reason string    `json:"reason"`
}

// Summary counts hashes by what became of them.
type Summary struct {
	// Adopted where they lie; Set through the daemon.
	Adopted, Set int
	// Unchanged exist in ticketd with the same values; Ours are ticketd's own.
	Unchanged, Ours int
	Refused         int
	// Highest is the highest id among those that are ticketd's now, and those that can be corrected and taken over later.
	Highest ticket.ID
}

// Looked is how many hashes were looked at.
func (s *Summary) Looked() int { return s.Adopted + s.Set + s.Unchanged + s.Ours + s.Refused }

// run is one import under way.
type run struct {
	Options

	sum  Summary
	seen map[ticket.ID]bool // SCAN may return a key twice
}

// found is one hash that is to be taken over.
type found struct {
	id     ticket.ID
	key    string
	fields ticket.Fields
}

// Run takes over all hashes. What was taken over before an error stays taken over.
func Run(ctx context.Context, o Options) (Summary, error) {
	r := &run{Options: o, seen: make(map[ticket.ID]bool)}
	err := scan(ctx, o.Source, o.Prefix, func(names []string) error {
		for part := range slices.Chunk(names, page) {
			if err := r.page(ctx, part); err != nil {
				return err
			}
			o.Progress(r.sum)
		}
		return nil
	})
	return r.sum, err
}

// scan calls f with the names of the keys, each master's once.
func scan(ctx context.Context, client goredis.UniversalClient, prefix string, f func([]string) error) error {
	pattern := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(prefix) + "*"
	one := func(ctx context.Context, master goredis.Cmdable) error {
		var cursor uint64
		for {
			names, next, err := master.Scan(ctx, cursor, pattern, 1000).Result()
			if err != nil {
				return fmt.Errorf("SCAN: %w", err)
			}
			if err := f(names); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	cluster, several := client.(*goredis.ClusterClient)
	if !several {
		return one(ctx, client)
	}
	var turn sync.Mutex // one master after the other
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		turn.Lock()
		defer turn.Unlock()
		return one(ctx, master)
	})
}

// page takes over the hashes of some keys.
func (r *run) page(ctx context.Context, names []string) error {
	hashes, err := r.read(ctx, names)
	if err != nil {
		return err
	}
	var others []found
	bytes := 0
	for _, h := range hashes {
		if r.Own != nil && r.Own.Key(h.id) == h.key {
			if err := r.adopt(ctx, &h); err != nil {
				return err
			}
			continue
		}
		size := 0
		for _, f := range h.fields {
			size += len(f.Name) + len(f.Value.Text())
		}
		if len(others) > 0 && bytes+size > maxBytes {
			if err := r.send(ctx, others); err != nil {
				return err
			}
			others, bytes = nil, 0
		}
		others, bytes = append(others, h), bytes+size
	}
	return r.send(ctx, others)
}

// read reads the hashes of tickets and makes tickets of them.
func (r *run) read(ctx context.Context, names []string) ([]found, error) {
	var all []found
	for _, name := range names {
		id, err := ticket.ParseID(strings.TrimPrefix(name, r.Prefix))
		if err != nil || r.seen[id] {
			continue // an index, a lock: no ticket
		}
		r.seen[id] = true
		all = append(all, found{id: id, key: name})
	}
	if len(all) == 0 {
		return nil, nil
	}
	commands := make([]*goredis.MapStringStringCmd, len(all))
	_, err := r.Source.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for i := range all {
			commands[i] = pipe.HGetAll(ctx, all[i].key)
		}
		return nil
	})
	if err != nil && !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		return nil, fmt.Errorf("HGETALL: %w", err)
	}
	var taken []found
	for i, command := range commands {
		hash, err := command.Result()
		good, err := r.judge(&all[i], hash, err)
		if err != nil {
			return nil, err
		}
		if good {
			taken = append(taken, all[i])
		}
	}
	return taken, nil
}

// judge makes the fields of a hash, and says whether the table takes all of them.
func (r *run) judge(h *found, hash map[string]string, failed error) (good bool, err error) {
	_, ours := hash["_rev"]
	switch {
	case failed != nil:
		return false, r.refuse(h, "", "the key holds no hash")
	case len(hash) == 0: // it went since the scan
		return false, nil
	case ours && r.Own != nil:
		r.sum.Ours++
		r.sum.Highest = max(r.sum.Highest, h.id)
		return false, nil
	case ours:
		return false, r.refuse(h, "", "the hash is a ticket of another ticketd; point that ticketd's site at this database instead")
	}
	fields, refused := r.Definition.Adopt(h.id, redis.Unpack(hash))
	if len(refused) > 0 {
		for _, field := range refused[1:] {
			if err := r.Refuse(Refusal{ID: h.id, Key: h.key, Field: field.Field, Reason: field.Reason}); err != nil {
				return false, err
			}
		}
		r.sum.Highest = max(r.sum.Highest, h.id)
		return false, r.refuse(h, refused[0].Field, refused[0].Reason)
	}
	if h.fields = fields; len(fields) == 0 {
		return false, r.refuse(h, "", "the hash has no field for the table")
	}
	if len(fields) > protocol.MaxFields {
		return false, r.refuse(h, "", fmt.Sprintf("the hash has %d fields; a ticket takes %d", len(fields), protocol.MaxFields))
	}
	return true, nil
}

// refuse counts a hash that stays as it is.
func (r *run) refuse(h *found, field, reason string) error {
	r.sum.Refused++
	return r.Refuse(Refusal{ID: h.id, Key: h.key, Field: field, Reason: reason})
}

// adopt takes over a hash where it lies.
func (r *run) adopt(ctx context.Context, h *found) error {
	if !r.DryRun {
		if err := r.Own.TakeOver(ctx, []ticket.ID{h.id})[0]; err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return r.refuse(h, "", err.Error())
		}
	}
	r.sum.Adopted++
	r.sum.Highest = max(r.sum.Highest, h.id)
	return nil
}
