package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// feeds judges what the feed told a consumer that followed it through the whole run, and what the tickets' history kept of it.
// docs/feed.md has the promises.
func feeds(b *book) []history.Violation {
	if b.history.Feed == nil {
		return nil
	}
	f := newFeedBook(b)
	return slices.Concat(f.gaps(), f.order(), f.chain(), f.untold(), f.invented(), f.followed(), f.kept())
}

// feedBook is a feed sorted by tickets.
type feedBook struct {
	*book

	feed    *history.Feed
	tickets []int64
	// first are the first occurrences of each ticket's events, in the order in which they came.
	first map[int64][]*history.Event
	// inserted are the tickets whose rows SQL has changed, too.
	inserted map[int64]bool
	// broken says that the feed told of missing events: a gap may be any ticket's.
	broken bool
	// values are the operations that wrote a field's value, to whatever ticket.
	values map[written][]*history.Op
}

func newFeedBook(b *book) *feedBook {
	f := &feedBook{
		book: b, feed: b.history.Feed, first: map[int64][]*history.Event{}, values: map[written][]*history.Op{},
		inserted: map[int64]bool{},
	}
	f.noteEvents()
	f.noteWrites()
	return f
}

// noteEvents finds the first occurrences. A change that is made again after the death of a Redis process may have another kind,
// and the revision of a restated event, which told before that the ticket has the change.
func (f *feedBook) noteEvents() {
	type occurrence struct{ ticket, revision int64 }
	seen := map[occurrence]bool{}
	for i := range f.feed.Events {
		e := &f.feed.Events[i]
		at := occurrence{e.Ticket, e.Revision}
		f.broken = f.broken || e.Kind == history.Gap
		if e.Ticket == 0 || seen[at] || !e.IsChange() && e.Kind != history.Restated {
			continue
		}
		seen[at] = true
		if f.first[e.Ticket] == nil {
			f.tickets = append(f.tickets, e.Ticket)
		}
		f.first[e.Ticket] = append(f.first[e.Ticket], e)
	}
	slices.Sort(f.tickets)
}

// noteWrites finds who wrote which value.
func (f *feedBook) noteWrites() {
	for i := range f.history.Ops {
		op := &f.history.Ops[i]
		if op.Kind == history.Insert {
			f.inserted[op.Ticket] = true
		}
		for field, value := range op.Fields {
			if value != nil && (changes(op) || op.Kind == history.Insert || op.Kind == history.Increment) {
				f.values[writtenOf(field, value)] = append(f.values[writtenOf(field, value)], op)
			}
		}
	}
}

// gaps demands that the feed misses no event: it has room for a whole run, and keeps events for longer than a run.
func (f *feedBook) gaps() []history.Violation {
	var found []history.Violation
	for i := range f.feed.Events {
		if e := &f.feed.Events[i]; e.Kind == history.Gap {
			text := fmt.Sprintf("%d events are missing before number %d of partition %d, at %v", e.Lost, e.Number, e.Partition, e.Seen)
			found = append(found, violation(RuleUntold, 0, text))
		}
	}
	return found
}

// order demands that the first occurrences of a ticket's events have ascending revisions.
func (f *feedBook) order() []history.Violation {
	var found []history.Violation
	for _, id := range f.tickets {
		var last *history.Event
		for _, e := range f.first[id] {
			if last != nil && e.Revision <= last.Revision {
				found = append(found, violation(RuleFeedOrder, id, fmt.Sprintf("%s comes after %s", told(e), told(last))))
			}
			last = e
		}
	}
	return found
}

// chain demands that an event names the revision of the event before it, unless the store did not know the ticket. The consumer
// has followed from before the first change on, so that a first event names none. The last event has the row's revision.
func (f *feedBook) chain() []history.Violation {
	var found []history.Violation
	for _, id := range f.tickets {
		if f.inserted[id] || f.broken {
			continue
		}
		var before int64
		for _, e := range f.first[id] {
			if e.Previous != 0 && e.Previous != before {
				found = append(found, violation(RuleChain, id,
					fmt.Sprintf("%s names the revision before it %d, and the feed has %d", told(e), e.Previous, before)))
			}
			before = e.Revision
		}
		if p := f.book.tickets[id]; p != nil && p.row != nil && p.row.Revision > before {
			found = append(found, violation(RuleChain, id,
				fmt.Sprintf("MySQL has revision %d in the end, and the feed ends at %d", p.row.Revision, before)))
		}
	}
	return found
}

