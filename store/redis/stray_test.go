package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

var errRefused = errors.New("refused")

// upper takes all fields of a hash and marks the fields as taken; upper refuses a hash with the field "bad".
func upper(_ context.Context, _ string, _ ticket.ID, stray ticket.Fields) (ticket.Fields, error) {
	var taken ticket.Fields
	for _, f := range stray {
		switch {
		case f.Name == "bad":
			return nil, errRefused
		case f.Value.Text() == "":
			taken = append(taken, ticket.Field{Name: f.Name, Value: ticket.Null})
		default:
			taken = append(taken, ticket.Field{Name: f.Name, Value: ticket.Text(f.Value.Text() + "!")})
		}
	}
	return taken, nil
}

// values shows fields by name, NULL as "NULL".
func values(fields ticket.Fields) map[string]string {
	shown := make(map[string]string)
	for _, f := range fields {
		if shown[f.Name] = f.Value.Text(); f.Value.IsNull() {
			shown[f.Name] = "NULL"
		}
	}
	return shown
}

// Another program keeps tickets in hashes of the same names. A read shows such a hash, the first change turns all its fields into
// changes, and neither gives the hash an expiry.
func TestStrayHashIsTakenOverWhole(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	var met []string
	s := open(t, client, redis.Options{Prefix: prefix, Convert: upper, OnStray: func(key string) { met = append(met, key) }})
	key := prefix + "ticket:5"
	if err := client.HSet(t.Context(), key, "subject", "hello", "created_at", "17", "category", "").Err(); err != nil {
		t.Fatal(err)
	}
	client.Expire(t.Context(), key, time.Hour) // the other program's own
	records, err := s.Get(t.Context(), ids(5))
	if err != nil || records[0].Held() || !maps.Equal(values(records[0].Stray), map[string]string{
		"subject": "hello", "created_at": "17", "category": "",
	}) {
		t.Fatalf("record %+v (%v)", records, err)
	}
	mustSet(t, s, 5, "subject", "changed")
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(5), leaseTime)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %+v (%v)", claims, err)
	}
	want := map[string]string{"subject": "changed", "created_at": "17!", "category": "NULL"}
	if got := values(claims[0].Fields); !maps.Equal(got, want) {
		t.Errorf("the next place gets %v, want %v", got, want)
	}
	if left := ttl(t, client, key); left > 0 {
		t.Errorf("the hash expires in %v, and the next place does not have it", left)
	}
	if len(met) == 0 || met[0] != key {
		t.Errorf("told of %v, want %s", met, key)
	}
}

// A hash with a value that the table refuses stays unchanged; the changes of other tickets in the same call are made.
func TestStrayHashThatIsRefusedStays(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix, Convert: upper})
	before := map[string]string{"subject": "hello", "bad": "x"}
	if err := client.HSet(t.Context(), prefix+"ticket:5", before).Err(); err != nil {
		t.Fatal(err)
	}
	var mutations []store.Mutation
	for _, id := range ids(4, 5, 6) {
		mutations = append(mutations, store.Mutation{
			Kind: store.Set, ID: id, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
			Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
		})
	}
	outcomes, err := s.Apply(t.Context(), mutations)
	if err != nil || outcomes[0].Err != nil || !errors.Is(outcomes[1].Err, errRefused) || outcomes[2].Err != nil {
		t.Fatalf("outcomes %+v (%v)", outcomes, err)
	}
	if after, err := client.HGetAll(t.Context(), prefix+"ticket:5").Result(); err != nil || !maps.Equal(before, after) {
		t.Errorf("the hash is %v (%v), want %v", after, err, before)
	}
}

