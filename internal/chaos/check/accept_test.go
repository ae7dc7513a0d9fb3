package check

import (
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// Histories that keep every promise.
var good = map[string]func(s *script){
	"nothing": func(*script) {},
	"a client that gives up while its daemon is paused": func(s *script) {
		s.get(1, "", refused, code("timeout"), lasts(3*time.Second))
		s.Faults = append(s.Faults, history.Fault{Kind: "daemon-pause", To: time.Second})
	},
	"pages of which few give up": func(s *script) {
		for n := range 3 {
			s.get(1, "", refused, byPage, code("timeout"), by(n), lasts(pageWaits))
			s.get(1, "", refused, byPage, code("unavailable"), by(10+n), lasts(pageWork))
		}
	},
	"two pages that give up": func(s *script) {
		s.get(1, "", refused, byPage, code("timeout"), lasts(pageWaits))
		s.get(1, "", refused, byPage, code("timeout"), by(1), lasts(pageWaits))
	},
	"a page's create that takes an id from the database": func(s *script) {
		s.create(1, "status=a", byPage, intoSpool, names(1), lasts(pageTime+time.Second))
		s.row(1, 10, "status=a")
	},
	"a time of creation that is the first change's": func(s *script) {
		s.set(1, "status=a", unknown)
		s.set(1, "status=b", rev(10))
		s.get(1, "status=b", rev(10), madeAt(time.Millisecond+time.Millisecond/4))
		s.row(1, 10, "status=b")
	},
	"refusals while one ticket is held": func(s *script) {
		s.set(2, "status=a", refused, code("unavailable"))
		s.heldAlone(2, 0, time.Second)
		s.set(1, "status=b", refused, code("overloaded"))
	},
	"a refusal while more is wrong than one ticket": func(s *script) {
		s.set(1, "status=a", refused, code("unavailable"))
		s.heldAlone(2, 0, time.Second)
		s.fault(0, time.Second)
	},
	"a life": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.get(1, "subject=a status=open", rev(10))
		s.set(1, "status=b", rev(11))
		s.list(1, 11, "subject=a status=b")
		s.set(1, "status", rev(12))
		s.row(1, 12, "subject=a status")
	},
	"a deletion": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.remove(1, rev(11))
		s.get(1, "", missing)
		s.set(1, "subject=b", refused)
		s.gone(1)
	},
	"a deletion before the first flush": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
	},
	"a change of a deleted ticket that was accepted": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.set(1, "subject=b", intoSpool)
		s.get(1, "", missing)
		s.gone(1)
	},
	"a set that was refused because of a deletion and is made all the same": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.set(1, "subject=b", refused, func(op *history.Op) { op.Code = "not_found" })
		s.get(1, "", missing)
		s.row(1, 12, "subject=b")
		s.Final.Rows[0].Deleted = true
	},
	"a deletion after a change of a deleted ticket that was accepted without Redis": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.fault(s.now, s.now+time.Second)
		s.set(1, "subject=b", rev(12))
		s.remove(1, rev(12))
		s.get(1, "", missing)
		s.gone(1)
	},
	"a daemon that ends after another host's clock was ahead": func(s *script) {
		s.set(1, "status=a", rev(100))
		s.Faults = append(s.Faults,
			history.Fault{Kind: "clock-skew", Target: "clock 1 by 112 s", From: 0, To: s.now},
			history.Fault{Kind: "daemon-kill", Target: "daemon 0", From: s.now, To: s.now + time.Millisecond})
		s.now += 2 * time.Millisecond
		s.set(1, "status=b", rev(90))
		s.set(1, "status=c", rev(100))
		s.row(1, 101, "status=c")
	},
	"writes at once": func(s *script) {
		s.set(1, "status=a", rev(10), over(3))
		s.set(1, "status=b", rev(11), by(1))
		s.get(1, "status=a", rev(11), by(1)) // b came first, which the revisions do not show
		s.get(1, "status=a", rev(11), by(1))
		s.row(1, 11, "status=a")
	},
	"an unknown write that comes late": func(s *script) {
		s.set(1, "status=a", unknown)
		s.set(1, "status=b", by(1), rev(11))
		s.get(1, "status=b", by(1), rev(11))
		s.get(1, "status=a", by(1), rev(12))
		s.row(1, 12, "status=a")
	},
	"an unknown write that comes after the last read": func(s *script) {
		s.set(1, "status=b", by(1), rev(11))
		s.set(1, "status=a", unknown)
		s.get(1, "status=b", by(1), rev(11))
		s.row(1, 12, "status=a")
	},
	"an unknown write that never comes": func(s *script) {
		s.set(1, "status=b", by(1), rev(11))
		s.set(1, "status=a", unknown)
		s.get(1, "status=b", by(1), rev(11))
		s.row(1, 11, "status=b")
	},
	"an unknown deletion": func(s *script) {
		s.set(1, "status=b", by(1), rev(11))
		s.remove(1, unknown)
		s.get(1, "status=b", by(1), rev(11))
		s.get(1, "", missing, by(1))
		s.gone(1)
	},
	"an unknown create": func(s *script) {
		s.create(0, "subject=a", unknown)
		s.list(5, 10, "subject=a status=open")
		s.set(5, "status=b", by(1), rev(11))
		s.row(5, 11, "subject=a status=b")
	},
	"an unknown write that makes the ticket": func(s *script) {
		s.set(1, "status=a", unknown)
		s.get(1, "status=a", by(1), rev(9))
		s.row(1, 9, "status=a")
	},
	"a request that was repeated": func(s *script) {
		s.create(0, "subject=a", unknown, request("r"))
		s.create(3, "subject=a", request("r"), by(1), rev(10))
		s.create(3, "subject=a", request("r"), by(1), rev(10))
		s.row(3, 10, "subject=a")
	},
	"a request whose repetition is recorded before its first try": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.get(1, "subject=a status=b", rev(11))
		s.set(1, "status=b", request("r"), by(1), rev(11))
		s.set(1, "status=b", request("r"), by(2), rev(11), earlier(3))
		s.row(1, 11, "subject=a status=b")
	},
	"a spooled create whose first try made a ticket, too": func(s *script) {
		s.create(7, "subject=a", intoSpool)
		s.list(6, 9, "subject=a status=open")
		s.get(7, "subject=a status=open", rev(12))
		s.gone(6)
		s.row(7, 12, "subject=a")
	},
	"spooled changes": func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", intoSpool)
		s.get(1, "status=a", stale)
		s.set(1, "subject=c", intoSpool)
		s.get(1, "status=b subject=c", rev(12))
		s.row(1, 12, "status=b subject=c")
	},
	"stale answers": func(s *script) {
		s.set(1, "status=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.get(1, "status=a", rev(10), stale)
		s.get(1, "status=b", rev(11))
		s.row(1, 11, "status=b")
	},
	"a revision that was raised at the replay": func(s *script) {
		s.set(1, "status=a", rev(10))
		s.get(1, "status=a", rev(10))
		s.get(1, "status=a", rev(50))
		s.set(1, "status=b", rev(51))
		s.row(1, 60, "status=b")
	},
	"two hosts": func(s *script) {
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.get(1, "status=a", rev(10))
		s.set(1, "status=b", rev(12))
		s.to(0)
		s.get(1, "status=b", rev(12))
		s.row(1, 12, "status=b")
	},
	"a host that was cut off: the last to arrive wins": func(s *script) {
		s.fault(0, time.Second)
		s.set(1, "status=a", rev(10)) // waits in a journal
		s.to(1)
		s.get(1, "", missing)
		s.set(1, "status=b", rev(12))
		s.get(1, "status=b", rev(12))
		s.get(1, "status=a", rev(13))
		s.row(1, 13, "status=a")
	},
	"a spooled change, seen from elsewhere": func(s *script) {
		s.set(1, "status=a", intoSpool)
		s.to(1)
		s.get(1, "", missing)
		s.set(1, "status=b", rev(10))
		s.get(1, "status=b", rev(10))
		s.row(1, 11, "status=a")
	},
	"a revision that two journals gave": func(s *script) {
		s.fault(0, time.Second)
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.set(1, "status=b", rev(10))
		s.row(1, 11, "status=b")
	},
	"a journal that acknowledges, seen from elsewhere": func(s *script) {
		s.Early = true
		s.set(1, "status=a", rev(10))
		s.to(1)
		s.get(1, "", missing)
		s.row(1, 10, "status=a")
	},
	"a change from before its ticket's create that is set aside": func(s *script) {
		s.cutOff()
		s.set(1, "status=a", rev(10))
		s.get(1, "status=a", rev(10))
		s.to(1)
		s.create(1, "subject=b", rev(9))
		s.set(1, "status=c", rev(12))
		s.to(0)
		s.get(1, "status=a subject=b", rev(12)) // the pending change lies over the ticket
		s.get(1, "status=c subject=b", rev(12))
		s.row(1, 12, "status=c subject=b")
		s.aside(0)
	},
	"a deletion from before its ticket's create that is set aside": func(s *script) {
		s.cutOff()
		s.remove(1, intoSpool)
		s.get(1, "", missing)
		s.to(1)
		s.create(1, "subject=b", rev(9))
		s.to(0)
		s.get(1, "subject=b", rev(9))
		s.row(1, 9, "subject=b")
		s.aside(0)
	},
	"a change of its ticket that is set aside as a clock was wrong": func(s *script) {
		s.Faults = append(s.Faults, history.Fault{Kind: "clock-skew", Target: "clock 1 by -112 s", From: 0, To: s.now})
		s.now += time.Millisecond
		s.create(1, "subject=a", rev(20))
		s.to(1)
		s.set(1, "subject=b", rev(10))
		s.row(1, 20, "subject=a")
		s.aside(1)
	},
	"one of two deletions is set aside as a clock was wrong": func(s *script) {
		s.create(1, "subject=a", rev(20))
		s.to(1)
		s.remove(1)
		s.Faults = append(s.Faults,
			history.Fault{Kind: "clock-skew", Target: "clock 1 by -112 s", From: s.now, To: s.now + time.Second})
		s.now += time.Millisecond
		s.remove(1)
		s.gone(1)
		s.aside(2)
	},
	"what a daemon kept of two changes is set aside at once": func(s *script) {
		s.cutOff()
		s.set(1, "status=a category=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.to(1)
		s.create(1, "subject=b", rev(12))
		s.row(1, 12, "subject=b")
		s.Final.Aside = []history.Aside{{Kind: history.Set, Ticket: 1, Request: "late", Fields: fieldsOf("status=b category=a")}}
	},
	"what a daemon kept of a create is set aside, as another ticket has the id": func(s *script) {
		s.create(1, "subject=a status=new", rev(10))
		s.to(1)
		s.fault(0, time.Hour)
		s.create(1, "subject=b", rev(11))
		s.row(1, 10, "subject=a status=new")
		s.dead(1, "subject=b")
		s.Final.Aside = []history.Aside{{Kind: history.Set, Ticket: 1, Fields: fieldsOf("subject=a")}}
	},
	"a change of unknown outcome that is set aside": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.set(1, "subject=b", unknown, by(1))
		s.row(1, 10, "subject=a")
		s.aside(1)
	},
	"NULL again and again": func(s *script) {
		s.set(1, "category", rev(10))
		s.set(1, "category=a", rev(11))
		s.set(1, "category", rev(12))
		s.get(1, "category", rev(12))
		s.set(1, "category=b", rev(13))
		s.set(1, "category", rev(14), over(2))
		s.get(1, "category=b", rev(13), by(1))
		s.get(1, "category", rev(14), by(1))
		s.row(1, 14, "category")
	},
	"a dead letter": func(s *script) {
		s.set(1, "status=a subject=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.row(1, 10, "status=a subject=a")
		s.dead(1, "status=b")
	},
	"a dead letter without a row": func(s *script) {
		s.create(1, "status=a", rev(10))
		s.dead(1, "status=a")
	},
	"defaults of another table": func(s *script) {
		s.Defaults = fieldsOf("status=new")
		s.create(1, "subject=a", rev(10))
		s.get(1, "subject=a status=new", rev(10))
		s.row(1, 10, "subject=a status=new")
	},
	"many unknown writes that nobody saw": func(s *script) {
		s.create(1, "subject=a", rev(1))
		for n := range 200 {
			s.set(1, "status="+strconv.Itoa(n), unknown, by(n+1))
			s.get(1, "subject=a status=open", rev(1))
		}
		s.row(1, 1, "subject=a status=open")
	},
}

func TestGoodHistories(t *testing.T) {
	t.Parallel()
	for _, histories := range []map[string]func(s *script){good, goodStrangers, goodCounters, goodFeeds} {
		for name, write := range histories {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var s script
				write(&s)
				if found := All(&s.History); len(found) > 0 {
					t.Errorf("refused:\n%s", report(found))
				}
			})
		}
	}
}
