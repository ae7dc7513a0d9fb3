package redis_test

import (
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// Lua's bound on revisions is Go's.
func TestCeilingOfTheScripts(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("bounded.lua")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`ceiling = (\d+)`).FindSubmatch(source)
	if found == nil || string(found[1]) != ticket.Ceiling.String() {
		t.Errorf("bounded.lua has %q, want %v", found, ticket.Ceiling)
	}
}

// A number that another program has written in place of a revision does no harm: the ticket's changes get a revision above the
// other revisions, are flushed, and all later revisions stay unaffected.
func TestOddRevisions(t *testing.T) {
	t.Parallel()
	const odd = "9223372036854775807"
	for name, spoil := range map[string]func(prefix string) []any{
		"Revision": func(prefix string) []any { return []any{"HSET", prefix + "ticket:1", "_rev", odd} },
		"NoNumber": func(prefix string) []any { return []any{"HSET", prefix + "ticket:1", "_rev", "none"} },
		"NaN":      func(prefix string) []any { return []any{"HSET", prefix + "ticket:1", "_rev", "nan"} },
		"Mark":     func(prefix string) []any { return []any{"HSET", prefix + "ticket:1", "_d:status", odd} },
		"Highest":  func(prefix string) []any { return []any{"HSET", prefix + "ticket:meta", "rev", odd} },
		"Largest": func(prefix string) []any {
			return []any{"HSET", prefix + "ticket:1", "_rev", ticket.MaxRevision.String(), "_born", odd}
		},
	} {
		for _, first := range []string{"read", "write", "claim"} {
			t.Run(name+"/"+first, func(t *testing.T) {
				t.Parallel()
				server, prefix := testenv.SharedRedis(t)
				client := server.Client(t)
				var mu sync.Mutex
				var told []string
				s := open(t, client, redis.Options{Prefix: prefix, OnOdd: func(key string) {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, key)
				}})
				mustSet(t, s, 1, "status", "open")
				if err := client.Do(t.Context(), spoil(prefix)...).Err(); err != nil {
					t.Fatal(err)
				}
				switch first {
				case "read":
					record := get(t, s, 1)
					if v, _ := record.Fields.Get("status"); v.Text() != "open" || !record.Dirty || record.Revision > ticket.Ceiling {
						t.Errorf("read %+v", record)
					}
				case "write":
					if got := mustSet(t, s, 1, "subject", "hello"); got <= 1 || got > ticket.Ceiling {
						t.Errorf("revision %d", got)
					}
				default:
				}
				if err := s.Prepare(t.Context()); err != nil {
					t.Fatal(err)
				}
				claims, err := s.Claim(t.Context(), time.Now().Add(time.Hour), 10, time.Minute)
				if err != nil || len(claims) != 1 {
					t.Fatalf("claims %+v, %v", claims, err)
				}
				c := &claims[0]
				v, there := c.Fields.Get("status")
				if !there || v.Text() != "open" || c.Partial || c.Revision <= 1 || c.Revision > ticket.Ceiling {
					t.Errorf("claim %+v", c)
				}
				if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: c.Revision}}); err != nil {
					t.Fatal(err)
				}
				if record := get(t, s, 1); record.Dirty || record.Revision != c.Revision {
					t.Errorf("after the ack: %+v", record)
				}
				later, soon := mustSet(t, s, 2, "status", "open"), ticket.Revision(time.Now().Add(time.Minute).UnixMicro())
				if later <= c.Revision || later > soon {
					t.Errorf("another ticket's revision is %d after %d", later, c.Revision)
				}
				mu.Lock()
				defer mu.Unlock()
				if first != "write" && !slices.Contains(told, spoil(prefix)[1].(string)) { //nolint:forcetypeassert // see above
					t.Errorf("told of %v", told)
				}
			})
		}
	}
}

func get(t *testing.T, s *redis.Store, id ticket.ID) store.Record {
	t.Helper()
	records, err := s.Get(t.Context(), []ticket.ID{id})
	if err != nil || records[0].Err != nil {
		t.Fatal(err, records)
	}
	return records[0]
}
