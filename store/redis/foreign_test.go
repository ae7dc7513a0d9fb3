package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// Another plugin writes a string over the key of ticket 2. All operations on the other tickets go on. Each script and reader of
// this test fails for all three tickets where the foreign key is not handled alone (tried by hand, one after the other).
func TestForeignKeyHoldsUpNobody(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{}) // a server of the test's own, as its run_id changes
	client := server.Client(t)
	var reported []string
	s := open(t, client, redis.Options{OnForeign: func(key string) { reported = append(reported, key) }})
	overwrite := func() {
		t.Helper()
		if err := client.Set(t.Context(), "ticket:2", "not a ticket", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	claim := func(want ...ticket.ID) []store.Claim {
		t.Helper()
		claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(1, 2, 3), leaseTime)
		must("claim", err)
		got := map[ticket.ID]bool{}
		for _, c := range claims {
			got[c.ID] = true
		}
		for _, id := range want {
			if !got[id] {
				t.Fatalf("claims %+v, want %v", claims, want)
			}
		}
		if len(claims) != len(want) {
			t.Fatalf("claims %+v, want %v", claims, want)
		}
		return claims
	}
	for id := range 3 {
		mustSet(t, s, ticket.ID(id+1), "status", "open")
	}
	claims := claim(1, 2, 3)
	overwrite() // during the flush
	receipts := make([]store.Receipt, len(claims))
	for i, c := range claims {
		receipts[i] = store.Receipt{ID: c.ID, Revision: c.Revision}
	}
	must("park", s.Park(t.Context(), []ticket.Letter{{ID: 2, Revision: claims[1].Revision, At: time.Now()}}))
	_, err := s.Backlog(t.Context())
	must("backlog", err)
	claim(1, 3)
	if n, err := client.ZCard(t.Context(), "ticket:dirty").Result(); err != nil || n != 2 {
		t.Errorf("%d in the index (%v): the foreign key is still there though nothing can be saved", n, err)
	}
	must("ack", s.Ack(t.Context(), receipts))
	records, err := s.Get(t.Context(), ids(1, 2, 3))
	must("get", err)
	for _, r := range records {
		if (r.ID == 2) != errors.Is(r.Err, store.ErrForeign) || (r.ID == 2) == r.Held() {
			t.Errorf("record %+v", r)
		}
	}
	must("fill", s.Fill(t.Context(), []store.Record{
		{ID: 2, Revision: 1, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("row")}}},
		{ID: 4, Revision: 1, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("row")}}},
	}, []ticket.Revision{0, 0}))
	must("forget", admin(s).Forget(t.Context(), ids(2, 4), []ticket.Revision{1, 1}))
	_, _, err = admin(s).Repair(t.Context(), ids(1, 2, 3))
	must("repair", err)
	_, err = s.Retry(t.Context(), time.Now(), ids(2))
	must("retry", err)
	_, err = s.Drop(t.Context(), ids(2))
	must("drop", err)
	_, err = s.Reconcile(t.Context())
	must("reconcile", err)
	must("make it another Redis", client.HSet(t.Context(), "ticket:meta", "run", "another").Err())
	if n, err := s.Reconcile(t.Context()); err != nil || n != 2 {
		t.Errorf("reconcile dropped %d (%v), want the two clean tickets", n, err)
	}
	if text, err := client.Get(t.Context(), "ticket:2").Result(); err != nil || text != "not a ticket" {
		t.Errorf("the foreign key holds %q (%v): it is not ours to change", text, err)
	}
	if len(reported) == 0 || reported[0] != "ticket:2" {
		t.Errorf("reported %v, want ticket:2", reported)
	}
}

// Another program writes into the hash of ticket 2, so that its revision and a mark are no numbers. The ticket is flushed and
// acked with the other tickets; without "or 0" in ack.lua the script fails for all three.
func TestNonsenseInAHashHoldsUpNobody(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix})
	for id := range 3 {
		mustSet(t, s, ticket.ID(id+1), "status", "open")
	}
	nonsense := []string{"_rev", "many", "_d:category", "soon", "_d:_rev", "never", "category", "x"}
	err := client.HSet(t.Context(), prefix+"ticket:2", nonsense).Err()
	if err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, 2, "priority", "1")
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(1, 2, 3), leaseTime)
	if err != nil || len(claims) != 3 {
		t.Fatalf("claims %+v (%v), want all three", claims, err)
	}
	receipts := make([]store.Receipt, len(claims))
	for i, c := range claims {
		receipts[i] = store.Receipt{ID: c.ID, Revision: c.Revision}
		if _, reserved := c.Fields.Get("_rev"); reserved {
			t.Errorf("a reserved name is brought to the next place: %+v", c.Fields)
		}
	}
	if err := s.Ack(t.Context(), receipts); err != nil {
		t.Fatal(err)
	}
	if dirty, err := s.DirtyIDs(t.Context()); err != nil || len(dirty) != 0 {
		t.Errorf("dirty are %v (%v), want none", dirty, err)
	}
}

// An id whose key another program uses is taken, whether the key holds a hash or not, and the key stays unchanged.
func TestForeignKeyIsATakenID(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix})
	if err := client.Set(t.Context(), prefix+"ticket:1", "not a ticket", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.HSet(t.Context(), prefix+"ticket:2", "status", "another's").Err(); err != nil {
		t.Fatal(err)
	}
	for id := range ticket.ID(2) {
		outcomes, err := s.Apply(t.Context(), []store.Mutation{{
			Kind: store.Create, ID: id + 1, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
			Fields: ticket.Fields{{Name: "subject", Value: ticket.Text("mine")}},
		}})
		if err != nil || !errors.Is(outcomes[0].Err, store.ErrTaken) || outcomes[0].Revision != 0 {
			t.Errorf("ticket %d: %+v (%v)", id+1, outcomes, err)
		}
	}
	hash, err := client.HGetAll(t.Context(), prefix+"ticket:2").Result()
	if err != nil || len(hash) != 1 || hash["status"] != "another's" {
		t.Errorf("the other's hash is %v (%v)", hash, err)
	}
}
