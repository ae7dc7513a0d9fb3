package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// A plugin that reads HGETALL ticket:812 finds the fields as plain strings.
func TestTicketIsAPlainHash(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{}) // a server of the test's own, as keys without a prefix are shared
	client := server.Client(t)
	s := open(t, client, redis.Options{})
	revision := mustSet(t, s, 812, "status", "pending")
	hash, err := client.HGetAll(t.Context(), "ticket:812").Result()
	if err != nil {
		t.Fatal(err)
	}
	if hash["status"] != "pending" || hash["_rev"] != revision.String() || hash["_d:status"] != revision.String() {
		t.Errorf("hash is %v, want status pending at revision %d", hash, revision)
	}
	if n, err := client.ZCard(t.Context(), "ticket:dirty").Result(); err != nil || n != 1 {
		t.Errorf("dirty index has %d members (%v), want 1", n, err)
	}
}

// A key of that name without a hash fails its own mutation, not the neighbours' mutations.
func TestForeignKeyFailsAlone(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix})
	if err := client.Set(t.Context(), prefix+"ticket:2", "not a ticket", 0).Err(); err != nil {
		t.Fatal(err)
	}
	one := ticket.Fields{{Name: "status", Value: ticket.Text("open")}}
	outcomes, err := s.Apply(t.Context(), []store.Mutation{
		{Kind: store.Set, ID: 1, Fields: one, Proposed: 1},
		{Kind: store.Set, ID: 2, Fields: one, Proposed: 2},
		{Kind: store.Set, ID: 3, Fields: one, Proposed: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Err != nil || outcomes[1].Err == nil || outcomes[2].Err != nil {
		t.Errorf("outcomes %+v, want only the second to fail", outcomes)
	}
}

// The scripts are gone after a restart, a fail-over or SCRIPT FLUSH.
func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	s := open(t, client, redis.Options{})
	mustSet(t, s, 1, "status", "open")
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, 1, "status", "closed")
}

// An object-cache plugin calls FLUSHALL on the shared Redis: the next write notices, and revisions stay above the sink's.
func TestEmptiedRedisIsNoticed(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	var seeded []ticket.Revision
	sink := ticket.Revision(0)
	s := open(t, client, redis.Options{
		Floor:  func(context.Context) (ticket.Revision, error) { return sink, nil },
		OnSeed: func(floor ticket.Revision, _ bool) { seeded = append(seeded, floor) },
	})
	first := mustSet(t, s, 1, "status", "open")
	sink = first + 3_600_000_000 // another daemon, whose clock is an hour fast, has flushed since
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if next := mustSet(t, s, 1, "status", "closed"); next <= sink {
		t.Errorf("revision %d after the sink's %d: the sink would refuse it", next, sink)
	}
	if len(seeded) != 2 || seeded[0] != 0 || seeded[1] != sink {
		t.Errorf("seeded with %v, want 0 and %d", seeded, sink)
	}
}

// The sink is away when Redis is found empty: when the sink answers, its highest revision is made up for, for pending changes,
// too. Without raise in Claim the revision stays an hour below the sink's (tried by hand).
func TestFloorIsAskedAgain(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	sink, away := ticket.Revision(time.Now().Add(time.Hour).UnixMicro()), errors.New("sink away")
	var seeded []ticket.Revision
	o := redis.Options{
		Floor:  func(context.Context) (ticket.Revision, error) { return sink, away },
		OnSeed: func(floor ticket.Revision, _ bool) { seeded = append(seeded, floor) },
	}
	mustSet(t, open(t, client, o), 1, "status", "open") // by a daemon that dies before the sink answers
	s := open(t, client, o)
	if low := mustSet(t, s, 2, "status", "open"); low >= sink {
		t.Fatalf("revision %d: the sink's was known", low)
	}
	low, err := s.Claim(t.Context(), soon(), 10, time.Millisecond)
	if err != nil || len(low) != 2 || low[0].Revision >= sink {
		t.Fatalf("claims %+v (%v)", low, err)
	}
	away = nil
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(1, 2), leaseTime)
	if err != nil || len(claims) != 2 {
		t.Fatalf("claims %+v (%v)", claims, err)
	}
	for _, c := range claims {
		if status, _ := c.Fields.Get("status"); c.Revision <= sink || status.Text() != "open" {
			t.Errorf("claim %+v, want it above the sink's revision %d", c, sink)
		}
	}
	// A flush that was under way with the old revision cleans no field; a flush with the new revision does.
	if err := s.Ack(t.Context(), []store.Receipt{
		{ID: 1, Revision: claims[0].Revision}, {ID: 2, Revision: sink, Ahead: true},
	}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.DirtyIDs(t.Context()); err != nil || len(got) != 1 || got[0] != 2 {
		t.Errorf("tickets %v are dirty (%v), want 2 alone", got, err)
	}
	if next := mustSet(t, s, 3, "status", "open"); next <= sink {
		t.Errorf("revision %d after the sink's %d", next, sink)
	}
	if len(seeded) != 2 || seeded[0] != 0 || seeded[1] != sink {
		t.Errorf("seeded with %v, want 0 and then %d", seeded, sink)
	}
}

