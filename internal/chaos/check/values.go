package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// values demands that whatever is shown of a ticket was written to it before, or is the table's default.
func values(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		for _, read := range p.reads {
			found = append(found, p.origins(b, read.Fields, read, "an answer shows")...)
		}
		if p.row != nil {
			found = append(found, p.origins(b, p.row.Fields, nil, "MySQL has")...)
		}
		if p.dead != nil {
			found = append(found, p.origins(b, p.dead.Fields, nil, "a dead letter has")...)
		}
		if p.row != nil && len(p.changes) == 0 && len(p.inserts) == 0 && !b.moved(p) && !b.nobodys(p) {
			found = append(found, violation(RuleNowhere, p.id, "MySQL has a ticket that nobody made", p.refused...))
		}
	}
	return found
}

// nobodys tells whether a deleted row may be of a create whose client gave up waiting and left it in the spool, so that the
// daemon made it twice and removed the ticket of which nobody has the id. Where it was removed before it was flushed, only
// defaults are left.
func (b *book) nobodys(p *page) bool {
	if p.row == nil || !p.row.Deleted {
		return false
	}
	for field, value := range p.row.Fields {
		if value != nil && !equal(value, b.initial(field)) {
			return false
		}
	}
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		if op.Kind == history.Create && op.Code == history.Spooled && op.Named == 0 {
			return true
		}
	}
	return false
}

// moved tells whether a create got this id later, perhaps one that gave nothing but NULL, so that its values do not tell.
func (b *book) moved(p *page) bool {
	return slices.ContainsFunc(b.history.Moved, func(m history.Moved) bool { return m.To == p.id })
}

// origins looks for who wrote the fields. Without a read they are those of the end.
func (p *page) origins(b *book, fields map[string]history.Value, read *history.Op, where string) []history.Violation {
	var found []history.Violation
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		writers := p.sources(b, field, value)
		early := func(op *history.Op) bool { return read != nil && op != nil && op.Call > read.Return }
		switch {
		case len(writers) == 0 && read == nil && p.lateOnDeleted(field, value):
		case len(writers) == 0:
			text := fmt.Sprintf("%s %s=%s, which nobody wrote to this ticket", where, field, text(value))
			found = append(found, violation(RuleNowhere, p.id, text, p.suspects(b, field, value, read)...))
		case !slices.ContainsFunc(writers, func(op *history.Op) bool { return !early(op) }):
			text := fmt.Sprintf("%s %s=%s before it was written", where, field, text(value))
			found = append(found, violation(RuleNowhere, p.id, text, read, writers[0]))
		}
	}
	return found
}

// lateOnDeleted tells whether a deleted ticket's row has what a set wanted that was refused because of the deletion: it may have
// been on its way to Redis, and be made there when nothing of the ticket is held any more. Nobody sees such a row.
func (p *page) lateOnDeleted(field string, value history.Value) bool {
	return p.row != nil && p.row.Deleted && slices.ContainsFunc(p.refused, func(op *history.Op) bool {
		wrote, there := op.Fields[field]
		return there && equal(wrote, value) && op.Code == "not_found"
	})
}

// suspects are the operations that tell where a value may come from: refused ones, and those of other tickets.
func (p *page) suspects(b *book, field string, value history.Value, read *history.Op) []*history.Op {
	var ops []*history.Op
	if read != nil {
		ops = append(ops, read)
	}
	for _, op := range p.refused {
		if wrote, there := op.Fields[field]; there && equal(wrote, value) {
			ops = append(ops, op)
		}
	}
	if value == nil {
		return ops
	}
	for _, other := range b.pages() {
		ops = append(ops, other.writers[writtenOf(field, value)]...)
	}
	return ops
}
