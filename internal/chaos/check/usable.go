package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// usable looks for what would make the other rules judge nonsense: an operation that ends before it begins, a client that does
// two things at once, a value that was written twice.
func usable(h *history.History) []history.Violation {
	var found []history.Violation
	ops := make([]*history.Op, len(h.Ops))
	for i := range h.Ops {
		ops[i] = &h.Ops[i]
	}
	slices.SortStableFunc(ops, func(x, y *history.Op) int { return cmp.Compare(x.Call, y.Call) })
	last := map[int]*history.Op{}
	type place struct {
		ticket       int64
		field, value string
	}
	wrote := map[place]*history.Op{}
	for _, op := range ops {
		if op.Return < op.Call {
			found = append(found, violation(RuleHistory, op.Ticket, "an operation returned before it was called", op))
		}
		if before := last[op.Client]; before != nil && op.Call < before.Return {
			told := fmt.Sprintf("client %d did two things at once", op.Client)
			found = append(found, violation(RuleHistory, op.Ticket, told, before, op))
		}
		last[op.Client] = op
		if !changes(op) || op.Ticket == 0 {
			continue
		}
		for field, value := range op.Fields {
			if value == nil || op.Outcome == history.Refused {
				continue
			}
			at := place{op.Ticket, field, *value}
			if before := wrote[at]; before != nil && (op.Request == "" || op.Request != before.Request) {
				found = append(found, violation(RuleHistory, op.Ticket,
					fmt.Sprintf("%s=%s was written twice, so nobody can tell whose it is", field, *value), before, op))
			}
			wrote[at] = op
		}
	}
	return found
}

// changes tells whether an operation asks for a change.
func changes(op *history.Op) bool {
	return op.Kind == history.Create || op.Kind == history.Set || op.Kind == history.Delete
}
