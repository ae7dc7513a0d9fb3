package check

import (
	"strings"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// answered demands that each PHP page has an answer: a call ends at its deadline, with what it made or with an error of the client
// class, whichever of the daemon and MySQL is away. No fault befalls PHP-FPM itself.
func answered(b *book) []history.Violation {
	var found []history.Violation
	for i := range b.history.Ops {
		if op := &b.history.Ops[i]; strings.HasPrefix(op.Code, history.Unanswered) {
			found = append(found, violation(RuleAnswered, op.Ticket, "a "+string(op.Kind)+" of a page has no answer: "+op.Code, op))
		}
	}
	return found
}
