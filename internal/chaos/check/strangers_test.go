package check

import (
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// Histories with ids, requests and tables that other users use, too; see good.
var goodStrangers = map[string]func(s *script){
	"an id that was typed in, and a create that took the next": func(s *script) {
		s.set(16, "subject=stranger", rev(10))
		s.create(17, "subject=a", rev(11))
		s.row(16, 10, "subject=stranger")
		s.row(17, 11, "subject=a")
	},
	"an id that was typed in after a create got it": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.set(16, "status=stranger", rev(11), by(1))
		s.row(16, 11, "subject=a status=stranger")
	},
	"a create that names an id": func(s *script) {
		s.create(16, "subject=a", rev(10), names(16))
		s.create(16, "subject=b", by(1), names(16), refused, code("exists"))
		s.row(16, 10, "subject=a")
	},
	"a create that is refused as its id is taken, by one of unknown outcome": func(s *script) {
		s.create(0, "subject=a", unknown)
		s.create(16, "subject=b", by(1), names(16), refused, code("exists"))
		s.row(16, 10, "subject=a")
	},
	"a create that got an id unseen, and is a dead letter": func(s *script) {
		s.create(16, "subject=a", rev(10), names(16))
		s.now += time.Minute
		s.fault(s.now, s.now+time.Second)
		s.create(16, "subject=b", rev(12), by(1))
		s.get(16, "subject=b status=open", rev(12))
		s.row(16, 10, "subject=a")
		s.dead(16, "subject=b status=open")
	},
	"a create from the spool that joined another one's young ticket": func(s *script) {
		s.create(0, "status=a subject=a", names(16), unknown, code(history.Spooled))
		s.create(16, "subject=b", rev(10), by(1))
		s.get(16, "subject=b status=open", rev(10), by(1))
		s.row(16, 10, "subject=b status=a")
	},
	"a create in the spool whose id a row made in SQL got, which was changed before it arrived": func(s *script) {
		s.create(16, "subject=a", intoSpool)
		s.insert(16, "assigned_to=1", by(1))
		s.set(16, "status=b", rev(12), by(2), at(1))
		s.row(16, 12, "subject=a assigned_to=1 status=b")
	},
	"a repetition that no place remembered": func(s *script) {
		s.create(16, "subject=a", rev(10), request("r"))
		s.Faults = append(s.Faults, history.Fault{Kind: "daemon-kill", Target: "daemon 0", From: s.now, To: s.now + time.Millisecond})
		s.now += 2 * time.Millisecond
		s.create(17, "subject=a", rev(11), request("r"), by(1))
		s.row(16, 10, "subject=a")
		s.row(17, 11, "subject=a")
	},
	"a create of nothing whose id no client received": func(s *script) {
		s.create(0, "priority", names(16), unknown, code(history.Spooled))
		s.row(16, 10, "priority status=open")
	},
	"a change of a row made in SQL, whose create's ticket was deleted": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.insert(16, "subject=sql", by(1))
		s.remove(16, rev(11))
		s.now += time.Minute
		s.set(16, "status=b", rev(12))
		s.row(16, 12, "subject=sql status=b")
	},
	"a row made in SQL, and a create that took the next id": func(s *script) {
		s.insert(16, "subject=sql")
		s.create(17, "subject=a", rev(11))
		s.set(16, "status=b", mustExist, rev(12))
		s.get(16, "subject=sql status=b", rev(12))
		s.row(16, 12, "subject=sql status=b")
		s.row(17, 11, "subject=a")
	},
	"a row made in SQL while a create has the id": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.insert(16, "subject=sql", by(1))
		s.get(16, "subject=a status=open", rev(10))
		s.row(16, 0, "subject=sql")
		s.dead(16, "subject=a status=open")
	},
	"a list that shows a row made in SQL, whose id a create has": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.insert(16, "subject=sql", by(1))
		s.list(16, 1, "subject=sql status=open")
		s.row(16, 0, "subject=sql")
		s.dead(16, "subject=a status=open")
	},
	"a row made in SQL whose create's ticket was deleted": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.insert(16, "subject=sql", by(1))
		s.remove(16, rev(11))
		s.row(16, 0, "subject=sql")
	},
	"a row made in SQL that MySQL refused": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.insert(16, "subject=sql", by(1), refused)
		s.row(16, 10, "subject=a")
	},
	"a create for a taken id while MySQL was away": func(s *script) {
		s.insert(16, "subject=sql")
		s.Faults = append(s.Faults, history.Fault{Kind: "mysql-cut", From: 0, To: time.Second})
		s.create(16, "subject=a", rev(11))
		s.row(16, 0, "subject=sql")
		s.dead(16, "subject=a status=open")
	},
	"a create for the id of a row that came just now": func(s *script) {
		s.insert(16, "subject=sql")
		s.create(16, "subject=a", rev(11))
		s.row(16, 0, "subject=sql")
		s.dead(16, "subject=a status=open")
	},
	"a create for a taken id while MySQL was busy": func(s *script) {
		s.set(16, "subject=stranger", rev(5))
		s.create(0, "subject=z", unknown, over(100))
		s.now += 200 * time.Millisecond
		s.create(16, "status=a", rev(11), by(1))
		s.get(16, "subject= status=a", rev(11), by(1))
		s.row(16, 5, "subject=stranger")
		s.dead(16, "subject= status=a")
	},
	"AUTO_INCREMENT gives an id that was typed in afterwards": func(s *script) {
		s.insert(16, "subject=sql", auto)
		s.set(16, "status=a", rev(10))
		s.row(16, 10, "subject=sql status=a")
	},
	"a spooled create that named a taken id and got another": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.now += time.Minute
		s.create(0, "subject=b", by(1), names(16), unknown, code(history.Spooled))
		s.get(20, "subject=b status=open", rev(12))
		s.row(16, 10, "subject=a")
		s.row(20, 12, "subject=b")
		s.Moved = append(s.Moved, history.Moved{From: 16, To: 20})
	},
	"a create that got another id, and one in the spool that names the id": func(s *script) {
		s.set(16, "subject=stranger", rev(5))
		s.Faults = append(s.Faults, history.Fault{Kind: "redis-kill", From: 0, To: s.now})
		s.create(16, "subject=a", rev(10))
		s.create(0, "status=b", by(1), names(16), unknown, code(history.Spooled))
		s.row(16, 12, "subject=stranger status=b")
		s.row(20, 11, "subject=a")
		s.Moved = append(s.Moved, history.Moved{From: 16, To: 20})
	},
	"a ticket that got another id, as the log says": func(s *script) {
		s.set(16, "subject=stranger", rev(5))
		s.Faults = append(s.Faults, history.Fault{Kind: "redis-kill", From: 0, To: s.now})
		s.create(16, "subject=a", rev(10))
		s.get(16, "subject=stranger", rev(5))
		s.get(20, "subject=a status=open", rev(11))
		s.row(16, 5, "subject=stranger")
		s.row(20, 11, "subject=a")
		s.Moved = append(s.Moved, history.Moved{From: 16, To: 20})
	},
	"a spooled create that named the id of a row which somebody has just changed": func(s *script) {
		s.insert(16, "subject=sql")
		s.set(16, "status=a", rev(10))
		s.create(0, "category=b", by(1), names(16), unknown, code(history.Spooled))
		s.row(16, 11, "subject=sql status=a category=b")
	},
	"two spooled creates that named one id": func(s *script) {
		s.create(0, "subject=a", names(16), unknown, code(history.Spooled))
		s.create(0, "status=b", by(1), names(16), unknown, code(history.Spooled))
		s.row(16, 10, "subject=a status=b")
	},
	"a second deletion, after a change in vain without Redis": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(11))
		s.fault(s.now, s.now+time.Second)
		s.set(1, "subject=b", rev(12))
		s.remove(1, rev(11))
		s.gone(1)
	},
	"a late create of another host that met a recent one": func(s *script) {
		s.fault(0, time.Second)
		s.create(16, "subject=a", rev(10))
		s.to(1)
		s.create(16, "status=b", rev(11), names(16))
		s.row(16, 12, "subject=a status=b")
	},
	"a set that must meet a ticket which a spooled create has made unseen": func(s *script) {
		s.create(0, "subject=a", names(16), unknown, code(history.Spooled))
		s.set(16, "subject=b", mustExist, by(1), rev(11))
		s.row(16, 11, "subject=b")
	},
	"a set that must meet a ticket": func(s *script) {
		s.set(16, "status=a", mustExist, refused, code("not_found"))
		s.create(16, "subject=a", rev(10))
		s.set(16, "status=b", mustExist, rev(11))
		s.row(16, 11, "subject=a status=b")
	},
	"a change of a deleted ticket without Redis": func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.remove(16, rev(11))
		s.Faults = append(s.Faults, history.Fault{Kind: "redis-cut", From: s.now, To: s.now + time.Second})
		s.set(16, "subject=b", rev(12))
		s.gone(16)
	},
	"a request id that was used for something else": func(s *script) {
		s.set(16, "status=a", rev(10), request("r"))
		s.set(17, "status=b", reuses("r"), refused, code("invalid"))
		s.create(0, "status=c", reuses("r"), unknown, by(1))
		s.row(16, 10, "status=a")
	},
	"a request id that was forgotten while Redis was away": func(s *script) {
		s.set(16, "status=a", rev(10), request("r"))
		s.Faults = append(s.Faults, history.Fault{Kind: "redis-cut", From: 0, To: time.Second})
		s.set(16, "status=b", reuses("r"), rev(12))
		s.get(16, "status=a", rev(12))
		s.row(16, 12, "status=a")
	},
	"a repetition after another change": func(s *script) {
		s.set(16, "status=a", rev(10), request("r"))
		s.set(16, "status=b", rev(11))
		s.set(16, "status=a", rev(10), request("r"), by(1))
		s.get(16, "status=b", rev(11))
		s.row(16, 11, "status=b")
	},
	"a repetition of what a journal took": func(s *script) {
		s.fault(0, time.Millisecond)
		s.set(16, "status=a", rev(10), request("r"))
		s.set(16, "status=a", rev(12), request("r"), by(1))
		s.row(16, 12, "status=a")
	},
	"a list that shows what MySQL has of a dead letter": func(s *script) {
		s.Refuses = "dead-"
		s.set(1, "subject=a", rev(10))
		s.set(1, "category=dead-b", rev(11))
		s.list(1, 10, "subject=a status=open")
		s.row(1, 10, "subject=a status=open")
		s.dead(1, "category=dead-b")
	},
	"a place whose own daemon did what it was asked": func(s *script) {
		s.Places = append(s.Places, history.Place{
			Name: "another table", Configured: true,
			Ops:   []history.Op{{Kind: history.Set, Ticket: 1, Outcome: history.Done, Fields: fieldsOf("subject=theirs")}},
			After: []history.Row{{Ticket: 1, Revision: 3, Fields: fieldsOf("subject=theirs status=open")}},
		})
	},
	"a place that was left alone": func(s *script) {
		row := history.Row{Ticket: 1, Revision: 3, Fields: fieldsOf("subject=theirs")}
		s.Places = append(s.Places, history.Place{
			Name: "the clone", Before: []history.Row{row}, After: []history.Row{row},
			Ops: []history.Op{{Kind: history.Get, Ticket: 1, Outcome: history.Refused, Code: "unavailable"}},
		})
	},
}

