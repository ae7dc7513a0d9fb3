package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// pageTime bounds a page's call, whatever is away: three times the client class' own deadline, as the machine may be busy.
	pageTime = 3 * protocol.DefaultTimeout
	// pageCreateTime is that of a create, which asks the database for an id when the daemon has not answered.
	pageCreateTime = 2 * pageTime
)

// answered demands that each PHP page has an answer in time: what its call made, or an error of the client class, whichever of
// the daemon and MySQL is away. No fault befalls PHP-FPM itself.
func answered(b *book) []history.Violation {
	var found []history.Violation
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		if strings.HasPrefix(op.Code, history.Unanswered) {
			found = append(found, violation(RuleAnswered, op.Ticket, "a "+string(op.Kind)+" of a page has no answer: "+op.Code, op))
			continue
		}
		limit := pageTime
		if op.Kind == history.Create {
			limit = pageCreateTime
		}
		if took := op.Return - op.Call; op.Via == "php" && took > limit {
			text := fmt.Sprintf("a %s of a page took %v, more than %v", op.Kind, took.Round(time.Millisecond), limit)
			found = append(found, violation(RuleAnswered, op.Ticket, text, op))
		}
	}
	return found
}

const (
	// pageWork is how long the daemon works on a request of a page, and pageWaits for how long the page waits: see
	// daemon.Dispatcher.
	pageWork  = pageWaits * 4 / 5
	pageWaits = protocol.DefaultTimeout
	// excused is how many pages may give up in a run although all was well with their daemon.
	excused = 2
)

// deadline demands that the daemon answers before its client gives up, whatever it waits for, while it runs itself.
//
// The suite's Go clients wait for a second longer than the daemon works, which no busy machine takes: none of them may give up. A
// page waits for 200 ms longer, and a machine with two processors and a load of ten may take that now and then; a bound of
// several times the daemon's limit would lie above the page's own deadline, and find nothing. So of the pages for which the
// daemon works to the end of its time, most must have its answer.
func deadline(b *book) []history.Violation {
	var found []history.Violation
	var late []*history.Op
	told := 0
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		took := op.Return - op.Call
		isPage := op.Via == "php"
		switch {
		case !b.runs(op):
		case !isPage && op.Code == "timeout":
			found = append(found, violation(RuleDeadline, op.Ticket, "a client gave up before the daemon answered", op))
		case isPage && (op.Code == "timeout" || op.Code == history.Spooled && took >= pageWaits):
			late = append(late, op)
		case isPage && took >= pageWork && took < pageWaits:
			told++
		}
	}
	if len(late) > max(excused, told) {
		text := fmt.Sprintf("%d pages gave up before the daemon answered, and %d had its answer at the end of its time",
			len(late), told)
		found = append(found, violation(RuleDeadline, 0, text, late[:min(len(late), most)]...))
	}
	return found
}

// runs says that nothing befell the daemons themselves around an operation.
func (b *book) runs(op *history.Op) bool {
	for i := range b.history.Faults {
		f := &b.history.Faults[i]
		part, _, _ := strings.Cut(f.Kind, "-")
		if (part == "daemon" || part == "moved") && f.From <= op.Return && op.Call <= f.To+convalescence {
			return false
		}
	}
	return true
}
