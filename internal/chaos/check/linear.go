package check

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

const (
	// patience bounds the time to decide a ticket, and allTime the time for all tickets.
	patience = 20 * time.Second
	allTime  = 5 * time.Minute
	// most is how many of the operations around a contradiction are shown.
	most = 8
)

// linear demands that each ticket's operations and the final row fit a sequential order. The promise holds for a single host
// only.
func linear(b *book) []history.Violation {
	for i := range b.history.Ops {
		if b.history.Ops[i].Host != b.history.Ops[0].Host {
			return nil
		}
	}
	return b.linear(patience, time.Now().Add(allTime))
}

func newModel(b *book, p *page) *model {
	m := &model{fields: p.fields(), values: map[written]int{}, seen: map[*history.Op]int64{}, final: map[*history.Op]bool{}}
	for _, field := range m.fields {
		m.values[writtenOf(field, b.initial(field))] = 0
	}
	for _, read := range p.reads {
		for field, value := range read.Fields {
			w := writtenOf(field, value)
			m.number(w)
			if of := p.sources(b, field, value); len(of) == 1 && of[0] != nil && !read.Stale {
				m.see(of[0], int64(read.Return))
			}
		}
	}
	for field, value := range p.last() {
		for _, op := range p.writers[writtenOf(field, value)] {
			m.final[op] = true
		}
	}
	return m
}

// linear judges the tickets in turn. An undecided ticket is reported, too: the ticket may break the rule.
func (b *book) linear(each time.Duration, until time.Time) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		// unknown: when ticketd saw a row of SQL, or when a change that was seen earlier was set aside
		if len(p.changes) == 0 || len(p.inserts) > 0 || len(p.aside) > 0 || p.disputed() {
			continue
		}
		left := min(each, time.Until(until))
		if left <= 0 {
			found = append(found, violation(RuleUndecided, p.id, "there was no time left to decide whether the ticket is linearizable"))
			continue
		}
		found = append(found, p.linear(b, left)...)
	}
	return found
}

func (p *page) linear(b *book, limit time.Duration) []history.Violation {
	m := newModel(b, p)
	ops := p.operations(m)
	all := slices.Concat(ops, []porcupine.Operation{p.ending(m)})
	switch porcupine.CheckOperationsTimeout(m.porcupine(), all, limit) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return []history.Violation{violation(RuleUndecided, p.id,
			fmt.Sprintf("whether the ticket's %d operations are linearizable was not decided within %v", len(ops), limit))}
	case porcupine.Illegal:
	}
	if porcupine.CheckOperationsTimeout(m.porcupine(), ops, limit) == porcupine.Ok {
		told := "no order of the ticket's operations ends in what MySQL has: " + p.end()
		return []history.Violation{violation(RuleFinal, p.id, told, newest(p)...)}
	}
	_, info := porcupine.CheckOperationsVerbose(m.porcupine(), ops, limit)
	told := "no order of the ticket's operations explains all answers; these are around the first that none explains"
	return []history.Violation{violation(RuleLinear, p.id, told, around(ops, &info)...)}
}

// end tells how the ticket ended.
func (p *page) end() string {
	if !p.alive() {
		return "no ticket"
	}
	return listing(p.last())
}

// newest are the last changes of the ticket.
func newest(p *page) []*history.Op { return p.changes[max(0, len(p.changes)-most):] }

// around returns the last operations of the longest order that explains answers, and the first operations missing from that
// order.
func around(ops []porcupine.Operation, info *porcupine.LinearizationInfo) []*history.Op {
	var longest []int
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	explained := map[int]bool{}
	for _, i := range longest {
		explained[i] = true
	}
	var shown []*history.Op
	for _, i := range longest[max(0, len(longest)-most/2):] {
		shown = append(shown, source(ops, i))
	}
	var lacking []*history.Op
	for i := range ops {
		if !explained[i] && ops[i].Return != math.MaxInt64 {
			lacking = append(lacking, source(ops, i))
		}
	}
	byCall(lacking)
	return append(shown, lacking[:min(len(lacking), most/2)]...)
}

func source(ops []porcupine.Operation, i int) *history.Op {
	op, _ := ops[i].Metadata.(*history.Op)
	return op
}

// operations are the ticket's operations for porcupine. A change takes effect at the latest when an answer shows its value. A
// change of unknown outcome whose value no answer shows is left out, unless the ticket may exist by that change alone.
func (p *page) operations(m *model) []porcupine.Operation {
	first := firstChange(p.changes)
	unseen := first == nil && !p.alive() && !slices.ContainsFunc(p.reads, func(op *history.Op) bool { return !op.Missing })
	var ops []porcupine.Operation
	for _, op := range p.changes {
		end := m.sighted(op)
		switch {
		case op.Outcome == history.Done:
			end = min(end, int64(op.Return))
		case unseen:
			continue
		case end == math.MaxInt64 && op.Kind != history.Delete && first != nil && first.Return < op.Call && !m.inTheEnd(op):
			continue
		}
		ops = append(ops, operation(op, m.change(op), end))
	}
	for _, op := range p.reads {
		if op.Stale {
			continue
		}
		ops = append(ops, operation(op, m.read(op.Fields, op.Revision, op.Missing), int64(op.Return)))
	}
	return ops
}

