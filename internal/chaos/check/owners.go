package check

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// births are the operations that may have made the ticket as its owner: creates, and rows in SQL. A set may also make a
// ticket, but by definition merges into any existing ticket.
func (p *page) births() []*history.Op {
	births := slices.Clone(p.inserts)
	for _, op := range p.changes {
		if op.Kind == history.Create {
			births = append(births, op)
		}
	}
	return births
}

// disputed reports whether a create met a row from SQL, or a ticket of a different client, unseen by the daemon. No promise
// says which of the two tickets an answer shows, or which fields remain; ids and owners check the remaining promises.
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

// owners demands that no answer mixes the fields of two tickets, under any faults, and that a row inserted in SQL keeps the
// fields that no client changed.
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

// born are the births with values among the fields. NULL and the table's defaults have no certain writer.
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

// later looks for values that a second owner wrote to the ticket of the first: a create that came when the ticket existed.
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

// touched reports whether a client changed a ticket that the store may have dropped, shortly before a late create or before
// its arrival: the row's revision is then as young as that of the create.
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

// kept demands that a row inserted in SQL keeps its values, except fields that sets changed.
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

// ids demands that no two creates got the same ticket, that no create got an existing ticket (an id named by a client, or a
// row from SQL), and that a create made a single ticket.
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

// taken judges a create whose ticket had other owners.
func (p *page) taken(b *book, create *history.Op) []history.Violation {
	if !b.well(create, unnoticed) || b.busy(create) {
		return nil // an unreachable server may have known the id; owners checks the remaining promises
	}
	for _, first := range slices.Concat(p.inserts, p.changes) {
		lately := first.Kind == history.Insert && first.Return+freshness > create.Call
		if first != create && b.before(first, create) && !lately {
			return []history.Violation{violation(RuleIDs, p.id, "a create was given a ticket that was there already", first, create)}
		}
	}
	return nil
}

// parted reports whether a create got a taken id unseen, because its daemon could not ask for the owner, and did not merge
// into the other ticket: the create is a dead letter, or was deleted meanwhile.
func (p *page) parted(b *book, create *history.Op) bool {
	deleted := slices.ContainsFunc(p.changes, func(op *history.Op) bool { return op.Kind == history.Delete })
	return (!b.well(create, unnoticed) || b.busy(create)) && (p.dead != nil || deleted)
}

// firstChange is the earliest acknowledged change, or nil.
func firstChange(ops []*history.Op) *history.Op {
	for _, op := range ops {
		if op.Outcome == history.Done {
			return op
		}
	}
	return nil
}

// repeated looks for repetitions of a create that got a different ticket.
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

// late demands that a change set aside is older than the ticket's create, and that a change certainly older was set aside:
// the create would have met the change in any other place. A change is made if revisions are ahead of the clocks at its
// arrival, and the time of arrival is unknown.
func late(b *book) []history.Violation {
	var found []history.Violation
	for _, entry := range b.unasked {
		found = append(found, violation(RuleLate, entry.Ticket,
			fmt.Sprintf("host %d has set aside a change without a request: %s %s", entry.Host, entry.Kind, listing(entry.Fields))))
	}
	for _, p := range b.pages() {
		for _, op := range p.aside {
			if op.Outcome == history.Done && !p.mayPredate(b, op) {
				found = append(found, violation(RuleLate, p.id,
					"a change was set aside that is not older than its ticket", append([]*history.Op{op}, p.births()...)...))
			}
		}
		if create := p.onlyCreate(); create != nil && b.wellAt(create) && !b.busy(create) && !b.skewed(math.MaxInt64) {
			found = append(found, p.older(create)...)
		}
	}
	return found
}

// mayPredate reports whether a change may have been acknowledged before the ticket's create, by the clocks of both hosts. A
// change dates from its call at the earliest, a create from its answer at the latest. A create without an answer may have any
// date.
func (p *page) mayPredate(b *book, op *history.Op) bool {
	if p.made != nil {
		return true
	}
	return slices.ContainsFunc(p.changes, func(create *history.Op) bool {
		return create.Kind == history.Create &&
			(create.Outcome != history.Done || op.Call < create.Return || b.skewed(max(op.Return, create.Return)))
	})
}

// onlyCreate is the create of a ticket if the ticket has a single birth that reached the store directly; otherwise nil.
func (p *page) onlyCreate() *history.Op {
	var only *history.Op
	for _, op := range p.changes {
		if op.Kind == history.Create {
			if only != nil || op.Outcome != history.Done || op.Code == history.Spooled {
				return nil
			}
			only = op
		}
	}
	if len(p.inserts) > 0 || p.made != nil {
		return nil
	}
	return only
}

// older looks for changes that were acknowledged before the ticket's create, and were not set aside.
func (p *page) older(create *history.Op) []history.Violation {
	for _, op := range p.changes {
		if op.Kind != history.Create && op.Outcome == history.Done && op.Return < create.Call {
			return []history.Violation{violation(RuleLate, p.id,
				"a change was acknowledged before the ticket was created, and was not set aside", op, create)}
		}
	}
	return nil
}
