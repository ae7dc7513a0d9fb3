package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// convalescence is how long after a fault a daemon may not have found its servers again.
const convalescence = 3 * time.Second

// Faults that leave alone what an operation needs: those that no operation notices, and those of MySQL.
var (
	unnoticed = []string{"clock", "journal", "spool", "script"}
	mysqls    = append([]string{"mysql", "revoke", "alter"}, unnoticed...)
)

// well tells whether the servers that an operation's daemon asks were there for it, whatever befell others. While they are not,
// ticketd goes on with what its own host knows.
func (b *book) well(op *history.Op, others []string) bool {
	for i := range b.history.Faults {
		f := &b.history.Faults[i]
		part, _, _ := strings.Cut(f.Kind, "-")
		if !slices.Contains(others, part) && f.From <= op.Return && op.Call <= f.To+convalescence {
			return false
		}
	}
	return true
}

// mustMeet demands that a set which must meet a ticket was done only where there may have been one, and refused only where there
// may have been none.
func mustMeet(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		made := func(op *history.Op, by time.Duration) bool { // a stray may have made any ticket unseen
			return !op.MustExist && op.Kind != history.Delete && op.Call < by
		}
		for _, op := range p.changes {
			may := func(other *history.Op) bool { return made(other, op.Return) }
			others := slices.Concat(p.changes, p.aside, p.inserts, b.strays)
			if op.MustExist && op.Outcome == history.Done && !slices.ContainsFunc(others, may) {
				found = append(found, violation(RuleAbsent, p.id, "a set that must meet a ticket was acknowledged, and there was none", op))
			}
		}
		for _, op := range p.refused {
			if op.MustExist && op.Code == "not_found" && !p.disputed() {
				found = append(found, p.missing(b, op)...)
			}
		}
	}
	return found
}

// revived says that a row may have been made in SQL under the id of a deleted ticket that had no row, before a change of it:
// then there is a ticket of that id again, which is not ticketd's doing.
func (p *page) revived(gone, op *history.Op) bool {
	return slices.ContainsFunc(p.inserts, func(made *history.Op) bool { return made.Return > gone.Call && made.Call < op.Return })
}

// swallowed demands that no change of a deleted ticket is acknowledged. Without its servers a daemon may not know of the
// deletion; what the client leaves in the spool is judged when no client waits for the answer any more.
func swallowed(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		if p.disputed() {
			continue // the deletion may have been of a create's ticket that never came to the row
		}
		for _, op := range p.changes {
			if op.Kind != history.Set || op.Outcome != history.Done || op.Code == history.Spooled || !b.well(op, mysqls) {
				continue
			}
			for _, gone := range p.changes {
				if gone.Kind == history.Delete && gone.Outcome == history.Done && gone.Code != history.Spooled && b.before(gone, op) &&
					!p.revived(gone, op) {
					found = append(found, violation(RuleDeleted, p.id, "a change of a deleted ticket was acknowledged", gone, op))
					break
				}
			}
		}
	}
	return found
}

// requests demands that a request id which was used before for something else is refused, and that a repetition gets the answer
// of the first.
func requests(b *book) []history.Violation {
	var found []history.Violation
	type request struct {
		kind history.Kind
		id   string
	}
	first := map[request]*history.Op{}
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		if op.Request == "" || !changes(op) || op.Outcome != history.Done {
			continue
		}
		if op.Reused {
			if b.well(op, mysqls) {
				found = append(found, violation(RuleReused, op.Ticket,
					fmt.Sprintf("the request id %s was used for something else before, and is acknowledged", op.Request), op))
			}
			continue
		}
		name := request{op.Kind, op.Request}
		before := first[name]
		if before == nil {
			first[name] = op
			continue
		}
		told := before.Revision != 0 && op.Revision != 0 && before.Revision != op.Revision
		if told && b.quiet(before.Call, before.Return) && b.well(op, mysqls) {
			found = append(found, violation(RuleReused, op.Ticket,
				fmt.Sprintf("a repetition received revision %d, the request %d", op.Revision, before.Revision), before, op))
		}
	}
	return found
}
