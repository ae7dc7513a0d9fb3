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
			found = append(found, p.sources(b, read.Fields, read, "an answer shows")...)
		}
		if p.row != nil {
			found = append(found, p.sources(b, p.row.Fields, nil, "MySQL has")...)
		}
		if p.dead != nil {
			found = append(found, p.sources(b, p.dead.Fields, nil, "a dead letter has")...)
		}
		if p.row != nil && len(p.changes) == 0 {
			found = append(found, violation(RuleNowhere, p.id, "MySQL has a ticket that nobody made", p.refused...))
		}
	}
	return found
}

// sources looks for who wrote the fields. Without a read they are those of the end.
func (p *page) sources(b *book, fields map[string]history.Value, read *history.Op, where string) []history.Violation {
	var found []history.Violation
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		writer := p.writers[writtenOf(field, value)]
		switch {
		case equal(value, b.initial(field)): // also where somebody has written the same later
		case writer == nil:
			text := fmt.Sprintf("%s %s=%s, which nobody wrote to this ticket", where, field, text(value))
			found = append(found, violation(RuleNowhere, p.id, text, p.suspects(b, field, value, read)...))
		case read != nil && writer.Call > read.Return:
			text := fmt.Sprintf("%s %s=%s before it was written", where, field, text(value))
			found = append(found, violation(RuleNowhere, p.id, text, read, writer))
		}
	}
	return found
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
		if op := other.writers[writtenOf(field, value)]; op != nil {
			ops = append(ops, op)
		}
	}
	return ops
}
