package check

import (
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// reads demands that each answer which is not marked stale shows what had been acknowledged before, or something newer.
func reads(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		if p.disputed() {
			continue
		}
		for _, read := range p.reads {
			if read.Stale {
				continue
			}
			if read.Missing {
				found = append(found, p.missing(b, read)...)
				continue
			}
			if gone := p.deletedBefore(b, read); gone != nil {
				found = append(found, violation(RuleDeleted, p.id, "a ticket is read that was deleted before", gone, read))
			}
			found = append(found, p.old(b, read)...)
		}
	}
	return found
}

// missing judges an answer that there is no such ticket.
func (p *page) missing(b *book, read *history.Op) []history.Violation {
	for _, op := range slices.Concat(p.changes, p.aside) {
		if op.Kind == history.Delete && op.Call < read.Return {
			return nil
		}
	}
	for _, op := range p.changes {
		if b.before(op, read) {
			return []history.Violation{violation(ruleOf(op, read), p.id, "a ticket is not found that was there before", op, read)}
		}
	}
	return nil
}

// ruleOf tells whose change it is that a read does not show.
func ruleOf(change, read *history.Op) string {
	if change.Client == read.Client {
		return RuleOwnWrites
	}
	return RuleStale
}

func (p *page) deletedBefore(b *book, op *history.Op) *history.Op {
	for _, gone := range p.changes {
		if gone.Kind == history.Delete && b.before(gone, op) {
			return gone
		}
	}
	return nil
}

// old judges the fields that an answer shows.
func (p *page) old(b *book, read *history.Op) []history.Violation {
	var found []history.Violation
	for _, field := range p.fields() {
		value := read.Fields[field]
		writer, newer := p.outdated(b, field, value, read)
		if newer == nil {
			continue
		}
		told := fmt.Sprintf("%s=%s is read, after %s was acknowledged", field, text(value), text(newer.Fields[field]))
		if writer == nil {
			found = append(found, violation(ruleOf(newer, read), p.id, told, newer, read))
			continue
		}
		found = append(found, violation(ruleOf(newer, read), p.id, told, writer, newer, read))
	}
	return found
}

// fields are those of the ticket that somebody set, by name.
func (p *page) fields() []string {
	if p.names == nil {
		set := map[string]struct{}{}
		for w := range p.writers {
			set[w.field] = struct{}{}
		}
		p.names = slices.Sorted(maps.Keys(set))
	}
	return p.names
}

// outdated tells whether a value was certainly replaced before an operation: by which change, and whose it was, which is nil for
// the table's default. Where several may have written it, it is that only if all of them were replaced.
func (p *page) outdated(b *book, field string, value history.Value, op *history.Op) (writer, newer *history.Op) {
	for _, writer = range p.sources(b, field, value) {
		if newer = p.newer(b, writer, field, op); newer == nil {
			return nil, nil
		}
	}
	return writer, newer
}

// newer is a change of a field that certainly came after an older one, and before an operation; nil where there is none. An
// older one that is nil is the table's default.
func (p *page) newer(b *book, older *history.Op, field string, op *history.Op) *history.Op {
	from := 0
	if older != nil {
		from = sort.Search(len(p.changes), func(i int) bool { return p.changes[i].Call > older.Return })
	}
	for _, change := range p.changes[from:] {
		if change.Call >= op.Call {
			return nil
		}
		if _, sets := change.Fields[field]; !sets || !b.before(change, op) {
			continue
		}
		if older == nil || b.before(older, change) {
			return change
		}
	}
	return nil
}