// Histories in which a user touches another user's data; see bad.
var badStrangers = map[string]badHistory{
	"a create that got an id which was typed in": {RuleIDs, func(s *script) {
		s.set(16, "subject=stranger", rev(10))
		s.create(16, "status=a", rev(11))
		s.row(16, 11, "subject=stranger status=a")
	}},
	"a create that got the id of a row made in SQL": {RuleIDs, func(s *script) {
		s.insert(16, "subject=sql")
		s.now += time.Second
		s.create(16, "status=a", rev(11))
		s.row(16, 11, "subject=sql")
		s.dead(16, "status=a")
	}},
	"a create that got an id which was typed in on another host": {RuleIDs, func(s *script) {
		s.set(16, "subject=stranger", rev(10))
		s.to(1)
		s.create(16, "status=a", rev(11))
		s.row(16, 11, "subject=stranger status=a")
	}},
	"a create that got a deleted ticket's id": {RuleIDs, func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.remove(16, rev(11))
		s.create(16, "subject=b", rev(12), names(16))
		s.gone(16)
	}},
	"a create that named a taken id and was done": {RuleIDs, func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.create(16, "status=b", rev(11), by(1), names(16))
		s.row(16, 11, "subject=a status=b")
	}},
	"a create that is refused as its id is taken, and is the first": {RuleIDs, func(s *script) {
		s.create(16, "subject=a", names(16), refused, code("exists"))
	}},
	"a create and AUTO_INCREMENT that gave the same id, while all was sick": {RuleIDs, func(s *script) {
		s.Faults = append(s.Faults, history.Fault{Kind: "mysql-cut", From: 0, To: time.Second})
		s.create(16, "subject=a", rev(10))
		s.insert(16, "subject=sql", auto)
		s.row(16, 0, "subject=sql")
		s.dead(16, "subject=a status=open")
	}},
	"an answer with fields of SQL's row and a create, while all was sick": {RuleOwner, func(s *script) {
		s.Faults = append(s.Faults, history.Fault{Kind: "mysql-cut", From: 0, To: time.Second})
		s.create(16, "status=a", rev(10))
		s.insert(16, "subject=sql", by(1))
		s.get(16, "subject=sql status=a", rev(10), stale)
		s.row(16, 0, "subject=sql")
		s.dead(16, "status=a")
	}},
	"a create in the row that was made in SQL": {RuleOwner, func(s *script) {
		s.create(16, "status=a", rev(10))
		s.insert(16, "subject=sql status=sql", by(1))
		s.row(16, 10, "subject=sql status=a")
	}},
	"a create that reset the row that was made in SQL": {RuleOwner, func(s *script) {
		s.create(16, "status=a", rev(10))
		s.insert(16, "subject=sql", by(1))
		s.row(16, 10, "subject= status=a")
	}},
	"a row made in SQL that is gone": {RuleOwner, func(s *script) { s.insert(16, "subject=sql") }},
	"a create that met a row made in SQL and is nowhere": {RuleMissing, func(s *script) {
		s.create(16, "status=a", rev(10))
		s.insert(16, "subject=sql", by(1))
		s.row(16, 0, "subject=sql")
	}},
	"a create that got an id unseen, and went under": {RuleIDs, func(s *script) {
		s.create(16, "subject=a", rev(10), names(16))
		s.now += time.Minute
		s.fault(s.now, s.now+time.Second)
		s.create(16, "subject=b", rev(12), by(1))
		s.row(16, 10, "subject=a")
	}},
	"a repetition that its own daemon knows": {RuleTwice, func(s *script) {
		s.create(16, "subject=a", rev(10), request("r"))
		s.fault(s.now, s.now+time.Second)
		s.create(17, "subject=a", rev(11), request("r"), by(1))
		s.row(16, 10, "subject=a")
		s.gone(17)
	}},
	"a spooled create in another one's ticket": {RuleOwner, func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.now += time.Minute
		s.create(0, "subject=b", by(1), names(16), unknown, code(history.Spooled))
		s.get(16, "subject=b status=open", rev(12))
		s.row(16, 12, "subject=b")
	}},
	"a spooled create that left another one's ticket mixed": {RuleOwner, func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.now += time.Minute
		s.create(0, "status=b", by(1), names(16), unknown, code(history.Spooled))
		s.get(16, "subject=a status=b", rev(12))
		s.row(16, 12, "subject=a status=b")
	}},
	"a second deletion with a revision of its own below the last": {RuleRevisions, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.remove(1, rev(12))
		s.remove(1, rev(11))
		s.gone(1)
	}},
	"a set that must meet a ticket and made one": {RuleAbsent, func(s *script) {
		s.set(16, "subject=a", mustExist, rev(10))
		s.row(16, 10, "subject=a")
	}},
	"a set that must meet a ticket and did not find it": {RuleOwnWrites, func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.set(16, "subject=b", mustExist, refused, code("not_found"))
		s.row(16, 10, "subject=a")
	}},
	"a change of a deleted ticket that was acknowledged": {RuleDeleted, func(s *script) {
		s.create(16, "subject=a", rev(10))
		s.remove(16, rev(11))
		s.set(16, "subject=b", rev(12))
		s.gone(16)
	}},
	"a deletion that stays a dead letter": {RuleDeleted, func(s *script) {
		s.create(16, "status=a", rev(10))
		s.set(16, "status=refused", rev(11))
		s.remove(16, rev(12))
		s.row(16, 10, "status=a")
		s.dead(16, "status=refused")
		s.Final.Dead[0].Deleted = true
	}},
	"a request id that was used for something else and is acknowledged": {RuleReused, func(s *script) {
		s.set(16, "status=a", rev(10), request("r"))
		s.set(17, "status=b", reuses("r"), rev(10))
		s.row(16, 10, "status=a")
	}},
	"a repetition that was made again": {RuleReused, func(s *script) {
		s.set(16, "status=a", rev(10), request("r"))
		s.set(16, "status=b", rev(11))
		s.set(16, "status=a", rev(12), request("r"), by(1))
		s.row(16, 12, "status=a")
	}},
	"a repetition whose value came back": {RuleStale, func(s *script) {
		s.set(16, "status=a", rev(10), request("r"))
		s.set(16, "status=b", rev(11))
		s.set(16, "status=a", rev(10), request("r"), by(1))
		s.get(16, "status=a", rev(11), by(2))
		s.row(16, 11, "status=b")
	}},
	"a clone that was served": {RuleForeign, func(s *script) {
		s.Places = append(s.Places, history.Place{
			Name: "the clone", Ops: []history.Op{{Kind: history.Set, Ticket: 1, Outcome: history.Done}},
		})
	}},
	"a row that left its table": {RuleForeign, func(s *script) {
		s.Places = append(s.Places, history.Place{
			Name: "the clone", After: []history.Row{{Ticket: 1, Revision: 3, Fields: fieldsOf("subject=ours")}},
		})
	}},
	"a list that shows less than MySQL could have": {RuleOwnWrites, func(s *script) {
		s.Refuses = "dead-"
		s.set(1, "subject=a", rev(10))
		s.set(1, "subject=b", rev(11))
		s.list(1, 10, "subject=a status=open")
		s.row(1, 11, "subject=b")
	}},
	"a row that left its table for one with a daemon of its own": {RuleForeign, func(s *script) {
		s.Places = append(s.Places, history.Place{
			Name: "another table", Configured: true,
			Ops:   []history.Op{{Kind: history.Set, Ticket: 1, Outcome: history.Done, Fields: fieldsOf("subject=theirs")}},
			After: []history.Row{{Ticket: 1, Revision: 3, Fields: fieldsOf("subject=ours")}},
		})
	}},
	"a row of another table that changed": {RuleForeign, func(s *script) {
		s.Places = append(s.Places, history.Place{
			Name:   "the clone",
			Before: []history.Row{{Ticket: 1, Revision: 3, Fields: fieldsOf("subject=theirs")}},
			After:  []history.Row{{Ticket: 1, Revision: 4, Fields: fieldsOf("subject=ours")}},
		})
	}},
	"a row of another table that went": {RuleForeign, func(s *script) {
		s.Places = append(s.Places, history.Place{
			Name: "the clone", Before: []history.Row{{Ticket: 1, Revision: 3, Fields: fieldsOf("subject=theirs")}},
		})
	}},
	"a neighbour's value": {RuleNowhere, func(s *script) {
		s.set(1, "status=a", rev(10))
		s.get(1, "status=neighbour", rev(11))
		s.row(1, 10, "status=a")
	}},
}
