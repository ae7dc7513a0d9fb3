package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// reads demands that each answer not marked stale shows the latest acknowledged change, or a newer change.
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

// missing judges an answer that the ticket does not exist.
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

// ruleOf returns the rule for a change that a read does not show: own write or foreign write.
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

// fields are the fields that any operation set, by name.
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

// outdated reports whether a value was certainly replaced before an operation, with the writer (nil for the table's default)
// and the change that replaced the value. With several possible writers, all of them must have been replaced.
func (p *page) outdated(b *book, field string, value history.Value, op *history.Op) (writer, newer *history.Op) {
	for _, writer = range p.sources(b, field, value) {
		if newer = p.newer(b, writer, field, op); newer == nil {
			return nil, nil
		}
	}
	return writer, newer
}

// newer is a change of a field that certainly came after older and before op, or nil. A nil older stands for the table's
// default.
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

// values demands that every shown value of a ticket was written to the ticket earlier, or is the table's default.
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
			found = append(found, violation(RuleNowhere, p.id, "MySQL has a ticket without a create", p.refused...))
		}
	}
	return found
}

// nobodys reports whether a deleted row may be of a create whose client gave up waiting and left the create in the spool, so
// that the daemon made a second ticket and removed the ticket whose id no client has. A ticket removed before its flush has
// only defaults.
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

// moved reports whether a create got this id later, also a create with only NULL values, which show no writer.
func (b *book) moved(p *page) bool {
	return slices.ContainsFunc(b.history.Moved, func(m history.Moved) bool { return m.To == p.id })
}

// origins looks for the writers of the fields. A nil read stands for the end.
func (p *page) origins(b *book, fields map[string]history.Value, read *history.Op, where string) []history.Violation {
	var found []history.Violation
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		writers := p.sources(b, field, value)
		early := func(op *history.Op) bool { return read != nil && op != nil && op.Call > read.Return }
		switch {
		case len(writers) == 0 && read == nil && p.lateOnDeleted(field, value):
		case len(writers) == 0:
			text := fmt.Sprintf("%s %s=%s, which was never written to this ticket", where, field, text(value))
			found = append(found, violation(RuleNowhere, p.id, text, p.suspects(b, field, value, read)...))
		case !slices.ContainsFunc(writers, func(op *history.Op) bool { return !early(op) }):
			text := fmt.Sprintf("%s %s=%s before it was written", where, field, text(value))
			found = append(found, violation(RuleNowhere, p.id, text, read, writers[0]))
		}
	}
	return found
}

// lateOnDeleted reports whether a deleted ticket's row has a value of a set that was refused because of the deletion: the set
// may have been on its way to Redis, and is made after Redis has dropped the ticket. No reader sees such a row.
func (p *page) lateOnDeleted(field string, value history.Value) bool {
	return p.row != nil && p.row.Deleted && slices.ContainsFunc(p.refused, func(op *history.Op) bool {
		wrote, there := op.Fields[field]
		return there && equal(wrote, value) && op.Code == "not_found"
	})
}

// suspects are the operations that a value may come from: refused operations, and operations on other tickets.
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

// sequences demands that a client at a host never sees a field go back to a value that the client saw replaced.
func sequences(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		if p.disputed() {
			continue
		}
		sights := map[sight]*seen{}
		for _, op := range p.witnessed() {
			for _, field := range p.fields() {
				value, there := op.Fields[field]
				if changes(op) && !there {
					continue
				}
				at := sight{op.Client, op.Host, field}
				if sights[at] == nil {
					sights[at] = &seen{replaced: map[*history.Op]*history.Op{}}
				}
				found = append(found, p.follow(b, sights[at], field, value, op)...)
			}
		}
	}
	return found
}

// witnessed are the operations after which the client knows values of the ticket, by time of return.
func (p *page) witnessed() []*history.Op {
	var ops []*history.Op
	for _, op := range slices.Concat(p.changes, p.reads) {
		if op.Outcome == history.Done && op.Kind != history.Delete && !op.Stale && !op.Missing {
			ops = append(ops, op)
		}
	}
	slices.SortStableFunc(ops, func(x, y *history.Op) int { return cmp.Compare(x.Return, y.Return) })
	return ops
}

// sight is a client's view of a field.
type sight struct {
	client, host int
	field        string
}

// seen is the history of a field as a client saw the field.
type seen struct {
	writer   *history.Op                 // of the last seen value
	at       *history.Op                 // the operation that showed the last value
	replaced map[*history.Op]*history.Op // writers of earlier values, with the operation that showed a later value
}

// follow adds the value that the client sees now.
func (p *page) follow(b *book, s *seen, field string, value history.Value, op *history.Op) []history.Violation {
	writers := p.sources(b, field, value)
	if len(writers) != 1 { // the writer is uncertain
		return nil
	}
	writer := writers[0]
	if slices.Contains(p.aside, writer) { // the value disappears when the change is set aside
		return nil
	}
	last, at := s.writer, s.at
	if writer == last {
		s.at = op
		return nil
	}
	s.writer, s.at = writer, op
	told := fmt.Sprintf("a client sees %s=%s again, after it had seen another value", field, text(value))
	if instead := s.replaced[writer]; instead != nil {
		return []history.Violation{violation(RuleMonotonic, p.id, told, instead, at, op)}
	}
	if last == nil {
		return nil
	}
	s.replaced[last] = op
	if writer == nil || b.before(writer, last) {
		told = fmt.Sprintf("a client sees %s=%s, after it had seen the later %s", field, text(value), text(last.Fields[field]))
		return []history.Violation{violation(RuleMonotonic, p.id, told, last, at, op)}
	}
	return nil
}

// grain is how exact the time of creation is: stores keep milliseconds.
const grain = time.Millisecond

// born demands that each shown time of creation is that of the ticket's first change: not before its call, and not after the
// first acknowledgement of a change.
func born(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		if len(p.changes) == 0 || len(p.inserts) > 0 || p.disputed() { // a row of SQL has the time of its INSERT
			continue
		}
		first := p.changes[0]
		acknowledged := firstChange(p.changes)
		for _, read := range p.reads {
			if read.Created == 0 {
				continue
			}
			if read.Created < first.Call-grain || acknowledged != nil && read.Created > acknowledged.Return {
				text := fmt.Sprintf("an answer says that the ticket was made at %v", read.Created)
				found = append(found, violation(RuleBorn, p.id, text, first, read))
			}
		}
	}
	return found
}
