package check

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// births are what may have made the ticket as somebody's own: creates, and rows in SQL. A set makes a ticket, too, but it merges
// into whatever has the id: that is what it is asked to do.
func (p *page) births() []*history.Op {
	births := slices.Clone(p.inserts)
	for _, op := range p.changes {
		if op.Kind == history.Create {
			births = append(births, op)
		}
	}
	return births
}

// disputed tells whether a create met a row that somebody made in SQL, or a ticket that another client had typed in or created,
// and the daemon could not see it. Which of the two an answer shows, or of which field what is left, is not promised; ids and
// owners say what is.
func (p *page) disputed() bool {
	creates := 0
	for _, create := range p.changes {
		if create.Kind != history.Create {
			continue
		}
		creates++
		earlier := func(op *history.Op) bool { return op.Outcome == history.Done && op.Return < create.Call }
		if len(p.inserts) > 0 || creates > 1 || create.Outcome == history.Done && slices.ContainsFunc(p.changes, earlier) {
			return true
		}
	}
	return false
}

// owners demands that no answer shows the fields of two tickets as one, whatever befell the servers meanwhile, and that a row
// which was made in SQL keeps the fields that no client changed.
func owners(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		births := p.births()
		if len(births) > 1 && !p.touched(b) {
			found = append(found, p.mixed(b)...)
			found = append(found, p.later(b, births)...)
		}
		for _, insert := range p.inserts {
			if !p.touched(b) {
				found = append(found, p.kept(insert)...)
			}
			found = append(found, p.fenced(insert)...)
		}
		if !p.touched(b) {
			found = append(found, p.lostCreate()...)
		}
	}
	return append(found, refusals(b)...)
}

// born are the births whose values are among the fields. NULL and the table's defaults may be anybody's.
func (p *page) born(b *book, fields map[string]history.Value) []*history.Op {
	var births []*history.Op
	for field, value := range fields {
		if value == nil || equal(value, b.initial(field)) {
			continue
		}
		for _, op := range p.writers[writtenOf(field, value)] {
			birth := op.Kind == history.Create || op.Kind == history.Insert
			if birth && !slices.Contains(births, op) {
				births = append(births, op)
			}
		}
	}
	slices.SortStableFunc(births, func(x, y *history.Op) int { return cmp.Compare(x.Call, y.Call) })
	return births
}

// mixed looks for answers, and rows, that have fields of two.
func (p *page) mixed(b *book) []history.Violation {
	var found []history.Violation
	judge := func(where string, fields map[string]history.Value, read ...*history.Op) {
		if births := p.born(b, fields); len(births) > 1 && !b.mayMeet(births[0], births[1]) {
			told := where + " fields of two tickets: " + listing(fields)
			found = append(found, violation(RuleOwner, p.id, told, append(births, read...)...))
		}
	}
	for _, read := range p.reads {
		judge("an answer shows", read.Fields, read)
	}
	if p.row != nil {
		judge("MySQL has", p.row.Fields)
	}
	return found
}

// later looks for what a second owner wrote to the ticket of the first: a create that came when the ticket was there.
func (p *page) later(b *book, births []*history.Op) []history.Violation {
	slices.SortStableFunc(births, func(x, y *history.Op) int { return cmp.Compare(x.Call, y.Call) })
	first := births[0]
	for _, second := range births[1:] {
		if first.Outcome != history.Done || first.Return > second.Call || second.Kind != history.Create ||
			first.Kind != history.Create || b.mayMeet(first, second) {
			continue
		}
		for _, read := range p.reads {
			if !p.parted(b, second) && slices.Contains(p.born(b, read.Fields), second) {
				return []history.Violation{violation(RuleOwner, p.id, "a create changed another one's ticket", first, second, read)}
			}
		}
		if p.row != nil && slices.Contains(p.born(b, p.row.Fields), second) {
			return []history.Violation{violation(RuleOwner, p.id, "a create changed another one's row", first, second)}
		}
	}
	return nil
}

// recently is within what time a create that arrives late is taken for one with a ticket which is there: ten seconds, and a
// while on the way.
const recently = 12 * time.Second

