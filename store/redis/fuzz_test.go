package redis

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
)

// FuzzHash reads a ticket's hash with arbitrary fields, as another program may have written the hash: no reserved field shows, no
// field shows twice, and a claim holds the values that a reader sees.
func FuzzHash(f *testing.F) {
	f.Add("status=open\n_rev=5\n_dirty=1764000000000\n_d:status=5", int64(0))
	f.Add("status=open\n_rev=9\n_dirty=1\n_d:status=5\n_d:category=9\n_full=1", int64(7))
	f.Add("_rev=9\n_gone=1\n_d:_gone=9\n_dead={\"code\":1406,\"reason\":\"x\",\"at\":\"2026-01-02T03:04:05Z\"}", int64(0))
	f.Add("_rev=99999999999999999999\n_dirty=never\n_d:=1\n_d:_d:x=2\n_dead=nonsense\n=\n_d:_rev=3", int64(1))
	f.Fuzz(func(t *testing.T, text string, line int64) {
		hash := map[string]string{}
		for l := range strings.SplitSeq(text, "\n") {
			name, value, _ := strings.Cut(l, "=")
			hash[name] = value
		}
		before := maps.Clone(hash)
		r := record(7, hash)
		c := claim(7, hash, ticket.Revision(line))
		l, dead := readLetter(7, hash)
		if _, there := hash[fieldDead]; there != dead || !maps.Equal(before, hash) {
			t.Errorf("dead letter: %v, there: %v", dead, there)
		}
		requireUnique(t, r.Fields)
		requireUnique(t, c.Fields)
		requireUnique(t, l.Fields)
		if c.Revision > c.Newest || c.Partial && c.Revision >= ticket.Revision(line) || !c.Partial && len(c.All) != len(c.Fields) {
			t.Errorf("%+v below the line %d", c, line)
		}
		for _, f := range c.Fields {
			if seen, there := r.Fields.Get(f.Name); !there || seen != f.Value {
				t.Errorf("the claim brings %q = %q, and readers see %q (%v)", f.Name, f.Value.Text(), seen.Text(), there)
			}
		}
		if slices.ContainsFunc(r.Fields, func(f ticket.Field) bool { return strings.HasPrefix(f.Name, reserved) }) {
			t.Errorf("something reserved shows: %+v", r.Fields)
		}
	})
}

func requireUnique(t *testing.T, fields ticket.Fields) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.Name] {
			t.Errorf("%q is there twice", f.Name)
		}
		seen[f.Name] = true
	}
}
