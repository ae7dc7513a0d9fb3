package planted

import (
	"strconv"
	"testing"

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// promises are the invariants of a daemon's acknowledgements: they hold under all faults of Redis, and with other writers in
// between.
var promises = map[string]invariant{
	"what Redis loses in a fail-over is applied again": {
		plants: []plant{{
			file: "store/redis/kept.go", text: "if outcomes[i].Err == nil && outcomes[i].Revision != 0 {",
			instead: "if false && outcomes[i].Err == nil {",
		}},
		with: "promises", site: never, forgetful: true, provoke: wentBack, rule: check.RuleFinal,
	},
	"a late change is not older than its ticket": {
		plants: []plant{{
			file: "store/redis/apply.lua", text: "since > 0 and since < bounded(held[5]) and not ahead then",
			instead: "false then",
		}},
		with: "promises", site: never, provoke: createdMeanwhile, rule: check.RuleLate,
	},
	"a condition is decided where the change is made": {
		plants: []plant{{
			file: "store/redis/apply.lua", text: "if required > 0 and required ~= rev then", instead: "if false then",
		}},
		with: "promises", site: never, provoke: raisedTwice, rule: check.RuleCounters,
	},
	"a condition is decided by the journal that is the store": {
		plants: []plant{{
			file: "store/pending/apply.go", text: "if m.IfRevision != 0 && m.IfRevision != have {", instead: "if false {",
		}},
		with: "promises", site: never, journal: true, provoke: raisedTwice, rule: check.RuleCounters,
	},
}

// wentBack makes Redis lose an acknowledged change, like a fail-over to a lagging replica: the next process has only the
// earlier data.
func wentBack(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "zero", "")
	if err := r.keys.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r.set(t, h, 1, "acknowledged", "")
	r.redis.Kill()
	if err := r.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "Redis answers the daemon", func() bool {
		c, end := h.dial(t)
		defer end()
		got, err := c.Get(t.Context(), 1)
		return err == nil && !got.Stale
	})
	r.get(t, h, 1)
}

// createdMeanwhile leaves a change of an unused id pending on a host that is cut off from Redis, while another host creates a
// ticket of that id.
func createdMeanwhile(t *testing.T, r *rig) {
	here, there := r.host(t), r.host(t)
	id := r.create(t, there, 0, "first", "") + 2
	here.redis.Hold()
	r.set(t, here, id, "older", protocol.AckJournal)
	for made := int64(0); made < id; {
		made = r.create(t, there, 0, "second "+strconv.FormatInt(made, 10), "")
	}
	here.redis.Release()
	testenv.Eventually(t, patience, "nothing waits in the journal", func() bool { return here.status(t).Journal.Entries == 0 })
}

// raisedTwice raises a counter under a revision that is not the counter's any more.
func raisedTwice(t *testing.T, r *rig) {
	const id = 1
	h := r.host(t)
	r.count(t, h, id, 0, 0)
	number, seen := r.counter(t, h, id)
	first := r.count(t, h, id, seen.Revision, number+1)
	if first.Outcome != history.Done {
		t.Fatal("the first increment is refused: this proves nothing")
	}
	r.count(t, h, id, seen.Revision, number+1)
}
