package chaos

import (
	"fmt"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// verdict looks for what must not be in a history.
func verdict(h *history.History) []history.Violation {
	var found []history.Violation
	if h.Final.Dirty > 0 {
		found = append(found, history.Violation{Rule: "nothing stays dirty", Text: fmt.Sprintf("%d changes still wait", h.Final.Dirty)})
	}
	ids := make(map[int64]history.Op)
	for _, op := range h.Ops {
		if op.Kind != history.Create || op.Outcome != history.Done {
			continue
		}
		if other, twice := ids[op.Ticket]; twice {
			found = append(found, history.Violation{
				Rule: "ids are unique", Ticket: op.Ticket, Text: "given twice", Ops: []history.Op{other, op},
			})
		}
		ids[op.Ticket] = op
	}
	return found
}
