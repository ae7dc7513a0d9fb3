package check

import "github.com/ticketd/ticketd/internal/chaos/history"

// tells adds an event to the feed, at the script's present time.
func (s *script) tells(kind string, ticket, revision int64, values string, options ...func(*history.Event)) {
	if s.Feed == nil {
		s.Feed = &history.Feed{}
	}
	e := history.Event{Kind: kind, Number: int64(len(s.Feed.Events) + 1), Ticket: ticket, Revision: revision, Seen: s.now}
	if values != "" {
		e.Fields = fieldsOf(values)
	}
	for _, change := range options {
		change(&e)
	}
	s.Feed.Events = append(s.Feed.Events, e)
}

// keeps gives the tickets' history a row of each change in the feed that changed something.
func (s *script) keeps() {
	for i := range s.Feed.Events {
		if e := &s.Feed.Events[i]; e.IsKept() {
			s.Feed.Kept = append(s.Feed.Kept, history.Kept{Ticket: e.Ticket, Revision: e.Revision, Kind: e.Kind})
		}
	}
}

// goneAt is gone, with the deletion's revision.
func (s *script) goneAt(ticket, revision int64) {
	s.Final.Rows = append(s.Final.Rows, history.Row{Ticket: ticket, Revision: revision, Deleted: true})
}

func behind(revision int64) func(*history.Event) {
	return func(e *history.Event) { e.Previous = revision }
}

func from(revision int64) func(*history.Event) {
	return func(e *history.Event) { e.From = revision }
}

func acknowledged(revision int64) func(*history.Event) {
	return func(e *history.Event) { e.Acknowledged = revision }
}

func same(e *history.Event) { e.Same = true }

// Feeds that keep every promise.
var goodFeeds = map[string]func(s *script){
	"a ticket's life": func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.tells(history.Created, 1, 10, "subject=a status=open category")
		s.set(1, "subject=b", rev(11))
		s.tells(history.Updated, 1, 11, "subject=b", behind(10))
		s.remove(1, rev(12))
		s.tells(history.Deleted, 1, 12, "", behind(11))
		s.goneAt(1, 12)
		s.keeps()
	},
	"repeats": func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.set(1, "subject=b", rev(11))
		for range 2 {
			s.tells(history.Updated, 1, 10, "subject=a")
			s.tells(history.Updated, 1, 11, "subject=b", behind(10))
		}
		s.row(1, 11, "subject=b")
		s.keeps()
	},
	"a change whose event has a higher revision": func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.tells(history.Updated, 1, 20, "subject=a", acknowledged(10))
		s.row(1, 20, "subject=a")
		s.keeps()
	},
	"a direct write that the journal repeats": func(s *script) {
		s.set(1, "subject=a", rev(12))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.tells(history.Restated, 1, 12, "", behind(10), from(10))
		s.row(1, 12, "subject=a")
		s.keeps()
	},
	"a restated change that is made again after the death of a Redis process": func(s *script) {
		s.set(1, "subject=a", rev(12))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.tells(history.Restated, 1, 12, "", behind(10), from(10))
		s.tells(history.Updated, 1, 12, "subject=a")
		s.row(1, 12, "subject=a")
		s.keeps()
	},
	"a change from the spool": func(s *script) {
		s.set(1, "subject=a", intoSpool)
		s.tells(history.Updated, 1, 10, "subject=a")
		s.row(1, 10, "subject=a")
		s.keeps()
	},
	"a change of unknown outcome that was made": func(s *script) {
		s.set(1, "subject=a", unknown)
		s.tells(history.Updated, 1, 10, "subject=a")
		s.row(1, 10, "subject=a")
		s.keeps()
	},
	"a create whose client does not know the id": func(s *script) {
		s.create(0, "subject=a", unknown)
		s.tells(history.Created, 1, 10, "subject=a status=open")
		s.row(1, 10, "subject=a")
		s.keeps()
	},
	"a change that changes nothing": func(s *script) {
		s.set(1, "category", rev(10))
		s.tells(history.Updated, 1, 10, "category", same)
		s.row(1, 10, "category")
		s.keeps()
	},
	"one event for the changes that a master took with it": func(s *script) {
		s.set(1, "subject=a status=a", rev(10))
		s.set(1, "subject=b", rev(11))
		s.tells(history.Updated, 1, 11, "subject=b status=a")
		s.Faults = append(s.Faults, history.Fault{Kind: "master-kill", Target: "redis master", To: s.now})
		s.row(1, 11, "subject=b status=a")
		s.keeps()
	},
	"a counter": func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.tells(history.Updated, 1, 10, "assigned_to=0")
		s.tells(history.Updated, 1, 11, "status=touched", behind(10))
		s.increment(1, 11, "1", rev(12))
		s.tells(history.Updated, 1, 12, "assigned_to=1", behind(11))
		s.row(1, 12, "assigned_to=1 status=touched")
		s.keeps()
	},
	"a change of a ticket that another host had deleted": func(s *script) {
		s.cutOff()
		s.create(1, "subject=a", rev(10))
		s.tells(history.Created, 1, 10, "subject=a")
		s.to(1)
		s.remove(1, rev(11))
		s.tells(history.Deleted, 1, 11, "", behind(10))
		s.to(0)
		s.set(1, "subject=b", rev(12))
		s.goneAt(1, 11)
		s.keeps()
	},
}

