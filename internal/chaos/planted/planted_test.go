package planted

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// invariant is an invariant of the daemon: how it is switched off, how the fault is provoked that it prevents, and the
// checkers' rule that must then be broken.
type invariant struct {
	plants []plant
	// with names a daemon with several invariants switched off, each of which prevents different faults; empty for a daemon with
	// this fault alone. A build takes longer than the rest of the test.
	with    string
	site    string // TOML
	journal bool   // without Redis
	patient bool   // see rig
	// forgetful gives the rig its own Redis, which writes to disk only on SAVE.
	forgetful bool
	// preset is the setting with which the database begins each session of the daemon's user; empty for the shared server, with
	// root.
	preset  string
	provoke func(t *testing.T, r *rig)
	// judge provokes the fault, too, and judges itself: for rules that are not the checkers'.
	judge func(t *testing.T, r *rig) []history.Violation
	rule  string
}

// cases are the invariants within a daemon's own world; strangers are the invariants at its borders.
var cases = map[string]invariant{
	"revision guard in the upsert": {
		plants: []plant{{
			file: "sync/mysql/statement.go",
			text: ` + " AND VALUES(" + s.revision + ")>" + s.revision`,
		}},
		site: "lease = \"1s\"\nlinger = \"5ms\"", provoke: lateStatement, rule: check.RuleFinal,
	},
	"revision check in the ack": {
		plants: []plant{{file: "store/redis/ack.lua", text: "if changed <= arrived then", instead: "if true then"}},
		site:   "lease = \"30s\"\nlinger = \"5ms\"", provoke: writeDuringFlush, rule: check.RuleFinal,
	},
	"PERSIST of dirty keys": {
		plants: []plant{{
			file: "store/redis/apply.lua",
			text: "if not held[2] then\n\t\t\t\tredis.call('PERSIST', ticket)", instead: "if not held[2] then",
		}},
		site: never + "clean_ttl = \"1s\"", provoke: dirtyWhileItExpires, rule: check.RuleOwnWrites,
	},
	"replay ledger": {
		plants: []plant{{
			file: "store/redis/apply.lua", text: "if sequence > 0 and sequence <= arrived and not unmade[sequence] then",
			instead: "if false then",
		}},
		site: never, provoke: killedBeforeTheConfirm, rule: check.RuleFinal,
	},
	"reads wait for the journal": {
		plants: []plant{
			{file: "store/outbox/read.go", text: "\ts.settleRead(ctx, ids, accepted)\n"},
			{file: "store/outbox/overlay.go", text: "\tr.Behind = true\n\tif w.full {", instead: "\tif w.full {"},
		},
		site: never, patient: true, provoke: countedBelow, rule: check.RuleCounters,
	},
	"order of the spool": {
		plants: []plant{{
			file: "daemon/spool/intake.go", text: "return cmp.Or(cmp.Compare(a.name, b.name),",
			instead: "return cmp.Or(cmp.Compare(b.name, a.name),",
		}},
		site: never, provoke: severalInTheSpool, rule: check.RuleFinal,
	},
}

// With an invariant switched off, the checkers find the fault; with the sound daemon they find no violation.
func TestPlanted(t *testing.T) {
	t.Parallel()
	withMeta := maps.Clone(promises) // they share a daemon
	maps.Copy(withMeta, metas)
	for _, kind := range []map[string]invariant{cases, folders, strangers, withMeta, answers, sessions, feeds} {
		for name, c := range kind {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				t.Run("sound", func(t *testing.T) {
					t.Parallel()
					if found := c.found(t, program{testenv.TicketdBinary(t), phpSource}); len(found) > 0 {
						t.Errorf("the sound daemon's history is refused:\n%s", report(found))
					}
				})
				t.Run("switched off", func(t *testing.T) {
					t.Parallel()
					found := c.found(t, build(t, cmp.Or(c.with, name), c.all(kind)))
					if !slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == c.rule }) {
						t.Errorf("nothing says that this breaks the rule %q; found:\n%s", c.rule, report(found))
					}
				})
			})
		}
	}
}

// found provokes the fault on a daemon and judges the history.
func (c *invariant) found(t *testing.T, p program) []history.Violation {
	t.Helper()
	r := newRig(t, p, c.site)
	r.journal, r.patient = c.journal, c.patient
	if c.forgetful {
		r.redis = testenv.NewRedis(t, testenv.RedisOptions{})
		r.keys = r.redis.Client(t)
	}
	if r.preset = c.preset; c.preset != "" {
		r.presettable(t)
	}
	if c.judge != nil {
		return c.judge(t, r)
	}
	c.provoke(t, r)
	return check.All(r.settle(t))
}

