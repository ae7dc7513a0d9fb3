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
	// patience is how long one ticket may take to be decided, and all of them together.
	patience = 20 * time.Second
	allTime  = 5 * time.Minute
	// most is how many of the operations around a contradiction are shown.
	most = 8
)

// linear demands that each ticket's operations, and its row in the end, could have happened one after the other. It concerns
// one host: several are not promised to.
func linear(b *book) []history.Violation {
	for i := range b.history.Ops {
		if b.history.Ops[i].Host != b.history.Ops[0].Host {
			return nil
		}
	}
	return b.linear(patience, time.Now().Add(allTime))
}

// linear judges the tickets one by one. What cannot be decided in time is reported as well: it may be wrong.
func (b *book) linear(each time.Duration, until time.Time) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		// it is unknown when ticketd saw a row of SQL, or when a change was set aside that was seen before
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

// around are the operations that the longest order which explains answers ends with, and the first ones that it lacks.
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

// operations are the ticket's, as porcupine takes them. A change has been made at the latest when somebody has seen what it
// wrote. One of unknown outcome that wrote what nobody ever saw need not be thought of.
func (p *page) operations(m *model) []porcupine.Operation {
	first := firstChange(p.changes)
	var ops []porcupine.Operation
	for _, op := range p.changes {
		end := m.sighted(op)
		switch {
		case op.Outcome == history.Done:
			end = min(end, int64(op.Return))
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

// ending is a read of the ticket after everything else.
func (p *page) ending(m *model) porcupine.Operation {
	revision := int64(math.MaxInt64)
	if p.row != nil && p.dead == nil {
		revision = p.row.Revision
	}
	const after = math.MaxInt64 - 1
	return porcupine.Operation{Input: m.read(p.last(), revision, !p.alive()), Call: after, Return: after, Metadata: &history.Op{}}
}
