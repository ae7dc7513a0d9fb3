package check

import (
	"fmt"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// held demands that what concerns one ticket holds up no other: while nothing else is wrong, changes and reads of other tickets
// are not answered unavailable.
func held(b *book) []history.Violation {
	var found []history.Violation
	for i := range b.history.Faults {
		f := &b.history.Faults[i]
		if f.Ticket == 0 {
			continue
		}
		for n := range b.history.Ops {
			op := &b.history.Ops[n]
			if op.Ticket != 0 && op.Ticket != f.Ticket && f.From <= op.Call && op.Return <= f.To && op.Outcome != history.Done &&
				op.Code == "unavailable" && b.only(f, op) {
				text := fmt.Sprintf("a %s is refused because of ticket %d", op.Kind, f.Ticket)
				found = append(found, violation(RuleHeld, op.Ticket, text, op))
			}
		}
	}
	return found
}

// only says that no other fault may concern an operation.
func (b *book) only(f *history.Fault, op *history.Op) bool {
	for i := range b.history.Faults {
		if other := &b.history.Faults[i]; other != f && other.From <= op.Return && op.Call <= other.To+convalescence {
			return false
		}
	}
	return true
}