// Changes that a daemon applies again to an emptied Redis were acknowledged before, so the sink may have these changes, and newer
// changes of other hosts: unlike new changes in this filling, they are not put above the sink's highest revision. With raise.lua
// blind to _kept they are.
func TestFloorDoesNotRaiseWhatIsAppliedAgain(t *testing.T) {
	t.Parallel()
	client := testenv.NewRedis(t, testenv.RedisOptions{}).Client(t)
	sink, away := ticket.Revision(0), error(nil)
	s := open(t, client, redis.Options{
		Host: "a", Floor: func(context.Context) (ticket.Revision, error) { return sink, away },
	})
	kept := mustSet(t, s, 1, "subject", "kept")
	deleted, err := s.Apply(t.Context(), []store.Mutation{{
		Kind: store.Delete, ID: 2, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	gone := deleted[0].Revision
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	away = errors.New("sink away")
	mustSet(t, s, 3, "status", "open")
	mustSet(t, s, 1, "status", "pending") // of this filling
	sink, away = ticket.Revision(time.Now().Add(time.Hour).UnixMicro()), nil
	waited(t, client, "")
	claims := map[ticket.ID]store.Claim{}
	all, err := s.Claim(t.Context(), soon(), 10, leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		claims[c.ID] = c
	}
	if c := claims[2]; c.Revision != gone || !c.Deleted {
		t.Errorf("the deletion is claimed as %+v, acknowledged was %d", c, gone)
	}
	if c := claims[3]; c.Revision <= sink {
		t.Errorf("what was written in this filling is claimed as %+v, want it above %d", c, sink)
	}
	marks, err := client.HMGet(t.Context(), s.Key(1), "_d:subject", "_d:status", "_kept").Result()
	if err != nil || marks[0] != kept.String() || marks[2] != nil {
		t.Errorf("the ticket has %v (%v), want its subject at %d and no _kept", marks, err, kept)
	}
	if status, _ := marks[1].(string); status <= sink.String() {
		t.Errorf("the status of this filling is at %s, want it above %d", status, sink)
	}
}

// Prepare notices the loss where no client writes, too.
func TestEmptiedIdleRedisIsNoticed(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	seeded := 0
	s := open(t, client, redis.Options{OnSeed: func(_ ticket.Revision, emptied bool) {
		if seeded++; emptied != (seeded == 2) {
			t.Errorf("seeding %d: emptied %v", seeded, emptied)
		}
	}})
	for range 2 {
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if seeded != 1 {
		t.Fatalf("seeded %d times at the start, want once", seeded)
	}
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(t.Context()); err != nil || seeded != 2 {
		t.Errorf("seeded %d times (%v) after the flush, want twice", seeded, err)
	}
}

// Another daemon that noticed first has marked Redis anew: this daemon takes the mark over and goes on.
func TestReseededByAnother(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	here, there := open(t, client, redis.Options{}), open(t, client, redis.Options{})
	mustSet(t, here, 1, "status", "open")
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mustSet(t, there, 1, "status", "pending")
	mustSet(t, here, 1, "status", "closed")
}

// Out of memory, writes are refused as full; flushing, which frees memory, still works.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	s := open(t, client, redis.Options{})
	revision := mustSet(t, s, 1, "status", "open")
	mustSet(t, s, 2, "status", "open")
	if err := client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := set(t.Context(), s, 1, "status", "closed"); !errors.Is(err, store.ErrFull) {
		t.Fatalf("write without memory: %v, want ErrFull", err)
	}
	claims, err := s.Claim(t.Context(), soon(), 10, leaseTime)
	if err != nil || len(claims) != 2 {
		t.Fatalf("claim without memory: %d claims, %v", len(claims), err)
	}
	if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: revision}}); err != nil {
		t.Fatalf("ack without memory: %v", err)
	}
	if err := s.Release(t.Context(), claims[1:]); err != nil {
		t.Fatalf("release without memory: %v", err)
	}
	if got, err := s.Backlog(t.Context()); err != nil || got.Dirty != 1 {
		t.Errorf("backlog %+v (%v), want one dirty ticket", got, err)
	}
	// With HSET as its first write the script is refused (tried by hand).
	err = s.Park(t.Context(), []ticket.Letter{{ID: 2, Revision: claims[1].Revision, Code: 1406, Reason: "too long"}})
	if err != nil {
		t.Fatalf("park without memory: %v", err)
	}
	if got, err := s.Backlog(t.Context()); err != nil || got.Dirty != 0 || got.Dead != 1 {
		t.Errorf("backlog %+v (%v), want one dead letter", got, err)
	}
	if letters, err := s.Letters(t.Context(), 0, 10); err != nil || len(letters) != 1 || letters[0].Code != 1406 {
		t.Errorf("letters %+v (%v)", letters, err)
	}
	if ttl(t, client, "ticket:1") <= 0 {
		t.Error("the flushed ticket cannot be evicted")
	}
}

