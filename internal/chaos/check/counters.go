package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// collectCounters finds the tickets that are counters.
func (b *book) collectCounters() {
	for i := range b.history.Ops {
		if op := &b.history.Ops[i]; op.Kind == history.Increment {
			b.counters[op.Ticket] = append(b.counters[op.Ticket], op)
		}
	}
}

// counts tells whether a ticket is a counter.
func (b *book) counts(ticket int64) bool { return len(b.counters[ticket]) > 0 }

// counters demands that each counter's number in the end is that of the increments that were acknowledged, and of those of
// unknown outcome at most; and that no two acknowledged increments made the same number, as the second of them undid the first.
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
		end, there := b.number(ticket)
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
func (b *book) number(ticket int64) (n int, there bool) {
	for _, row := range slices.Concat(b.history.Final.Rows, b.history.Final.Dead) { // a dead letter is newer than its row
		if value := row.Fields[history.Counted]; row.Ticket == ticket && value != nil && !row.Deleted {
			if number, err := strconv.Atoi(*value); err == nil {
				n, there = number, true
			}
		}
	}
	return n, there
}
