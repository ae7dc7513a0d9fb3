package check

import (
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// ids demands that no two creates were given the same ticket, that no create was given one that was there, be it that somebody
// typed its id in or made its row in SQL, and that a create made one ticket.
func ids(b *book) []history.Violation {
	found := repeated(b)
	for _, p := range b.pages() {
		var create *history.Op
		for _, op := range p.changes {
			if op.Kind != history.Create || op.Outcome != history.Done {
				continue
			}
			if create != nil && !b.mayMeet(create, op) && !p.parted(b, op) && !p.touched(b) {
				found = append(found, violation(RuleIDs, p.id, "two creates were given this ticket", create, op))
			}
			create = op
		}
		if create != nil {
			found = append(found, p.taken(b, create)...)
		}
	}
	rows := map[int64]int{}
	for _, row := range b.history.Final.Rows {
		if rows[row.Ticket]++; rows[row.Ticket] == 2 {
			found = append(found, violation(RuleIDs, row.Ticket, "MySQL has the ticket twice"))
		}
	}
	return append(found, strays(b)...)
}

// taken judges a create whose ticket others had as well.
func (p *page) taken(b *book, create *history.Op) []history.Violation {
	if !b.well(create, unnoticed) || b.busy(create) {
		return nil // what it could not ask may have known the id; see owners for what must hold nevertheless
	}
	for _, first := range slices.Concat(p.inserts, p.changes) {
		lately := first.Kind == history.Insert && first.Return+freshness > create.Call
		if first != create && b.before(first, create) && !lately {
			return []history.Violation{violation(RuleIDs, p.id, "a create was given a ticket that was there already", first, create)}
		}
	}
	return nil
}

// parted tells whether a create was given another one's id unseen, as its daemon could not ask who has it, and did not become
// that one's ticket: it is a dead letter, or was deleted meanwhile.
func (p *page) parted(b *book, create *history.Op) bool {
	deleted := slices.ContainsFunc(p.changes, func(op *history.Op) bool { return op.Kind == history.Delete })
	return (!b.well(create, unnoticed) || b.busy(create)) && (p.dead != nil || deleted)
}

const (
	// freshness is how old an answer of MySQL may be that a create trusts, with some room: a row that came after it is not seen.
	freshness = 100 * time.Millisecond
	// Slow is how long a create takes that waited in vain for MySQL's answer.
	Slow = 80 * time.Millisecond
	// Impatience is for how long the creates after a slow one do not ask.
	Impatience = 1500 * time.Millisecond
)

// busy tells whether MySQL may have been too slow to say which ids are taken: a create of the same host took long, this one or
// one shortly before. The create then goes on, and MySQL refuses its row.
func (b *book) busy(create *history.Op) bool {
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		if op.Kind == history.Create && op.Host == create.Host && op.Return-op.Call >= Slow &&
			op.Call <= create.Return && create.Call <= op.Return+Impatience {
			return true
		}
	}
	return false
}

// firstChange is the earliest acknowledged change; nil where there is none.
func firstChange(ops []*history.Op) *history.Op {
	for _, op := range ops {
		if op.Outcome == history.Done {
			return op
		}
	}
	return nil
}

// repeated looks for repetitions of a create that were told another ticket.
func repeated(b *book) []history.Violation {
	var found []history.Violation
	told := map[string]*history.Op{}
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		if op.Kind != history.Create || op.Outcome != history.Done || op.Request == "" {
			continue
		}
		first := told[op.Request]
		if first != nil && first.Ticket != op.Ticket && !b.forgotten(first, op) {
			found = append(found, violation(RuleTwice, op.Ticket,
				fmt.Sprintf("the repetition of a create was told another ticket than %d", first.Ticket), first, op))
		}
		told[op.Request] = op
	}
	return found
}

// strays looks for creates that left more than one ticket in the end.
func strays(b *book) []history.Violation {
	var found []history.Violation
	alive := map[*history.Op]int64{}
	for _, p := range b.pages() {
		if p.made == nil || p.row == nil || p.row.Deleted || len(p.inserts) > 0 {
			continue // a row of SQL took the id of a create that waited in a journal, where readers saw that
		}
		other, twice := alive[p.made]
		if p.made.Outcome == history.Done {
			other, twice = p.made.Ticket, true
		}
		if twice {
			found = append(found, violation(RuleTwice, p.id, fmt.Sprintf("a create made this ticket and %d, too", other), p.made))
		}
		alive[p.made] = p.id
	}
	return found
}