// all are the plants of all invariants of a kind that share a daemon.
func (c *invariant) all(kind map[string]invariant) []plant {
	if c.with == "" {
		return c.plants
	}
	var all []plant
	for _, name := range slices.Sorted(maps.Keys(kind)) {
		if other := kind[name]; other.with == c.with {
			all = append(all, other.plants...)
		}
	}
	return all
}

// report shows the violations.
func report(found []history.Violation) string {
	var text strings.Builder
	for i := range found {
		text.WriteString(found[i].String())
	}
	return text.String()
}

// lateStatement holds a daemon's statement until another daemon has written newer values.
func lateStatement(t *testing.T, r *rig) {
	here := r.host(t)
	r.warm(t, here)
	there := r.host(t)
	if err := there.Pause(); err != nil { // so that the first daemon's statement is late
		t.Fatal(err)
	}
	here.mariadb.Hold()
	r.set(t, here, 1, "first", "")
	testenv.Eventually(t, patience, "the first daemon's statement is under way", func() bool { return here.mariadb.Holds("first") })
	if err := there.Resume(); err != nil {
		t.Fatal(err)
	}
	r.set(t, here, 1, "second", "")
	testenv.Eventually(t, patience, "the second daemon has flushed", func() bool { return r.subject(t, 1) == "second" })
	// The answer to the held statement says that it has arrived. A later change does not: either daemon may flush it, past the
	// statement.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := here.mariadb.ReleaseAnswered(ctx); err != nil {
		t.Fatal(err)
	}
}

// warm makes the daemon flush, so that the next flush sends only its statement before its end.
func (r *rig) warm(t *testing.T, h *host) {
	t.Helper()
	r.set(t, h, 1, "zero", "")
	testenv.Eventually(t, patience, "the daemon flushes", func() bool { return r.subject(t, 1) == "zero" && h.status(t).Dirty == 0 })
}

// writeDuringFlush writes a ticket while its former value is on the way to MySQL.
func writeDuringFlush(t *testing.T, r *rig) {
	h := r.host(t)
	r.warm(t, h)
	h.mariadb.Hold()
	r.set(t, h, 1, "first", "")
	testenv.Eventually(t, patience, "the first value is under way", func() bool { return h.mariadb.Holds("first") })
	r.set(t, h, 1, "second", "")
	h.mariadb.Release()
	testenv.Eventually(t, patience, "the daemon thinks that everything is in MySQL", func() bool { return h.status(t).Dirty == 0 })
}

// dirtyWhileItExpires writes a ticket that is clean, and so about to leave Redis.
func dirtyWhileItExpires(t *testing.T, r *rig) {
	h := r.host(t)
	key := r.prefix + "ticket:1"
	flush := func() {
		c, end := h.dial(t)
		defer end()
		if _, err := c.Flush(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.set(t, h, 1, "first", "")
	flush()
	if ttl := r.keys.PTTL(t.Context(), key).Val(); ttl <= 0 {
		t.Fatalf("the clean ticket's time to live is %v: this proves nothing", ttl)
	}
	r.set(t, h, 1, "second", "")
	testenv.Eventually(t, patience, "the ticket stays in Redis, or is gone", func() bool {
		return r.keys.PTTL(t.Context(), key).Val() < 0
	})
	r.get(t, h, 1)
}

// killedBeforeTheConfirm kills a daemon whose change has arrived in Redis from the journal, before the daemon knows, and
// overwrites the change through another daemon.
func killedBeforeTheConfirm(t *testing.T, r *rig) {
	here, there := r.host(t), r.host(t)
	r.set(t, here, 1, "zero", protocol.AckJournal)
	testenv.Eventually(t, patience, "it has followed to Redis", func() bool { return here.status(t).Journal.Entries == 0 })
	here.redis.Hold()
	from := r.history.Ops[len(r.history.Ops)-1].Return
	r.set(t, here, 1, "first", protocol.AckJournal)
	testenv.Eventually(t, patience, "its replay is under way", func() bool { return here.redis.Holds("first") })
	here.Kill()
	here.redis.Release()
	testenv.Eventually(t, patience, "it has arrived", func() bool { return r.get(t, there, 1) == "first" })
	r.set(t, there, 1, "second", "")
	r.get(t, there, 1)
	if err := here.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "it is replayed again", func() bool { return here.status(t).Journal.Entries == 0 })
	r.history.Faults = append(r.history.Faults, history.Fault{
		Kind: "hold and kill", Target: "daemon 0", From: from, To: r.history.Ops[len(r.history.Ops)-1].Return,
	})
	r.get(t, there, 1)
}

// severalInTheSpool leaves changes of the same ticket in the spool of a stopped daemon.
func severalInTheSpool(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "zero", "")
	h.Kill()
	for n := range 5 {
		r.leave(t, h, 1, "spooled-"+strconv.Itoa(n))
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.get(t, h, 1)
}