func operation(op *history.Op, in *input, end int64) porcupine.Operation {
	return porcupine.Operation{ClientId: op.Client, Input: in, Call: int64(op.Call), Return: end, Metadata: op}
}

// ending is a read of the ticket after all other operations.
func (p *page) ending(m *model) porcupine.Operation {
	revision := int64(math.MaxInt64)
	if p.row != nil && p.dead == nil {
		revision = p.row.Revision
	}
	const after = math.MaxInt64 - 1
	return porcupine.Operation{Input: m.read(p.last(), revision, !p.alive()), Call: after, Return: after, Metadata: &history.Op{}}
}

// model is the porcupine model of a ticket. Values are numbers: 0 is the table's default.
type model struct {
	fields []string // the state's values are in this order
	values map[written]int
	seen   map[*history.Op]int64 // when an answer first showed a change for certain
	final  map[*history.Op]bool  // the final value is the change's
}

// phase says whether the ticket exists.
type phase int

const (
	absent phase = iota
	alive
	deleted
)

// state is a ticket between two operations, and immutable.
type state struct {
	phase phase
	// revision is the highest known revision. The true revision may be higher, from a change of unknown outcome.
	revision int64
	values   []int
}

// input is an operation of the model.
type input struct {
	kind     history.Kind
	revision int64 // 0: unknown
	missing  bool
	slots    []int // of the fields that a change sets
	values   []int // of slots, or of all fields that a read shows
}

// see notes that an answer at a time showed a change.
func (m *model) see(op *history.Op, at int64) {
	if first, seen := m.seen[op]; !seen || at < first {
		m.seen[op] = at
	}
}

// sighted is when an answer first showed a change for certain, or the end of time.
func (m *model) sighted(op *history.Op) int64 {
	if at, seen := m.seen[op]; seen {
		return at
	}
	return math.MaxInt64
}

// inTheEnd tells whether the ticket ended with a change's value.
func (m *model) inTheEnd(op *history.Op) bool { return m.final[op] }

func (m *model) number(w written) int {
	n, known := m.values[w]
	if !known {
		n = len(m.values) + 1
		m.values[w] = n
	}
	return n
}

func (m *model) change(op *history.Op) *input {
	in := &input{kind: op.Kind, revision: op.Revision}
	for slot, field := range m.fields {
		if value, sets := op.Fields[field]; sets {
			in.slots = append(in.slots, slot)
			in.values = append(in.values, m.number(writtenOf(field, value)))
		}
	}
	return in
}

func (m *model) read(fields map[string]history.Value, revision int64, missing bool) *input {
	in := &input{kind: history.Get, revision: revision, missing: missing}
	for _, field := range m.fields {
		in.values = append(in.values, m.number(writtenOf(field, fields[field])))
	}
	return in
}

func (m *model) porcupine() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return &state{values: make([]int, len(m.fields))} },
		Step: func(s, in, _ any) (bool, any) {
			before, _ := s.(*state)
			op, _ := in.(*input)
			if op.kind == history.Get {
				return before.shows(op), before
			}
			return true, before.changed(op)
		},
		Equal: func(x, y any) bool {
			a, _ := x.(*state)
			b, _ := y.(*state)
			return a.phase == b.phase && a.revision == b.revision && slices.Equal(a.values, b.values)
		},
		Hash: func(s any) uint64 {
			before, _ := s.(*state)
			sum := uint64(before.revision)*4 + uint64(before.phase) //nolint:gosec // any hash is correct
			for _, value := range before.values {
				sum = sum*1_000_003 + uint64(value) //nolint:gosec // any hash is correct
			}
			return sum
		},
	}
}

// shows tells whether a read may show the state.
func (s *state) shows(op *input) bool {
	if op.missing {
		return s.phase != alive
	}
	return s.phase == alive && op.revision >= s.revision && slices.Equal(s.values, op.values)
}

// changed is the state after a change. A change of a deleted ticket that was accepted all the same has no effect.
func (s *state) changed(op *input) *state {
	next := &state{phase: alive, revision: max(s.revision, op.revision), values: s.values}
	switch {
	case s.phase == deleted:
		return s
	case op.kind == history.Delete:
		next.phase = deleted
		return next
	}
	next.values = slices.Clone(s.values)
	for i, slot := range op.slots {
		next.values[slot] = op.values[i]
	}
	return next
}
