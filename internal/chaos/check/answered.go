package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

const (
	// pageTime bounds a page's call in any outage: three times the deadline of the client class, because the machine may be
	// busy.
	pageTime = 3 * protocol.DefaultTimeout
	// pageCreateTime is that of a create, which asks the database for an id when the daemon has not answered.
	pageCreateTime = 2 * pageTime
)

// answered demands an answer to each PHP page in time: the result of the call, or an error of the client class, also while
// the daemon or MySQL is down. PHP-FPM has no faults.
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
	// excused is the number of pages in a run that may give up although the daemon had no fault.
	excused = 2
)

// deadline demands that a running daemon answers before the client gives up, in any outage of its servers.
//
// The suite's Go clients wait a second longer than the daemon works, enough for any busy machine: no Go client may give up. A
// page waits 200 ms longer, which a machine with two processors and a load of ten may exceed now and then; a bound of several
// times the daemon's limit would lie above the page's own deadline and find no violation. So of the pages for which the
// daemon works to the end of its time, most must get the daemon's answer.
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

// runs reports whether the daemons had no fault around an operation.
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

// mustMeet demands that a set with must_exist succeeds only if the ticket may exist, and is refused only if the ticket may
// not exist.
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

// revived reports whether a row may have been inserted in SQL under the id of a deleted ticket without a row, before a change
// of the ticket: then the ticket exists again, without a fault of ticketd.
func revived(p *page, gone, op *history.Op) bool {
	return slices.ContainsFunc(p.inserts, func(made *history.Op) bool { return made.Return > gone.Call && made.Call < op.Return })
}

// swallowed demands that no change of a deleted ticket is acknowledged. A daemon without its servers may not know of the
// deletion; changes in the spool are judged when the client no longer waits for the answer.
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
					!revived(p, gone, op) {
					found = append(found, violation(RuleDeleted, p.id, "a change of a deleted ticket was acknowledged", gone, op))
					break
				}
			}
		}
	}
	return found
}

// requests demands that the reuse of a request id for a different request is refused, and that a repetition gets the answer
// of the first request.
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

// held demands that a fault of a single ticket delays no other ticket: without other faults, changes and reads of other
// tickets are not answered unavailable.
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