// Feeds that break a promise.
var badFeeds = map[string]badHistory{
	"a change without an event": {RuleUntold, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.set(1, "subject=b", rev(11))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.row(1, 11, "subject=b")
		s.keeps()
	}},
	"a deletion without an event": {RuleUntold, func(s *script) {
		s.create(1, "subject=a", rev(10))
		s.tells(history.Created, 1, 10, "subject=a")
		s.remove(1, rev(11))
		s.gone(1)
		s.keeps()
	}},
	"an increment without an event": {RuleUntold, func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.increment(1, 10, "1", rev(11))
		s.tells(history.Updated, 1, 10, "assigned_to=0")
		s.row(1, 11, "assigned_to=1")
		s.keeps()
	}},
	"a change from the spool without an event": {RuleUntold, func(s *script) {
		s.set(1, "subject=a", intoSpool)
		s.tells(history.Updated, 1, 10, "status=open")
		s.row(1, 10, "subject=a")
		s.keeps()
	}},
	"a change that a master took with it, and its event": {RuleUntold, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.set(1, "status=b", rev(11))
		s.tells(history.Updated, 1, 11, "status=b")
		s.Faults = append(s.Faults, history.Fault{Kind: "master-kill", Target: "redis master", To: s.now})
		s.row(1, 11, "subject=a status=b")
		s.keeps()
	}},
	"missing events": {RuleUntold, func(s *script) {
		s.tells(history.Gap, 0, 0, "", func(e *history.Event) { e.Lost = 3 })
	}},
	"events out of order": {RuleFeedOrder, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.set(1, "subject=b", rev(11))
		s.tells(history.Updated, 1, 11, "subject=b")
		s.tells(history.Updated, 1, 10, "subject=a")
		s.row(1, 11, "subject=b")
		s.keeps()
	}},
	"an event that names another one before it": {RuleChain, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.set(1, "subject=b", rev(12))
		s.tells(history.Updated, 1, 12, "subject=b", behind(11))
		s.row(1, 12, "subject=b")
		s.keeps()
	}},
	"a raised revision that is not told": {RuleChain, func(s *script) {
		s.set(1, "subject=a", rev(12))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.row(1, 12, "subject=a")
		s.keeps()
	}},
	"a first event that names one before it": {RuleChain, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.tells(history.Updated, 1, 10, "subject=a", behind(9))
		s.row(1, 10, "subject=a")
		s.keeps()
	}},
	"an event of a refused change": {RuleInvented, func(s *script) {
		s.set(1, "subject=a", refused, code("invalid"))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.keeps()
	}},
	"an event with another ticket's value": {RuleInvented, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.tells(history.Updated, 2, 11, "subject=a")
		s.row(1, 10, "subject=a")
		s.keeps()
	}},
	"an event before its change": {RuleInvented, func(s *script) {
		s.tells(history.Updated, 1, 10, "subject=a")
		s.now++
		s.set(1, "subject=a", rev(10))
		s.row(1, 10, "subject=a")
		s.keeps()
	}},
	"an older value that is told again as the newest": {RuleFollowed, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.set(1, "subject=b", rev(11))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.tells(history.Updated, 1, 11, "subject=b", behind(10))
		s.tells(history.Updated, 1, 12, "subject=a", behind(11))
		s.row(1, 12, "subject=b")
		s.keeps()
	}},
	"a change that the tickets' history lacks": {RuleKept, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.row(1, 10, "subject=a")
	}},
	"a row of the tickets' history without an event": {RuleKept, func(s *script) {
		s.set(1, "subject=a", rev(10))
		s.tells(history.Updated, 1, 10, "subject=a")
		s.row(1, 10, "subject=a")
		s.keeps()
		s.Feed.Kept = append(s.Feed.Kept, history.Kept{Ticket: 1, Revision: 11, Kind: history.Updated})
	}},
	"a row of a change that changes nothing": {RuleKept, func(s *script) {
		s.set(1, "category", rev(10))
		s.tells(history.Updated, 1, 10, "category", same)
		s.row(1, 10, "category")
		s.Feed.Kept = append(s.Feed.Kept, history.Kept{Ticket: 1, Revision: 10, Kind: history.Updated})
	}},
}