// untold demands an event of every acknowledged change.
func (f *feedBook) untold() []history.Violation {
	var found []history.Violation
	if f.broken {
		return nil // a gap has been reported
	}
	for _, p := range f.pages() {
		if f.changedID(p.id) {
			continue
		}
		for _, op := range p.changes {
			if op.Outcome == history.Done && !f.tells(op) && !f.vain(p, op) {
				found = append(found, violation(RuleUntold, p.id, "the feed has no event of an acknowledged change", op))
			}
		}
	}
	for id, ops := range f.counters {
		for _, op := range ops {
			if op.Outcome == history.Done && !f.tells(op) {
				found = append(found, violation(RuleUntold, id, "the feed has no event of an acknowledged increment", op))
			}
		}
	}
	return found
}

// tells says whether the feed has an event of a change.
func (f *feedBook) tells(op *history.Op) bool {
	return slices.ContainsFunc(f.first[op.Ticket], func(e *history.Event) bool {
		known := op.Revision != 0
		switch {
		case known && (e.Revision == op.Revision || e.Acknowledged == op.Revision || e.From == op.Revision):
			return true
		case known && e.Revision >= op.Revision && f.failedOver() && covers(e, op):
			return true
		case op.Kind == history.Delete:
			return e.Kind == history.Deleted && (!known || !f.well(op, mysqls))
		default: // a spool knows no revision, and a repetition may answer under another revision than the change
			return e.IsChange() && carries(e, op)
		}
	})
}

// failedOver says whether a master may have taken changes with it: a daemon makes them again, and one event stands for all
// changes of a ticket, under the newest revision.
func (f *feedBook) failedOver() bool {
	killed := func(f history.Fault) bool { return f.Kind == "master-kill" }
	return f.history.Unplanned > 0 || slices.ContainsFunc(f.history.Faults, killed)
}

// covers says whether an event has a value, or a newer one, of each field of a change.
func covers(e *history.Event, op *history.Op) bool {
	if op.Kind == history.Delete {
		return e.Kind == history.Deleted
	}
	for field := range op.Fields {
		if _, has := e.Fields[field]; !has && e.Kind != history.Deleted && !slices.Contains(e.Omitted, field) {
			return false
		}
	}
	return true
}

// carries says whether an event has the values of a change.
func carries(e *history.Event, op *history.Op) bool {
	for field, value := range op.Fields {
		if has, there := e.Fields[field]; !there || !equal(has, value) {
			return false
		}
	}
	return true
}

// vain says whether an acknowledged change may have changed nothing: a second deletion; a change of a deleted ticket, which is
// another rule's; a change that a journal or a spool acknowledged before another client deleted the ticket, and that arrived
// after; one of two creates of an id.
func (f *feedBook) vain(p *page, op *history.Op) bool {
	if p.again(op) || p.disputed() {
		return true
	}
	late := op.Code == history.Spooled || !f.well(op, nil) || f.history.Early
	return slices.ContainsFunc(p.changes, func(gone *history.Op) bool {
		return gone != op && gone.Kind == history.Delete && (late || gone.Call <= op.Return)
	})
}

// invented demands that every value in the feed was written to the ticket, before the consumer saw it. A daemon that makes a
// create again after the death of a Redis process tells the defaults as well.
func (f *feedBook) invented() []history.Violation {
	var found []history.Violation
	for _, id := range f.tickets {
		if f.counts(id) || f.changedID(id) {
			continue
		}
		for _, e := range f.first[id] {
			for field, value := range e.Fields {
				if value == nil || equal(value, f.initial(field)) || f.wrote(id, field, value, e) {
					continue
				}
				found = append(found, violation(RuleInvented, id,
					fmt.Sprintf("%s has %s=%s, which was not written to the ticket before", told(e), field, text(value)),
					f.values[writtenOf(field, value)]...))
			}
		}
	}
	return found
}

