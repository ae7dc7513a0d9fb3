package check

import (
	"math"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// model is one ticket as porcupine tries it out. Values are numbers there: 0 is the table's default.
type model struct {
	fields []string // the state's values are in this order
	values map[written]int
	seen   map[*history.Op]int64 // when an answer first showed a change for certain
	final  map[*history.Op]bool  // its value is there in the end
}

// phase is whether there is a ticket.
type phase int

const (
	absent phase = iota
	alive
	deleted
)

// state is a ticket between two operations. It is never changed, only replaced.
type state struct {
	phase phase
	// revision is the highest that was told so far. The true one may be higher, as that of a change whose outcome nobody
	// knows.
	revision int64
	values   []int
}

// input is an operation of the model.
type input struct {
	kind     history.Kind
	revision int64 // 0: none was told
	missing  bool
	slots    []int // of the fields that a change sets
	values   []int // of those, or of all that a read shows
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

// see notes that an answer at a time showed a change.
func (m *model) see(op *history.Op, at int64) {
	if first, seen := m.seen[op]; !seen || at < first {
		m.seen[op] = at
	}
}

// sighted is when a change had been made for certain, as somebody saw it; the end of time where nobody did.
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
			sum := uint64(before.revision)*4 + uint64(before.phase) //nolint:gosec // it only has to differ
			for _, value := range before.values {
				sum = sum*1_000_003 + uint64(value) //nolint:gosec // it only has to differ
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
