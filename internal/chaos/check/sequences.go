package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// sequences demands that a client which stays at a host never sees a field go back to a value that it saw replaced.
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

// witnessed are the operations after which their client knows values of the ticket, by the time of their return.
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

// sight is one client's view of a field.
type sight struct {
	client, host int
	field        string
}

// seen is what a client has seen of a field.
type seen struct {
	writer   *history.Op                 // of the value that it saw last
	at       *history.Op                 // when it saw it
	replaced map[*history.Op]*history.Op // writers of values that it saw before, and when it saw another one instead
}

// follow adds what the client sees now.
func (p *page) follow(b *book, s *seen, field string, value history.Value, op *history.Op) []history.Violation {
	writers := p.sources(b, field, value)
	if len(writers) != 1 { // it may be anybody's
		return nil
	}
	writer := writers[0]
	if slices.Contains(p.aside, writer) { // it goes when it is set aside
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