// wrote says whether a value may have been written to a ticket. A create whose client does not know the id may have made any
// ticket.
func (f *feedBook) wrote(id int64, field string, value history.Value, e *history.Event) bool {
	return slices.ContainsFunc(f.values[writtenOf(field, value)], func(op *history.Op) bool {
		stray := op.Kind == history.Create && (op.Ticket == 0 || op.Code == history.Spooled || op.Outcome == history.Unknown)
		made := op.Outcome != history.Refused || op.Code == "not_found" // see lateOnDeleted
		return (stray || op.Ticket == id) && made && op.Call <= e.Seen
	})
}

// isDropped says whether the feed tells that changes of a ticket are not true any more.
func (f *feedBook) isDropped(id int64) bool {
	return slices.ContainsFunc(f.feed.Events, func(e history.Event) bool { return e.Ticket == id && e.Kind == history.Dropped })
}

// followed demands that a consumer that takes every event in order, and reads the fields that an event omits, has what MySQL has
// in the end.
func (f *feedBook) followed() []history.Violation {
	var found []history.Violation
	for i := range f.history.Final.Rows {
		row := &f.history.Final.Rows[i]
		dead := slices.ContainsFunc(f.history.Final.Dead, func(d history.Row) bool { return d.Ticket == row.Ticket })
		if p := f.book.tickets[row.Ticket]; p != nil && p.disputed() || f.isDropped(row.Ticket) {
			continue // two tickets may have had the id, and a consumer reads the ticket after a dropped event
		}
		if row.Deleted || dead || f.broken || f.inserted[row.Ticket] || f.changedID(row.Ticket) {
			continue
		}
		last := f.newest(row.Ticket)
		for _, field := range slices.Sorted(maps.Keys(last)) {
			if value, has := row.Fields[field]; has && !equal(value, last[field].Fields[field]) {
				found = append(found, violation(RuleFollowed, row.Ticket,
					fmt.Sprintf("MySQL has %s=%s, and %s has %s", field, text(value), told(last[field]), text(last[field].Fields[field]))))
			}
		}
	}
	return found
}

// newest finds the event that told the newest value of each field of a ticket. A consumer reads the fields that an event omits.
func (f *feedBook) newest(id int64) map[string]*history.Event {
	last := map[string]*history.Event{}
	for _, e := range f.first[id] {
		for field := range e.Fields {
			last[field] = e
		}
		for _, field := range e.Omitted {
			delete(last, field)
		}
	}
	return last
}

// kept demands that the tickets' history has a row of every change that changed something, and no other.
func (f *feedBook) kept() []history.Violation {
	var found []history.Violation
	type change struct{ ticket, revision int64 }
	told, rows := map[change]bool{}, map[change]bool{}
	for _, row := range f.feed.Kept {
		rows[change{row.Ticket, row.Revision}] = true
	}
	for i := range f.feed.Events {
		e := &f.feed.Events[i]
		at := change{e.Ticket, e.Revision}
		if e.IsKept() && !told[at] && !rows[at] {
			found = append(found, violation(RuleKept, e.Ticket,
				fmt.Sprintf("the tickets' history has no row of the %s event with revision %d", e.Kind, e.Revision)))
		}
		told[at] = told[at] || e.IsKept() || e.Kind == history.Dropped
	}
	for _, row := range f.feed.Kept {
		if row.Ticket != 0 && !f.broken && !told[change{row.Ticket, row.Revision}] {
			found = append(found, violation(RuleKept, row.Ticket,
				fmt.Sprintf("the tickets' history has revision %d (%s), which the feed does not have", row.Revision, row.Kind)))
		}
	}
	return found
}

// told names an event.
func told(e *history.Event) string {
	return fmt.Sprintf("event %d of partition %d, %s with revision %d at %v,", e.Number, e.Partition, e.Kind, e.Revision, e.Seen)
}
