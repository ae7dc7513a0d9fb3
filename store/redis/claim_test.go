package redis

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// A claim that was read without the unchanged fields equals a claim that was read with the whole hash.
func TestAClaimNeedsNoUnchangedField(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := newStore(t, server, prefix)
	many := map[string]string{"_rev": "9", "_dirty": "5"}
	for i := range 1500 {
		name := "field" + ticket.ID(i).String()
		many[name], many[markPrefix+name] = name, "9"
	}
	hashes := []map[string]string{
		{},
		{"_rev": "9", "_dirty": "5", "status": "open", "_d:status": "9", "note": "kept"},
		{"_rev": "9", "_dirty": "5", "status": "open", "_d:status": "9", "_d:note": "8", "_full": "1", "_born": "7", "_made": "1"},
		{"_rev": "9", "_dirty": "5", "status": "open", "_d:status": "9", "_d:_new": "6"},
		{"_rev": "9", "_dirty": "5", "_gone": "1", "_d:_gone": "9", "status": "open", "_d:status": "3"},
		{"_rev": "9", "status": "open", "note": "clean"},
		{"_rev": "9"},
		{"_born": "9"},
		{"status": "another program's", "_d:status": "9", "_d:_x": "9", "_x": "1"},
		{"_rev": "9", "_clean": "another program's", "_d:status": "9"},
		many,
	}
	ids := make([]ticket.ID, 0, len(hashes)+1)
	for i, hash := range hashes {
		ids = append(ids, ticket.ID(i+1))
		if len(hash) > 0 {
			hset(t, s, ids[i], hash)
		}
	}
	ids = append(ids, ticket.ID(len(hashes)+1))
	if err := client.Set(t.Context(), s.keys.ticket(ids[len(hashes)]), "no hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	read, err := s.changes(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if read[len(hashes)] != nil {
		t.Errorf("what holds no hash is read as %v", read[len(hashes)])
	}
	for i, hash := range hashes {
		delete(hash, "_clean")
		for _, line := range []ticket.Revision{0, 9} {
			want, got := claim(ids[i], hash, line), claim(ids[i], read[i], line)
			for _, c := range []*store.Claim{&want, &got} {
				slices.SortFunc(c.All, byName)
				slices.SortFunc(c.Fields, byName)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d: claim %+v, want %+v", i, got, want)
			}
		}
		if len(read[i]) == 0 != (len(hash) == 0) {
			t.Errorf("%d: %v is read as %v", i, hash, read[i])
		}
		for name, value := range read[i] {
			if _, changed := hash[markPrefix+name]; !changed && !strings.HasPrefix(name, reserved) {
				t.Errorf("%d: read the unchanged field %q = %q", i, name, value)
			}
		}
	}
}

func byName(a, b ticket.Field) int { return strings.Compare(a.Name, b.Name) }

// newStore makes a store with defaults.
func newStore(t *testing.T, server *testenv.Redis, prefix string) *Store {
	t.Helper()
	s, err := New(server.Client(t), Options{Prefix: prefix, CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hset writes a ticket's hash.
func hset(t *testing.T, s *Store, id ticket.ID, hash map[string]string) {
	t.Helper()
	if err := s.client.HSet(t.Context(), s.keys.ticket(id), hash).Err(); err != nil {
		t.Fatal(err)
	}
}

// The rest of a claim is read on demand: with later changes, and not as a whole ticket once the ticket is deleted.
func TestTheRestOfAClaim(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	s := newStore(t, server, prefix)
	held := map[string]string{
		"_rev": "9", "_dirty": "5", "_full": "1", "status": "open", "_d:status": "9", "note": "first", "category": "billing",
	}
	hset(t, s, 1, held)
	claims, err := s.readClaims(t.Context(), []ticket.ID{1}, []time.Time{{}})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %+v (%v)", claims, err)
	}
	want := func(whole bool, fields map[string]string) {
		t.Helper()
		rest, is, err := claims[0].Rest(t.Context())
		got := map[string]string{}
		for _, f := range rest {
			got[f.Name] = f.Value.Text()
		}
		if err != nil || is != whole || whole && !maps.Equal(got, fields) {
			t.Errorf("the rest is %v, whole: %v (%v), want %v, whole: %v", got, is, err, fields, whole)
		}
	}
	want(true, map[string]string{"note": "first", "category": "billing"})
	apply := func(m store.Mutation) {
		t.Helper()
		m.ID, m.Due = 1, time.Now()
		if _, err := store.Make(t.Context(), s, m); err != nil {
			t.Fatal(err)
		}
	}
	apply(store.Mutation{Kind: store.Set, Fields: ticket.Fields{
		{Name: "status", Value: ticket.Text("closed")}, {Name: "note", Value: ticket.Text("second")},
	}})
	want(true, map[string]string{"note": "second", "category": "billing"})
	apply(store.Mutation{Kind: store.Delete})
	want(false, nil)
}
