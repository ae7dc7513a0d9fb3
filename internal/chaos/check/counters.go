package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// counters demands that each counter's final number is at least the number of acknowledged increments, and at most that
// number plus the increments of unknown outcome; and that no two acknowledged increments made the same number, as the second
// would have undone the first.
func counters(b *book) []history.Violation {
	var found []history.Violation
	for _, ticket := range slices.Sorted(maps.Keys(b.counters)) {
		made := map[string]*history.Op{}
		done, unknown := 0, 0
		ops := b.counters[ticket]
		byCall(ops)
		for _, op := range ops {
			switch {
			case op.IfRevision == 0 || op.Outcome == history.Refused:
			case op.Outcome == history.Unknown:
				unknown++
			default:
				done++
				number := text(op.Fields[history.Counted])
				if first := made[number]; first != nil {
					found = append(found, violation(RuleCounters, ticket,
						fmt.Sprintf("two acknowledged increments made the counter %s: one of them is lost", number), first, op))
				}
				made[number] = op
			}
		}
		end, there := number(b, ticket)
		switch {
		case !there:
			found = append(found, violation(RuleCounters, ticket, "the counter has no number in the end", ops[0]))
		case end < done || end > done+unknown:
			found = append(found, violation(RuleCounters, ticket, fmt.Sprintf("the counter is %d in the end, after %d acknowledged "+
				"increments and %d of unknown outcome", end, done, unknown), ops[len(ops)-1]))
		}
	}
	return found
}

// number is a counter's in the end.
func number(b *book, ticket int64) (n int, there bool) {
	for _, row := range slices.Concat(b.history.Final.Rows, b.history.Final.Dead) { // a dead letter is newer than the row
		if value := row.Fields[history.Counted]; row.Ticket == ticket && value != nil && !row.Deleted {
			if number, err := strconv.Atoi(*value); err == nil {
				n, there = number, true
			}
		}
	}
	return n, there
}
