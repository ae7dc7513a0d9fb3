package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// The rules that a history can break.
const (
	RuleHistory    = "the history is usable"
	RuleNowhere    = "nothing comes from nowhere"
	RuleIDs        = "ids are unique"
	RuleOwner      = "a ticket has one owner"
	RuleLate       = "a late change is not older than its ticket"
	RuleAbsent     = "a change that must meet a ticket makes none"
	RuleReused     = "a request id stands for one request"
	RuleForeign    = "nothing leaves its own table"
	RuleRevisions  = "revisions only grow"
	RuleUnique     = "a revision is given once"
	RuleOwnWrites  = "you read what you wrote"
	RuleStale      = "what was acknowledged is read"
	RuleMonotonic  = "reads do not go back"
	RuleLinear     = "one host is linearizable"
	RuleUndecided  = "every ticket is decided"
	RuleFinal      = "the last value is in MySQL"
	RuleMissing    = "every acknowledged ticket has a row"
	RuleDeleted    = "deleted stays deleted"
	RuleTwice      = "a create makes one ticket"
	RuleLeftDirty  = "nothing stays dirty"
	RuleFinalLower = "MySQL has the highest revision"
	RuleCounters   = "no increment is lost"
	RuleAnswered   = "every page is answered"
	RuleDeadline   = "the daemon answers before its client gives up"
	RuleBorn       = "a ticket is as old as its first change"
	RuleHeld       = "a ticket holds up no other"
	RuleUntold     = "every change is told"
	RuleFeedOrder  = "the feed tells in order"
	RuleChain      = "an event names the one before"
	RuleInvented   = "the feed tells what was made"
	RuleFollowed   = "who follows has what MySQL has"
	RuleKept       = "the history is the feed's"
)

// All judges a history by every rule. Violations come in the order of the rules above, then of the tickets. A history that
// contradicts itself breaks the first rule, and All checks no other rules.
func All(h *history.History) []history.Violation {
	if found := usable(h); len(found) > 0 {
		return found
	}
	b := newBook(h)
	var found []history.Violation
	for _, rule := range []func(*book) []history.Violation{
		values, ids, owners, late, mustMeet, swallowed, requests, places, revisions, reads, sequences, linear, final, counters,
		answered, deadline, born, held, feeds,
	} {
		of := rule(b)
		slices.SortStableFunc(of, func(x, y history.Violation) int { return cmp.Compare(x.Ticket, y.Ticket) })
		found = append(found, of...)
	}
	return found
}

// violation makes a violation with its operations by time of call.
func violation(rule string, ticket int64, text string, ops ...*history.Op) history.Violation {
	v := history.Violation{Rule: rule, Ticket: ticket, Text: text}
	for _, op := range ops {
		v.Ops = append(v.Ops, *op)
	}
	slices.SortStableFunc(v.Ops, func(x, y history.Op) int { return cmp.Compare(x.Call, y.Call) })
	return v
}

// usable looks for contradictions on which the other rules would fail: an operation that ends before its call, a client with
// two operations at once, a value written twice.
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
			told := fmt.Sprintf("client %d had two operations at once", op.Client)
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
					fmt.Sprintf("%s=%s was written twice, so the writer is uncertain", field, *value), before, op))
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

// listing shows the fields of a ticket.
func listing(fields map[string]history.Value) string {
	parts := make([]string, 0, len(fields))
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, field+"="+text(fields[field]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// text shows a value.
func text(value history.Value) string {
	if value == nil {
		return "NULL"
	}
	return strconv.Quote(*value)
}
