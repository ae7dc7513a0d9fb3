package check

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// badHistory breaks a promise; the rule must say so.
type badHistory struct {
	rule  string
	write func(s *script)
}

// Histories that break a promise.
var bad = map[string]badHistory{
	"a page that hangs": {RuleAnswered, func(s *script) {
		s.set(1, "status=a", unknown, func(op *history.Op) { op.Via, op.Code = "php", history.Unanswered+"time-out" })
	}},
	"a page that takes long": {RuleAnswered, func(s *script) {
		s.set(1, "status=a", intoSpool, byPage, lasts(pageTime+time.Millisecond))
	}},
	"a client that gives up while MySQL hangs": {RuleDeadline, func(s *script) {
		s.get(1, "", refused, code("timeout"), lasts(3*time.Second))
		s.Faults = append(s.Faults, history.Fault{Kind: "mysql-locked", To: time.Minute})
	}},
	"pages that give up while MySQL hangs": {RuleDeadline, func(s *script) {
		for n := range 2 {
			s.get(1, "", refused, byPage, code("timeout"), by(n), lasts(pageWaits))
			s.set(2, "status=a"+strconv.Itoa(n), intoSpool, byPage, by(10+n), lasts(pageWaits))
		}
	}},
	"a time of creation that is the read's": {RuleBorn, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.get(1, "status=a", rev(10), madeAt(1*time.Millisecond))
	}},
	"a time of creation from before the first change": {RuleBorn, func(s *script) {
		s.get(2, "", missing)
		s.get(2, "", missing)
		s.set(1, "status=a", rev(10))
		s.get(1, "status=a", rev(10), madeAt(time.Millisecond/2))
	}},
	"a ticket that is refused because of another": {RuleHeld, func(s *script) {
		s.set(1, "status=a", refused, code("unavailable"))
		s.heldAlone(2, 0, time.Second)
	}},
	"a lost update": {RuleFinal, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.row(1, 11, "status=a")
	}},
	"a lost update of two that nobody read, by the order of others": {RuleFinal, func(s *script) {
		s.set(1, "status=a", rev(10), over(2))
		s.set(1, "status=b", rev(11), by(1))
		s.get(1, "status=a", rev(11), by(1)) // so a came after b
		s.row(1, 11, "status=b")
	}},
	"a lost update after an unknown one": {RuleFinal, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", unknown)
		s.set(1, "status=c", rev(12), by(1))
		s.row(1, 12, "status=a")
	}},
	"half an update": {RuleFinal, func(s *script) {
		s.set(1, "status=a subject=a", rev(10))
		s.set(1, "status=b subject=b", rev(11))
		s.row(1, 11, "status=b subject=a")
	}},
	"half of two updates at once": {RuleLinear, func(s *script) {
		s.set(1, "status=a subject=a", rev(10), over(2))
		s.set(1, "status=b subject=b", rev(11), by(1))
		s.get(1, "status=b subject=a", rev(11), by(1))
		s.row(1, 11, "status=b subject=b")
	}},
	"a first deletion with the revision of a change": {RuleUnique, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.set(1, "subject=b", rev(12), by(1), over(3))
		s.remove(1, rev(12))
		s.gone(1)
	}},
	"a refused value of a ticket that is there": {RuleNowhere, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.set(1, "subject=b", refused, func(op *history.Op) { op.Code = "not_found" })
		s.row(1, 11, "subject=b")
	}},
	"a refused value of a deleted ticket that was refused for another reason": {RuleNowhere, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.set(1, "subject=b", refused, func(op *history.Op) { op.Code = "invalid" })
		s.row(1, 12, "subject=b")
		s.Final.Rows[0].Deleted = true
	}},
	"a revision that goes back after a daemon has ended before a clock was wrong": {RuleRevisions, func(s *script) {
		s.set(1, "status=a", rev(100))
		s.Faults = append(s.Faults,
			history.Fault{Kind: "clock-skew", Target: "clock 1 by 112 s", From: s.now, To: s.now + time.Second},
			history.Fault{Kind: "daemon-kill", Target: "daemon 0", From: s.now, To: s.now + time.Millisecond})
		s.now += 2 * time.Millisecond
		s.set(1, "status=b", rev(90))
		s.row(1, 101, "status=b")
	}},
	"a revision that goes back before a daemon has ended": {RuleRevisions, func(s *script) {
		s.set(1, "status=a", rev(100))
		s.Faults = append(s.Faults, history.Fault{Kind: "clock-skew", Target: "clock 0 by 112 s", From: 0, To: s.now})
		s.set(1, "status=b", rev(90))
		s.Faults = append(s.Faults, history.Fault{Kind: "daemon-kill", Target: "daemon 0", From: s.now, To: s.now + time.Millisecond})
		s.row(1, 101, "status=b")
	}},
	"a swapped final value": {RuleNowhere, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(2, "status=b", rev(11))
		s.row(1, 10, "status=b")
		s.row(2, 11, "status=a")
	}},
	"an old NULL": {RuleOwnWrites, func(s *script) {
		s.set(1, "category", rev(10))
		s.set(1, "category=a", rev(11))
		s.get(1, "category", rev(11))
		s.row(1, 11, "category=a")
	}},
	"an old NULL in the end": {RuleFinal, func(s *script) {
		s.set(1, "category", rev(10))
		s.set(1, "category=a", rev(11))
		s.row(1, 11, "category")
	}},
	"a read of an old value": {RuleOwnWrites, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.get(1, "status=a", rev(11))
		s.row(1, 11, "status=b")
	}},
	"a read of an old value by somebody else": {RuleStale, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.get(1, "status=a", rev(11), by(1))
		s.row(1, 11, "status=b")
	}},
	"an old value in a list": {RuleOwnWrites, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.list(1, 10, "status=a")
		s.row(1, 11, "status=b")
	}},
	"an old value on another host, without any fault": {RuleStale, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.get(1, "status=open", rev(9))
		s.row(1, 10, "status=a")
	}},
	"a request that one try had an answer for": {RuleStale, func(s *script) {
		s.set(1, "status=a", request("r"), rev(10), over(3))
		s.set(1, "status=a", request("r"), rev(10), by(1))
		s.get(1, "status=open", rev(9), by(2))
		s.row(1, 10, "status=a")
	}},
	"a default after a write": {RuleOwnWrites, func(s *script) {
		s.set(1, "category=a", rev(10))
		s.get(1, "category", rev(10))
		s.row(1, 10, "category=a")
	}},
	"one's own write is not there": {RuleOwnWrites, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.get(1, "", missing)
		s.row(1, 10, "subject=a")
	}},
	"a read that goes back between writes at once": {RuleMonotonic, func(s *script) {
		s.set(1, "status=a", rev(10), over(4))
		s.set(1, "status=b", rev(11), by(1), over(2))
		s.get(1, "status=a", rev(11), by(2))
		s.get(1, "status=b", rev(11), by(2))
		s.get(1, "status=a", rev(11), by(2))
		s.row(1, 11, "status=a")
	}},
	"a read that goes back from an unknown write": {RuleMonotonic, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", unknown, by(1))
		s.get(1, "status=b", rev(11), by(2))
		s.get(1, "status=a", rev(11), by(2))
		s.row(1, 11, "status=a")
	}},
	"an unknown write seen and gone, by two clients": {RuleLinear, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", unknown, by(1))
		s.get(1, "status=b", rev(11), by(2))
		s.get(1, "status=a", rev(11), by(3))
		s.row(1, 11, "status=a")
	}},
	"a revision that goes back": {RuleRevisions, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(9))
		s.row(1, 10, "status=b")
	}},
	"a revision that is read lower than before": {RuleRevisions, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.get(1, "status=a", rev(12))
		s.get(1, "status=a", rev(11))
		s.row(1, 12, "status=a")
	}},
	"a revision that was given twice": {RuleUnique, func(s *script) {
		s.set(1, "status=a", rev(10), over(2))
		s.set(1, "status=b", rev(10), by(1))
		s.row(1, 10, "status=b")
	}},
	"a revision that two hosts gave, without any fault": {RuleUnique, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.set(1, "status=b", rev(10))
		s.row(1, 10, "status=b")
	}},
	"a row below the last revision": {RuleFinalLower, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.row(1, 9, "status=a")
	}},
	"two creates with the same id": {RuleIDs, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.create(1, "subject=b", rev(11))
		s.row(1, 11, "subject=b")
	}},
	"an id that was in use": {RuleIDs, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.create(1, "status=b", rev(11))
		s.row(1, 11, "subject=a status=b")
	}},
	"a repeated create that made another ticket": {RuleTwice, func(s *script) {
		s.create(1, "subject=a", rev(10), request("r"))
		s.create(2, "subject=a", rev(11), request("r"))
		s.row(1, 10, "subject=a")
		s.row(2, 11, "subject=a")
	}},
	"a spooled create that left two tickets": {RuleTwice, func(s *script) {
		s.create(7, "subject=a", intoSpool)
		s.row(6, 9, "subject=a")
		s.row(7, 12, "subject=a")
	}},
	"an unknown create that left two tickets": {RuleTwice, func(s *script) {
		s.create(0, "subject=a", unknown)
		s.row(6, 9, "subject=a")
		s.row(7, 12, "subject=a")
	}},
	"a resurrected ticket": {RuleDeleted, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.row(1, 11, "subject=a")
	}},
	"a ticket that is read after its deletion": {RuleDeleted, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.get(1, "subject=a", rev(11))
		s.gone(1)
	}},
	"a ticket that a later change brought back": {RuleDeleted, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.set(1, "subject=b", rev(12))
		s.row(1, 12, "subject=b")
	}},
	"a deletion that nobody asked for": {RuleNowhere, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.gone(1)
	}},
	"an old spooled value over a newer one": {RuleFinal, func(s *script) {
		s.set(1, "status=a", intoSpool)
		s.set(1, "status=b", rev(11))
		s.row(1, 12, "status=a")
	}},
	"spooled values in the wrong order": {RuleFinal, func(s *script) {
		s.set(1, "status=a", intoSpool)
		s.set(1, "status=b", intoSpool)
		s.row(1, 12, "status=a")
	}},
	"a spooled value that is not seen": {RuleStale, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", intoSpool)
		s.get(1, "status=a", rev(10), by(1))
		s.row(1, 12, "status=b")
	}},
	"a value from nowhere": {RuleNowhere, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.get(1, "status=a subject=ghost", rev(10))
		s.row(1, 10, "status=a")
	}},
	"a value that was refused": {RuleNowhere, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", refused)
		s.row(1, 11, "status=b")
	}},
	"a value from the future": {RuleNowhere, func(s *script) {
		s.get(1, "status=a", rev(10))
		s.set(1, "status=a", rev(10))
		s.row(1, 10, "status=a")
	}},
	"a stale answer that nobody ever wrote": {RuleNowhere, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.get(1, "status=ghost", rev(10), stale)
		s.row(1, 10, "status=a")
	}},
	"a ticket from nowhere":  {RuleNowhere, func(s *script) { s.row(1, 10, "status=open") }},
	"a create without a row": {RuleMissing, func(s *script) { s.create(1, "subject=a", rev(10)) }},
	"a set without a row":    {RuleMissing, func(s *script) { s.set(1, "subject=a", intoSpool) }},
	"an older value in a dead letter": {RuleFinal, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.row(1, 10, "status=open")
		s.dead(1, "status=a")
	}},
	"something left dirty": {RuleLeftDirty, func(s *script) { s.Final.Dirty = 1 }},
	"a lost update on one of two hosts": {RuleFinal, func(s *script) {
		s.fault(0, 1)
		s.set(2, "status=z", rev(1), at(1), by(9))
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.row(1, 11, "status=a")
		s.row(2, 1, "status=z")
	}},
	"an older value of another host that was seen there, over a newer one": {RuleFinal, func(s *script) {
		s.fault(0, 1)
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.get(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.row(1, 12, "status=a")
	}},
	"an unknown write seen and gone, on two hosts": {RuleStale, func(s *script) {
		s.set(1, "status=a", rev(10), at(1), by(3))
		s.set(1, "status=b", unknown)
		s.to(1)
		s.get(1, "status=b", rev(11))
		s.get(1, "status=a", rev(11), by(2))
		s.row(1, 11, "status=a")
	}},
	"a value with a revision below its own": {RuleLinear, func(s *script) {
		s.set(1, "status=a", rev(10), over(2))
		s.get(1, "status=a", rev(5), by(1))
		s.row(1, 10, "status=a")
	}},
	"a ticket that is not there between two answers that show it": {RuleLinear, func(s *script) {
		s.create(1, "status=a", rev(10))
		s.get(1, "", missing)
		s.get(1, "status=a", rev(10))
		s.row(1, 10, "status=a")
	}},
	"a deletion seen and gone": {RuleLinear, func(s *script) {
		s.create(1, "status=a", rev(10))
		s.remove(1, unknown)
		s.get(1, "", missing, by(1))
		s.get(1, "status=a", rev(10), by(1))
		s.row(1, 10, "status=a")
	}},
	"two creates at once with the same id": {RuleIDs, func(s *script) {
		s.create(1, "subject=a", rev(10), over(2))
		s.create(1, "subject=b", rev(11), by(1))
		s.row(1, 11, "subject=b")
	}},
	"a ticket with two rows": {RuleIDs, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.row(1, 10, "subject=a")
		s.row(1, 10, "subject=a")
	}},
	"a change from before its ticket's create that is merged": {RuleLate, func(s *script) {
		s.cutOff()
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.create(1, "subject=b", rev(11))
		s.row(1, 12, "status=a subject=b")
	}},
	"a deletion from before its ticket's create that deletes the ticket": {RuleLate, func(s *script) {
		s.cutOff()
		s.remove(1, intoSpool)
		s.to(1)
		s.create(1, "subject=b", rev(9))
		s.gone(1)
	}},
	"a change from before its ticket's create that is nowhere": {RuleLate, func(s *script) {
		s.cutOff()
		s.set(1, "status=a", intoSpool)
		s.to(1)
		s.create(1, "subject=b", rev(11))
		s.row(1, 11, "subject=b")
	}},
	"a change of its ticket that is set aside": {RuleLate, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.to(1)
		s.set(1, "subject=b", rev(11))
		s.row(1, 10, "subject=a")
		s.aside(1)
	}},
	"two deletions of their ticket, of which one is set aside": {RuleLate, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.to(1)
		s.remove(1)
		s.remove(1)
		s.gone(1)
		s.aside(2)
	}},
	"a change of its ticket that is set aside before a clock is wrong": {RuleLate, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.to(1)
		s.set(1, "subject=b", rev(11))
		s.Faults = append(s.Faults,
			history.Fault{Kind: "clock-skew", Target: "clock 1 by -112 s", From: s.now, To: s.now + time.Second})
		s.row(1, 10, "subject=a")
		s.aside(1)
	}},
	"a change of a ticket without a create that is set aside": {RuleLate, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.set(1, "status=b", intoSpool)
		s.row(1, 10, "subject=a")
		s.aside(1)
	}},
	"set aside is what nobody asked for": {RuleLate, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.row(1, 10, "subject=a")
		s.Final.Aside = []history.Aside{{Kind: history.Set, Ticket: 1, Request: "r", Fields: fieldsOf("status=ghost")}}
	}},
	"an update of a ticket that is lost where an older change is set aside": {RuleFinal, func(s *script) {
		s.cutOff()
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.create(1, "subject=b", rev(11))
		s.set(1, "status=c", rev(12))
		s.set(1, "status=d", rev(13))
		s.row(1, 13, "status=c subject=b")
		s.aside(0)
	}},
	"an operation that ends before it begins": {RuleHistory, func(s *script) { s.set(1, "status=a", rev(10), over(-2)) }},
	"a client that does two things at once": {RuleHistory, func(s *script) {
		s.set(1, "status=a", rev(10), over(2))
		s.set(1, "status=b", rev(11))
	}},
	"a value that was written twice": {RuleHistory, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=a", rev(11))
	}},
}

func TestBadHistories(t *testing.T) {
	t.Parallel()
	for _, histories := range []map[string]badHistory{bad, badStrangers, badCounters, badFeeds} {
		for name, c := range histories {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var s script
				c.write(&s)
				found := All(&s.History)
				if !slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == c.rule }) {
					t.Errorf("nothing says that this breaks the rule %q; found:\n%s", c.rule, report(found))
				}
			})
		}
	}
}

// A ticket that could not be decided in time is told, not passed.
func TestUndecidedIsTold(t *testing.T) {
	t.Parallel()
	var s script
	s.set(1, "status=a", rev(10))
	s.row(1, 10, "status=a")
	found := newBook(&s.History).linear(patience, time.Now())
	if len(found) != 1 || found[0].Rule != RuleUndecided {
		t.Errorf("without time: %+v", found)
	}
	found = newBook(crowd(8, 200)).linear(time.Nanosecond, time.Now().Add(allTime))
	if len(found) != 1 || found[0].Rule != RuleUndecided {
		t.Errorf("in next to no time: %+v", found)
	}
}