// mayMeet tells whether two creates may have become one ticket, as one of them named the other's id and arrived late: from a
// spool, or from the journal of a host that was without its servers. A clock that was ahead lets a ticket seem recent.
func (b *book) mayMeet(x, y *history.Op) bool {
	if x.Kind == history.Insert || y.Kind == history.Insert || x.Named+y.Named == 0 {
		return false // the table distinguishes the two; and no daemon gives an id twice
	}
	late := func(op *history.Op) bool { return op.Code == history.Spooled || !b.well(op, mysqls) }
	near := max(x.Call, y.Call)-min(x.Return, y.Return) < recently
	return (late(x) || late(y)) && (near || b.skewed(max(x.Return, y.Return)))
}

// skewed tells whether a clock was wrong before some time. Once one was ahead, revisions say nothing of the time between them.
func (b *book) skewed(by time.Duration) bool {
	return b.befell(func(f *history.Fault) bool { return f.Kind == "clock-skew" && f.From < by })
}

// touched tells whether somebody changed a ticket that the store may have let go of, shortly before a create that arrived late,
// or before it arrived: by its revision the row is then as young as the create's own would be.
func (p *page) touched(b *book) bool {
	for _, create := range p.changes {
		if create.Kind != history.Create || create.Code != history.Spooled && b.well(create, mysqls) {
			continue
		}
		arrival := create.Return
		if create.Code == history.Spooled {
			arrival += recently
		}
		young := func(op *history.Op) bool {
			recent := create.Call-op.Return < recently || b.skewed(create.Return)
			return op.Kind == history.Set && recent && op.Call < arrival
		}
		if slices.ContainsFunc(p.changes, young) {
			return true
		}
	}
	return false
}

// kept demands that a row which was made in SQL has what it was made with, but for what sets changed.
func (p *page) kept(insert *history.Op) []history.Violation {
	if insert.Outcome != history.Done {
		return nil
	}
	if slices.ContainsFunc(p.changes, func(op *history.Op) bool { return op.Kind == history.Delete }) {
		return nil
	}
	if p.row == nil || p.row.Deleted {
		return []history.Violation{violation(RuleOwner, p.id, "a row that was made in SQL is gone", insert)}
	}
	for field, value := range insert.Fields {
		has := p.row.Fields[field]
		set := func(op *history.Op) bool { return op.Kind == history.Set }
		if !equal(has, value) && !slices.ContainsFunc(p.writers[writtenOf(field, has)], set) {
			told := fmt.Sprintf("%s of a row that was made in SQL is %s in the end, not %s", field, text(has), text(value))
			return []history.Violation{violation(RuleOwner, p.id, told, append([]*history.Op{insert},
				p.writers[writtenOf(field, has)]...)...)}
		}
	}
	return nil
}

// fenced demands that AUTO_INCREMENT gives no id that a create has, before or after.
func (p *page) fenced(insert *history.Op) []history.Violation {
	if !insert.Auto || insert.Outcome != history.Done {
		return nil
	}
	for _, op := range p.changes {
		if op.Kind == history.Create && op.Outcome == history.Done && op.Named == 0 {
			return []history.Violation{violation(RuleIDs, p.id, "AUTO_INCREMENT and a create gave the same id", insert, op)}
		}
	}
	return nil
}

// lostCreate demands that a create which met a row of SQL is reported, as a dead letter.
func (p *page) lostCreate() []history.Violation {
	inserted := slices.ContainsFunc(p.inserts, func(op *history.Op) bool { return op.Outcome == history.Done })
	deleted := slices.ContainsFunc(p.changes, func(op *history.Op) bool { return op.Kind == history.Delete })
	if !inserted || deleted || p.dead != nil {
		return nil // a deletion was meant for the create's ticket
	}
	for _, op := range p.changes {
		if op.Kind == history.Create && op.Outcome == history.Done {
			return []history.Violation{violation(RuleMissing, p.id,
				"a create was acknowledged for an id that a row has which was made in SQL, and is no dead letter", append(p.inserts, op)...)}
		}
	}
	return nil
}

// refusals demands that an id which is said to be taken was somebody's. A create of unknown outcome may have any.
func refusals(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		for _, op := range p.refused {
			if op.Code != "exists" {
				continue
			}
			earlier := func(other *history.Op) bool { return other.Call < op.Return }
			if !slices.ContainsFunc(slices.Concat(p.inserts, p.changes, p.aside, b.strays), earlier) {
				found = append(found, violation(RuleIDs, p.id, "a create was refused as its id is taken, and no ticket ever had it", op))
			}
		}
	}
	return found
}