// No operation that drops, fills or expires tickets touches another program's hash; without the check for _rev in fill.lua or
// ack.lua this test fails (tried by hand, one after the other).
func TestStrayHashIsLeftAlone(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{}) // a server of the test's own, as its run_id changes
	client := server.Client(t)
	s := open(t, client, redis.Options{Convert: upper})
	mustSet(t, s, 5, "status", "open")
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(5), leaseTime)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %+v (%v)", claims, err)
	}
	want := map[string]string{"subject": "hello", "created_at": "1700000000"}
	client.Del(t.Context(), "ticket:5") // another program replaces the ticket while it is flushed
	if err := client.HSet(t.Context(), "ticket:5", want).Err(); err != nil {
		t.Fatal(err)
	}
	revision := claims[0].Revision
	row := store.Record{ID: 5, Revision: 1, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("row")}}}
	for what, do := range map[string]func() error{
		"ack":       func() error { return s.Ack(t.Context(), []store.Receipt{{ID: 5, Revision: revision}}) },
		"ack ahead": func() error { return s.Ack(t.Context(), []store.Receipt{{ID: 5, Revision: revision, Ahead: true}}) },
		"fill":      func() error { return s.Fill(t.Context(), []store.Record{row}, []ticket.Revision{0}) },
		"forget":    func() error { return admin(s).Forget(t.Context(), ids(5), []ticket.Revision{0}) },
		"park": func() error {
			return s.Park(t.Context(), []ticket.Letter{{ID: 5, Revision: revision, At: time.Now()}})
		},
		"release": func() error { return s.Release(t.Context(), claims) },
		"repair":  func() error { _, _, err := admin(s).Repair(t.Context(), ids(5)); return err },
		"retry":   func() error { _, err := s.Retry(t.Context(), time.Now(), ids(5)); return err },
		"drop":    func() error { _, err := s.Drop(t.Context(), ids(5)); return err },
		"claim":   func() error { _, err := s.ClaimIDs(t.Context(), time.Now(), ids(5), leaseTime); return err },
		"renew": func() error {
			_, _, err := admin(s).Renew(t.Context(), time.Now(), []string{"status"}, nil)
			return err
		},
		"discard": func() error {
			_, err := admin(s).Discard(t.Context(), func([]store.Claim) error { return nil })
			return err
		},
		"reconcile": func() error {
			if err := client.HSet(t.Context(), "ticket:meta", "run", "another").Err(); err != nil {
				return err
			}
			_, err := s.Reconcile(t.Context())
			return err
		},
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		after, err := client.HGetAll(t.Context(), "ticket:5").Result()
		if err != nil || !maps.Equal(after, want) || ttl(t, client, "ticket:5") > 0 {
			t.Fatalf("%s made the hash %v, expiring in %v (%v); want %v", what, after, ttl(t, client, "ticket:5"), err, want)
		}
	}
	if dirty, err := s.DirtyIDs(t.Context()); err != nil || len(dirty) != 0 {
		t.Errorf("dirty are %v (%v), want none", dirty, err)
	}
	var strays []ticket.ID
	err = s.Strays(t.Context(), func(found []ticket.ID) error { strays = append(strays, found...); return nil })
	if err != nil || fmt.Sprint(strays) != "[5]" {
		t.Errorf("strays are %v (%v), want 5", strays, err)
	}
}

// The other program writes between the read of its hash and its adoption: the new data is adopted, not lost.
func TestStrayHashThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	reads := 0
	convert := func(ctx context.Context, key string, id ticket.ID, f ticket.Fields) (ticket.Fields, error) {
		if reads++; reads == 1 {
			if err := client.HSet(ctx, key, "subject", "newer").Err(); err != nil {
				return nil, err
			}
		}
		return upper(ctx, key, id, f)
	}
	s := open(t, client, redis.Options{Prefix: prefix, Convert: convert})
	if err := client.HSet(t.Context(), prefix+"ticket:5", "subject", "older").Err(); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, 5, "status", "open")
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(5), leaseTime)
	want := map[string]string{"subject": "newer!", "status": "open"}
	if err != nil || len(claims) != 1 || !maps.Equal(values(claims[0].Fields), want) {
		t.Errorf("claims %+v (%v), want %v", claims, err, want)
	}
}

// The replay of a change that the journal accepted while Redis was away meets a stray hash: the hash is adopted, and the change
// is made when the change comes again under its next sequence number.
func TestStrayHashOnReplay(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix, Convert: upper, Journal: "j"})
	if err := client.HSet(t.Context(), prefix+"ticket:5", "subject", "hello").Err(); err != nil {
		t.Fatal(err)
	}
	entry := store.Entry{Sequence: 1, Revision: ticket.Revision(time.Now().UnixMicro()), Mutation: store.Mutation{
		Kind: store.Set, ID: 5, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}}, Due: time.Now(),
	}}
	outcomes, err := s.Replay(t.Context(), []store.Entry{entry})
	if err != nil || outcomes[0].Err == nil {
		t.Fatalf("outcomes %+v (%v), want one that is to come again", outcomes, err)
	}
	entry.Sequence = 2
	if outcomes, err = s.Replay(t.Context(), []store.Entry{entry}); err != nil || outcomes[0].Err != nil {
		t.Fatalf("outcomes %+v (%v)", outcomes, err)
	}
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(5), leaseTime)
	want := map[string]string{"subject": "hello!", "status": "open"}
	if err != nil || len(claims) != 1 || !maps.Equal(values(claims[0].Fields), want) {
		t.Errorf("claims %+v (%v), want %v", claims, err, want)
	}
}

// phpredis 6 makes the fields 0, 1, 2, … of a list of names and values. A second such write begins at 0 again.
func TestUnpack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ hash, want map[string]string }{
		{map[string]string{"status": "open", "customer_id": "7"}, map[string]string{"status": "open", "customer_id": "7"}},
		{
			map[string]string{"0": "customer_id", "1": "7", "2": "status", "3": "open"},
			map[string]string{"customer_id": "7", "status": "open"},
		},
		{ // a second, shorter list set status again
			map[string]string{"0": "status", "1": "closed", "2": "status", "3": "open", "4": "subject", "5": "x"},
			map[string]string{"status": "closed", "subject": "x"},
		},
		{ // and here alone, under its own name
			map[string]string{"0": "status", "1": "open", "status": "closed"},
			map[string]string{"status": "closed"},
		},
		{map[string]string{"0": "12", "1": "open"}, map[string]string{"0": "12", "1": "open"}},
		{map[string]string{"0": "status", "1": "open", "2": "lonely"}, map[string]string{"status": "open", "2": "lonely"}},
	} {
		if got := values(redis.Unpack(c.hash)); !maps.Equal(got, c.want) {
			t.Errorf("%v is %v, want %v", c.hash, got, c.want)
		}
	}
}
