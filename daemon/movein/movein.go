package movein

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/sync/table"
)

const (
	// page is how many hashes are read at a time, and the most tickets of a request to the daemon.
	page = 250
	// maxBytes bounds the values of one request, well below [protocol.MaxPayload].
	maxBytes = 1 << 20
)

// Tickets is the daemon's client.
type Tickets interface {
	Check(ctx context.Context, entries []protocol.CheckEntry) ([]protocol.CheckOutcome, error)
	SetMany(ctx context.Context, tickets []protocol.TicketFields, requestID string) ([]protocol.SetOutcome, error)
}

// Owner takes over hashes under the site's own names.
type Owner interface {
	// Key returns the name of a ticket's hash.
	Key(id ticket.ID) string
	TakeOver(ctx context.Context, ids []ticket.ID) []error
	// MayTakeOver says what TakeOver would answer.
	MayTakeOver(ctx context.Context, ids []ticket.ID) []error
}

// Options say which hashes are taken over, and how.
type Options struct {
	// Source is the Redis database with the hashes; Prefix stands before the id in their names.
	Source goredis.UniversalClient
	Prefix string
	// Own takes over hashes that are the site's own keys; nil if Source is another database.
	Own Owner
	// Definition is the tickets table's definition.
	Definition *table.Definition
	Tickets    Tickets
	// DryRun changes nothing, and asks the same as an import does.
	DryRun bool
	// Overwrite sets existing tickets that have other values.
	Overwrite bool
	// Refuse receives each field that keeps a hash from being taken over.
	Refuse func(Refusal) error
	// Progress receives the counts so far after each page.
	Progress func(Summary)
}

// Refusal is why a hash was not taken over.
type Refusal struct {
	ID     ticket.ID `json:"id"`
	Key    string    `json:"key"`
	Field  string    `json:"field,omitempty"`
	Reason string    `json:"reason"`
}

// Summary counts hashes by outcome.
type Summary struct {
	// Adopted in place; Created and Changed through the daemon.
	Adopted, Created, Changed int
	// Unchanged hashes exist in ticketd with the same values; Ours are ticketd's own.
	Unchanged, Ours int
	Refused         int
	// Highest is the highest id of the tickets that ticketd has now, and of hashes that can be corrected and taken over later.
	Highest ticket.ID
}

// Looked returns how many hashes were examined.
func (s *Summary) Looked() int {
	return s.Adopted + s.Created + s.Changed + s.Unchanged + s.Ours + s.Refused
}

// run is an import under way.
type run struct {
	Options

	sum  Summary
	seen map[ticket.ID]bool // SCAN may return a key twice
}

// found is a hash to take over.
type found struct {
	id     ticket.ID
	key    string
	fields ticket.Fields
}

// Run takes over all hashes. After an error, hashes taken over before stay taken over.
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

// scan calls f with the names of the keys, once for each master.
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
	var turn sync.Mutex // f runs for a single master at a time
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		turn.Lock()
		defer turn.Unlock()
		return one(ctx, master)
	})
}

// page takes over the hashes of the given keys.
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