// After a fail-over a ticket may hold a change that is older than the sink's row beside a change that the sink lacks: the two are
// claimed one after the other, so that the sink can refuse the first alone.
func TestChangesFromBeforeAFailOverAreClaimedOneByOne(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	s := open(t, server.Client(t), redis.Options{Prefix: prefix})
	first := mustSet(t, s, 1, "status", "old")
	s.NewLine()
	second := mustSet(t, s, 1, "category", "new")
	for _, want := range []struct {
		field    string
		revision ticket.Revision
		partial  bool
	}{{"status", first, true}, {"category", second, false}} {
		claims, err := s.ClaimIDs(t.Context(), soon(), ids(1), leaseTime)
		if err != nil || len(claims) != 1 {
			t.Fatalf("claims %+v (%v)", claims, err)
		}
		c := claims[0]
		_, there := c.Fields.Get(want.field)
		if !there || len(c.Fields) != 1 || c.Revision != want.revision || c.Partial != want.partial || c.Last {
			t.Errorf("claim %+v, want %s alone at revision %d", c, want.field, want.revision)
		}
		if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: c.Revision}}); err != nil {
			t.Fatal(err)
		}
	}
}

// A ticket to which a change from before a fail-over was applied again has a revision above all its changes: the claim of the
// last of them says so, as the sink must have that revision, too.
func TestTheLastChangeFromBeforeAFailOver(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix})
	err := client.HSet(t.Context(), prefix+"ticket:1", "_rev", 9, "_dirty", 1, "status", "a", "category", "b",
		"_d:status", 5, "_d:category", 7).Err()
	if err != nil {
		t.Fatal(err)
	}
	s.NewLine()
	for _, want := range []struct {
		revision ticket.Revision
		last     bool
	}{{5, false}, {7, true}} {
		claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(1), leaseTime)
		if err != nil || len(claims) != 1 {
			t.Fatalf("claims %+v (%v)", claims, err)
		}
		if c := &claims[0]; c.Revision != want.revision || c.Last != want.last || c.Newest != 9 {
			t.Errorf("claim %+v, want revision %d of 9, the last: %v", *c, want.revision, want.last)
		}
		if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: want.revision}}); err != nil {
			t.Fatal(err)
		}
	}
}

// An earlier version left changes from before a deletion in the hash, refused by MySQL or not: these changes are not flushed any
// more.
func TestDeletionOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix})
	err := client.HSet(t.Context(), prefix+"ticket:1", "_rev", 9, "_dirty", 1, "_gone", 1, "_dead", "{}", "status", "refused",
		"deleted_at", "2026-01-02 03:04:05", "_d:status", 5, "_d:deleted_at", 9, "_d:_gone", 9).Err()
	if err != nil {
		t.Fatal(err)
	}
	s.NewLine() // as after a fail-over, when the oldest changes are claimed alone
	claims, err := s.ClaimIDs(t.Context(), time.Now(), []ticket.ID{1}, leaseTime)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %+v (%v)", claims, err)
	}
	if c := &claims[0]; !c.Deleted || len(c.Fields) != 1 || c.Fields[0].Name != "deleted_at" {
		t.Fatalf("claim %+v, want the deletion alone", claims[0])
	}
	if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: claims[0].Revision}}); err != nil {
		t.Fatal(err)
	}
	if dirty, err := client.HExists(t.Context(), prefix+"ticket:1", "_dirty").Result(); err != nil || dirty {
		t.Errorf("dirty after the ack: %v (%v)", dirty, err)
	}
}
