package redis_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// owned is a store's options for a table of that identity.
func owned(prefix, identity string) redis.Options {
	return redis.Options{Prefix: prefix, Journal: "j-" + identity, Owner: func(context.Context) (redis.Owner, error) {
		return redis.Owner{Identity: identity, Former: "shop.wp_support_tickets"}, nil
	}}
}

// operations are all operations of a store.
func operations(s *redis.Store) map[string]func(context.Context) error {
	ids := []ticket.ID{1, 2}
	now, fields := time.Now().Add(time.Hour), ticket.Fields{{Name: "status", Value: ticket.Text("stranger's")}}
	create := store.Mutation{Kind: store.Create, ID: 9, Fields: fields, Proposed: 1, RequestID: "again"}
	return map[string]func(context.Context) error{
		"apply": func(ctx context.Context) error {
			outcomes, err := s.Apply(ctx, []store.Mutation{{Kind: store.Set, ID: 1, Fields: fields, Proposed: 1}, create})
			if err == nil {
				err = outcomes[0].Err
			}
			return err
		},
		"get": func(ctx context.Context) error { _, err := s.Get(ctx, ids); return err },
		"fill": func(ctx context.Context) error {
			return s.Fill(ctx, []store.Record{{ID: 3, Revision: 7, Full: true, Fields: fields}}, []ticket.Revision{0})
		},
		"claim":     func(ctx context.Context) error { _, err := s.Claim(ctx, now, 10, time.Minute); return err },
		"claim ids": func(ctx context.Context) error { _, err := s.ClaimIDs(ctx, now, ids, time.Minute); return err },
		"ack":       func(ctx context.Context) error { return s.Ack(ctx, []store.Receipt{{ID: 1, Revision: 1 << 52}}) },
		"release":   func(ctx context.Context) error { return s.Release(ctx, []store.Claim{{ID: 1, Due: time.UnixMilli(1)}}) },
		"park":      func(ctx context.Context) error { return s.Park(ctx, []ticket.Letter{{ID: 1, Revision: 1, At: now}}) },
		"dirty ids": func(ctx context.Context) error { _, err := s.DirtyIDs(ctx); return err },
		"next due":  func(ctx context.Context) error { _, err := s.NextDue(ctx); return err },
		"feed":      func(ctx context.Context) error { _, err := s.Feed().Events(ctx, 0, "", 1); return err },
		"feed use":  func(ctx context.Context) error { _, err := s.Feed().Usage(ctx); return err },
		"backlog":   func(ctx context.Context) error { _, err := s.Backlog(ctx); return err },
		"letters":   func(ctx context.Context) error { _, err := s.Letters(ctx, 0, 10); return err },
		"retry":     func(ctx context.Context) error { _, err := s.Retry(ctx, now, ids); return err },
		"drop":      func(ctx context.Context) error { _, err := s.Drop(ctx, ids); return err },
		"indexed":   func(ctx context.Context) error { _, err := s.Indexed(ctx, ids); return err },
		"repair":    func(ctx context.Context) error { _, _, err := admin(s).Repair(ctx, ids); return err },
		"forget":    func(ctx context.Context) error { return admin(s).Forget(ctx, ids, []ticket.Revision{1, 1}) },
		"renew": func(ctx context.Context) error {
			_, _, err := admin(s).Renew(ctx, now, []string{"status"}, nil)
			return err
		},
		"discard": func(ctx context.Context) error {
			_, err := admin(s).Discard(ctx, func([]store.Claim) error { return nil })
			return err
		},
		"prepare":   s.Prepare,
		"reconcile": func(ctx context.Context) error { _, err := s.Reconcile(ctx); return err },
		"fence":     func(ctx context.Context) error { return s.Fence(ctx, 0) },
		"replay": func(ctx context.Context) error {
			_, err := s.Replay(ctx, []store.Entry{{Sequence: 1, Revision: 1, Mutation: create}})
			return err
		},
		"ticket ids": func(ctx context.Context) error {
			return admin(s).TicketIDs(ctx, func([]ticket.ID) error { return nil })
		},
		"conditional": func(ctx context.Context) error {
			_, err := s.Apply(ctx, []store.Mutation{{Kind: store.Delete, ID: 1, Proposed: 1, IfRevision: 1}})
			return err
		},
	}
}

