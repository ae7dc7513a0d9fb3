package boot

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/sync/table"
)

// strayShare bounds the cost of counting: the pause after a count is strayShare times as long as the count took, and at least
// [inspectEvery].
const strayShare = 100

// strays knows how many hashes of another program are under a site's key names. strays counts at the start, and again while such
// hashes exist or after a request met such a hash: a count reads all keys, about 100 ms for 100,000 keys in small steps, and a
// site without such hashes pays for a single count.
type strays struct {
	count  atomic.Int64
	asides atomic.Int64 // hashes that were set aside, because the tickets are newer
	met    atomic.Bool
	loop   lifecycle.Loop

	mu sync.Mutex
	// key and refused are the key of the last hash that could not be taken over, and the reason; empty if every hash could.
	key, refused string
}

// Start counts until Stop. prefix is the site's.
func (s *strays) Start(ctx context.Context, count func(context.Context) (Strays, error)) {
	s.met.Store(true)
	s.loop.Start(ctx, func(ctx context.Context) {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			began := time.Now()
			if s.met.Swap(false) || s.count.Load() > 0 || s.asides.Load() > 0 {
				s.recount(ctx, count)
			}
			timer.Reset(max(inspectEvery, strayShare*time.Since(began)))
		}
	})
}

func (s *strays) recount(ctx context.Context, count func(context.Context) (Strays, error)) {
	found, err := count(ctx)
	if err != nil { // Redis is unreachable, as its watch reports
		s.met.Store(true)
		return
	}
	s.count.Store(found.Waiting)
	s.asides.Store(found.Aside)
	if found.Waiting == 0 {
		s.refuse("", "")
	}
}

// Stop ends the counting.
func (s *strays) Stop(ctx context.Context) error {
	return s.loop.Stop(ctx, "counter of other programs' hashes")
}

// meet records that a request met such a hash.
func (s *strays) meet(string) {
	if s.count.Load() == 0 {
		s.count.Store(1)
	}
	s.met.Store(true)
}

// refuse records why a hash stays unchanged.
func (s *strays) refuse(key, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.refused = key, reason
}

// take records that a hash is about to be taken over.
func (s *strays) take(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == key {
		s.key, s.refused = "", ""
	}
	if n := s.count.Load(); n > 0 {
		s.count.Store(n - 1)
	}
}

// setAside records that a hash was set aside.
func (s *strays) setAside() {
	s.asides.Add(1)
	s.met.Store(true)
}

// AsideText says that hashes were set aside, and how to proceed.
func AsideText(n int64, prefix string) string {
	return fmt.Sprintf("%d hashes of another program were older than their tickets, as Redis went back in time or the program "+
		"still writes them, and were set aside (%sticket:aside:…): the tickets in MySQL count; look at the hashes, then delete "+
		"them", n, prefix)
}

// warnings names the hashes, and how to proceed.
func (s *strays) warnings(prefix string) []string {
	var found []string
	if n := s.asides.Load(); n > 0 {
		found = append(found, AsideText(n, prefix))
	}
	n := s.count.Load()
	if n == 0 {
		return found
	}
	found = append(found, fmt.Sprintf("%d hashes of another program have names of tickets in Redis (%sticket:…): tickets that "+
		"MySQL does not have yet, as far as ticketd knows; 'ticketd import redis' takes over these hashes", n, prefix))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != "" {
		found = append(found, s.refused)
	}
	return found
}

// Strays counts hashes of another program: Waiting under the names of tickets, Aside set aside.
type Strays struct{ Waiting, Aside int64 }

// CountStrays counts the hashes of another program under a store's names.
func CountStrays(ctx context.Context, s *redis.Store) (n Strays, err error) {
	err = s.Strays(ctx, func(ids []ticket.ID) error {
		n.Waiting += int64(len(ids))
		return nil
	})
	if err == nil {
		n.Aside, err = s.Asides(ctx)
	}
	return n, err
}

// convert makes a ticket of another program's hash, with values that the table accepts, or refuses the whole hash: taking over a
// part would delete the rest. If ticketd has written the ticket's row, the hash is older than the row ([redis.ErrOlder]): Redis
// has gone back to a time before the hash was taken over, or the other program still writes under the key. overwrite makes the
// hash count nevertheless.
func convert(
	ctx context.Context, db site.Database, overwrite bool, key string, id ticket.ID, stray ticket.Fields,
) (ticket.Fields, error) {
	d := db.Definition()
	if d == nil {
		return nil, fmt.Errorf("the Redis hash %q waits to be taken over: %w: the table's definition is not known yet", key,
			store.ErrUnavailable)
	}
	rows, err := db.Rows(ctx, []ticket.ID{id})
	if err != nil {
		return nil, fmt.Errorf("the Redis hash %q waits to be taken over: %w: %w", key, store.ErrUnavailable, err)
	}
	if len(rows) > 0 && rows[0].Revision > 0 && !overwrite {
		return nil, fmt.Errorf("the Redis hash %q of another program: %w", key, redis.ErrOlder)
	}
	if len(stray) > redis.MaxStrayFields {
		return nil, &table.FieldError{Rule: table.RuleLength, Reason: fmt.Sprintf("the Redis hash %q, which another program wrote, "+
			"has %d fields and stays as it is, as a ticket takes over %d at most; delete fields there, then repeat the change", key,
			len(stray), redis.MaxStrayFields)}
	}
	taken, refused := d.Adopt(id, stray)
	if len(refused) > 0 {
		return nil, refusal(key, refused)
	}
	if len(taken) == 0 {
		return nil, &table.FieldError{Rule: table.RuleRequired, Reason: fmt.Sprintf("the Redis hash %q of another program has no "+
			"field for the table; delete the hash, or add a field", key)}
	}
	return taken, nil
}

// refusal is the error for a hash that stays unchanged: the error names each field with the reason, and has the first field as
// its Field.
func refusal(key string, refused []*table.FieldError) error {
	reasons := make([]string, len(refused))
	for i, r := range refused {
		reasons[i] = r.Field + ": " + r.Reason
	}
	return &table.FieldError{Field: refused[0].Field, Rule: refused[0].Rule, Reason: fmt.Sprintf("the Redis hash %q, which another "+
		"program wrote, cannot be taken over and stays unchanged (%s); correct the hash in Redis, then repeat the change", key,
		strings.Join(reasons, "; "))}
}
