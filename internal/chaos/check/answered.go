package check

import (
	"strings"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// answered demands that each PHP page has an answer: what its call made, or an error of the client class, whichever of the
// daemon and MySQL is away. The bound is that of a page, not the client class' own deadline, as the machine may be busy. No fault
// befalls PHP-FPM itself.
func answered(b *book) []history.Violation {
	var found []history.Violation
	for i := range b.history.Ops {
		if op := &b.history.Ops[i]; strings.HasPrefix(op.Code, history.Unanswered) {
			found = append(found, violation(RuleAnswered, op.Ticket, "a "+string(op.Kind)+" of a page has no answer: "+op.Code, op))
		}
	}
	return found
}