// dump returns all that Redis holds under a prefix.
func dump(t *testing.T, client goredis.UniversalClient, prefix string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, key := range client.Keys(t.Context(), prefix+"*").Val() {
		all[key] = client.Dump(t.Context(), key).Val()
		if all[key] == "" {
			t.Fatalf("%s is empty", key)
		}
	}
	return all
}

// Two sites share keys by mistake: the second site neither changes nor reads the keys, whether the second site begins after the
// first, or had the keys itself until Redis was emptied and the first site was faster.
func TestKeysOfAnotherTableAreLeftAlone(t *testing.T) {
	t.Parallel()
	for _, had := range []bool{false, true} {
		for name := range operations(nil) {
			t.Run(map[bool]string{false: "never had them ", true: "had them until Redis was emptied "}[had]+name, func(t *testing.T) {
				t.Parallel()
				server, prefix := testenv.SharedRedis(t)
				client := server.Client(t)
				var told error
				o := owned(prefix, "STRANGER")
				o.OnOwner = func(err error) { told = err }
				stranger := open(t, client, o)
				if had {
					mustSet(t, stranger, 5, "status", "open")
					for key := range dump(t, client, prefix) { // as FLUSHDB, for this test's keys
						client.Del(t.Context(), key)
					}
				}
				first := open(t, client, owned(prefix, "FIRST"))
				mustSet(t, first, 1, "status", "open")
				mustSet(t, first, 2, "status", "open")
				held := dump(t, client, prefix)
				err := operations(stranger)[name](t.Context())
				if !errors.Is(err, store.ErrOwner) || !strings.Contains(err.Error(), "key_prefix") || !errors.Is(told, store.ErrOwner) {
					t.Errorf("error %v, told %v", err, told)
				}
				if now := dump(t, client, prefix); !maps.Equal(now, held) {
					t.Errorf("Redis holds %d keys, not what it held", len(now))
				}
				if err := operations(first)[name](t.Context()); errors.Is(err, store.ErrOwner) {
					t.Errorf("the owner itself: %v", err)
				}
			})
		}
	}
}

// Keys of an earlier version, which knew the table by its name, are taken over; a second daemon with the same name, as on a clone
// on another server, is a stranger.
func TestKeysOfAnEarlierVersionAreTakenOver(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	former := owned(prefix, "shop.wp_support_tickets")
	mustSet(t, open(t, client, former), 1, "status", "open")
	first, second := open(t, client, owned(prefix, "FIRST")), open(t, client, owned(prefix, "CLONE"))
	records, err := first.Get(t.Context(), []ticket.ID{1})
	if err != nil || !records[0].Held() {
		t.Errorf("%+v, %v", records, err)
	}
	if _, err := second.Get(t.Context(), []ticket.ID{1}); !errors.Is(err, store.ErrOwner) {
		t.Errorf("the clone: %v", err)
	}
	if owner, err := redis.NewKeys(client, prefix, false).Owner(t.Context()); err != nil || owner != "FIRST" {
		t.Errorf("owner %q, %v", owner, err)
	}
}

// An operator gives the keys to another table: daemons of the former table stop at once.
func TestAdoptedKeys(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	before, after := open(t, client, owned(prefix, "BEFORE")), open(t, client, owned(prefix, "AFTER"))
	mustSet(t, before, 1, "status", "open")
	keys := redis.NewKeys(client, prefix, false)
	if owner, err := keys.Reserve(t.Context(), "AFTER"); err != nil || owner != "BEFORE" {
		t.Errorf("reserved for %q, %v", owner, err)
	}
	if err := keys.Adopt(t.Context(), "AFTER"); err != nil {
		t.Fatal(err)
	}
	if claims, err := before.Claim(t.Context(), time.Now().Add(time.Hour), 10, time.Minute); !errors.Is(err, store.ErrOwner) {
		t.Errorf("the former owner claims %v, %v", claims, err)
	}
	claims, err := after.Claim(t.Context(), time.Now().Add(time.Hour), 10, time.Minute)
	if err != nil || len(claims) != 1 {
		t.Errorf("the owner claims %v, %v", claims, err)
	}
}