// read reads hashes and converts them to tickets.
func (r *run) read(ctx context.Context, names []string) ([]found, error) {
	var all []found
	for _, name := range names {
		id, err := ticket.ParseID(strings.TrimPrefix(name, r.Prefix))
		if err != nil || r.seen[id] {
			continue // not a ticket but an index or a lock
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

// judge converts the fields of a hash, and returns whether the table accepts all of them.
func (r *run) judge(h *found, hash map[string]string, failed error) (good bool, err error) {
	_, ours := hash["_rev"]
	switch {
	case failed != nil:
		return false, r.refuse(h, "", "the key holds no hash")
	case len(hash) == 0: // removed since the scan
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

// refuse counts and reports a hash that stays unchanged.
func (r *run) refuse(h *found, field, reason string) error {
	r.sum.Refused++
	return r.Refuse(Refusal{ID: h.id, Key: h.key, Field: field, Reason: reason})
}

// adopt takes over a hash in place.
func (r *run) adopt(ctx context.Context, h *found) error {
	take := r.Own.TakeOver
	if r.DryRun {
		take = r.Own.MayTakeOver
	}
	if err := take(ctx, []ticket.ID{h.id})[0]; err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return r.refuse(h, "", err.Error())
	}
	r.sum.Adopted++
	r.sum.Highest = max(r.sum.Highest, h.id)
	return nil
}

// The pauses between tries while the daemon cannot take tickets; each pause doubles, about 25 s in total.
const (
	tries      = 8
	firstPause = 200 * time.Millisecond
)

// send asks the daemon about tickets and sets those that change, except existing tickets with other values.
func (r *run) send(ctx context.Context, hashes []found) error {
	if len(hashes) == 0 {
		return nil
	}
	entries := make([]protocol.CheckEntry, len(hashes))
	for i := range hashes {
		entries[i] = protocol.CheckEntry{ID: int64(hashes[i].id), Fields: toWire(&hashes[i])}
	}
	var met []protocol.CheckOutcome
	err := again(ctx, func() (err error) {
		met, err = r.Tickets.Check(ctx, entries)
		return errors.Join(err, passing(met))
	})
	if err != nil {
		return fmt.Errorf("asking the daemon about tickets: %w", err)
	}
	var created, changed []found
	for i := range hashes {
		h, m := &hashes[i], &met[i]
		switch {
		case m.Err != nil:
			err = r.refuse(h, m.Err.Field, m.Err.Message)
		case m.Revision == 0:
			created = append(created, *h)
		case len(m.Differs) == 0:
			r.sum.Unchanged++
			r.sum.Highest = max(r.sum.Highest, h.id)
		case !r.Overwrite:
			err = r.refuse(h, m.Differs[0], "the ticket exists and differs in "+strings.Join(m.Differs, ", ")+
				"; --overwrite takes the hash's values")
		default:
			changed = append(changed, *h)
		}
		if err != nil {
			return err
		}
	}
	if err := r.set(ctx, created, &r.sum.Created); err != nil {
		return err
	}
	return r.set(ctx, changed, &r.sum.Changed)
}

// passing returns the first refusal that may be none later.
func passing(outcomes []protocol.CheckOutcome) error {
	for i := range outcomes {
		if err := outcomes[i].Err; err != nil && err.Retryable {
			return err
		}
	}
	return nil
}

// set sets tickets and counts them.
func (r *run) set(ctx context.Context, hashes []found, count *int) error {
	if r.DryRun {
		*count += len(hashes)
		return nil
	}
	if len(hashes) == 0 {
		return nil
	}
	tickets := make([]protocol.TicketFields, len(hashes))
	for i := range hashes {
		tickets[i] = protocol.TicketFields{ID: int64(hashes[i].id), Fields: toWire(&hashes[i])}
	}
	var outcomes []protocol.SetOutcome
	err := again(ctx, func() (err error) { // setting the same values again does no harm
		outcomes, err = r.Tickets.SetMany(ctx, tickets, "")
		return err
	})
	if err != nil {
		return fmt.Errorf("sending tickets to the daemon: %w", err)
	}
	for i, outcome := range outcomes {
		if outcome.Err != nil {
			if err := r.refuse(&hashes[i], outcome.Err.Field, outcome.Err.Message); err != nil {
				return err
			}
			continue
		}
		*count++
		r.sum.Highest = max(r.sum.Highest, hashes[i].id)
	}
	return nil
}

// again calls f until the daemon can answer.
func again(ctx context.Context, f func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := f()
		var refused *protocol.Error
		if err == nil || try == tries || !errors.As(err, &refused) || !refused.Retryable || refused.Closing {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func toWire(h *found) []protocol.Field {
	fields := make([]protocol.Field, len(h.fields))
	for i, f := range h.fields {
		fields[i] = protocol.Field{Name: f.Name, Value: protocol.Null}
		if !f.Value.IsNull() {
			fields[i].Value = protocol.Text(f.Value.Text())
		}
	}
	return fields
}
