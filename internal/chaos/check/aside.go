package check

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// setAside takes the changes that lie in a spool's bad/ in the end, as they are older than their ticket's create, out of what
// their pages must show. Their host's readers may have seen them before.
func (b *book) setAside() {
	for i := range b.history.Final.Aside {
		entry := &b.history.Final.Aside[i]
		p := b.tickets[entry.Ticket]
		if b.counts(entry.Ticket) || p == nil && b.changedID(entry.Ticket) {
			continue
		}
		is := func(op *history.Op) bool { return isOf(entry, op) }
		asked := func(op *history.Op) bool { return is(op) || isOfCreate(entry, op) }
		if p == nil || !slices.ContainsFunc(slices.Concat(p.changes, p.aside), asked) {
			b.unasked = append(b.unasked, entry)
			continue
		}
		for _, op := range p.changes {
			if is(op) {
				p.aside = append(p.aside, op)
			}
		}
		p.changes = slices.DeleteFunc(p.changes, is)
	}
}

// isOfCreate tells whether what was set aside is what a daemon had kept of its own create for a fail-over, after which another
// ticket had the id: fields, as a set of them would be. The create stays where it is, as MySQL may have had it before.
func isOfCreate(entry *history.Aside, op *history.Op) bool {
	return entry.Kind == history.Set && op.Kind == history.Create && entry.Host == op.Host && hasValueOf(entry, op)
}

// changedID tells whether a ticket is one of those that [book.release] leaves out.
func (b *book) changedID(id int64) bool {
	return slices.ContainsFunc(b.history.Moved, func(m history.Moved) bool { return m.From == id || m.To == id })
}

// isOf tells whether a client's operation asked for what was set aside. What a daemon has kept for a fail-over is the merged
// fields of several operations, so one value tells; PHP's client class does not say its request ids.
func isOf(entry *history.Aside, op *history.Op) bool {
	switch {
	case entry.Kind != op.Kind || entry.Host != op.Host:
		return false
	case entry.Request != "" && entry.Request == op.Request:
		return true
	case entry.Kind == history.Delete:
		return op.Request == ""
	}
	return hasValueOf(entry, op) || maps.EqualFunc(entry.Fields, op.Fields, equal)
}

func hasValueOf(entry *history.Aside, op *history.Op) bool {
	for field, value := range op.Fields {
		if value != nil && equal(entry.Fields[field], value) {
			return true
		}
	}
	return false
}

// late demands that a change which was set aside is older than its ticket's create, and that one which certainly is older was set
// aside: it is in no place else, as the create would have met it there. Where revisions are ahead of the clocks when it arrives,
// which is unknown, it is made.
func late(b *book) []history.Violation {
	var found []history.Violation
	for _, entry := range b.unasked {
		found = append(found, violation(RuleLate, entry.Ticket,
			fmt.Sprintf("host %d has set aside what nobody asked for: %s %s", entry.Host, entry.Kind, listing(entry.Fields))))
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

// mayPredate tells whether a change may have been acknowledged before its ticket was created, by the clocks of both hosts. It is
// dated by its call at the earliest, and the create by its answer at the latest. A create that nobody was told of may be of any
// time.
func (p *page) mayPredate(b *book, op *history.Op) bool {
	if p.made != nil {
		return true
	}
	return slices.ContainsFunc(p.changes, func(create *history.Op) bool {
		return create.Kind == history.Create &&
			(create.Outcome != history.Done || op.Call < create.Return || b.skewed(max(op.Return, create.Return)))
	})
}

// onlyCreate is the create of a ticket that one alone has made, and that came to the store directly; nil where there is none.
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

// wellAt is well for faults that befall an operation's own host, or all of them.
func (b *book) wellAt(op *history.Op) bool {
	own := fmt.Sprintf(" %d", op.Host)
	for i := range b.history.Faults {
		f := &b.history.Faults[i]
		ofOne := strings.HasPrefix(f.Target, "daemon ") || strings.HasPrefix(f.Target, "link ")
		part, _, _ := strings.Cut(f.Kind, "-")
		isHis := !ofOne || strings.HasSuffix(f.Target, own)
		if isHis && !slices.Contains(unnoticed, part) && f.From <= op.Return && op.Call <= f.To+convalescence {
			return false
		}
	}
	return true
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
