package check

import (
	"cmp"
	"slices"

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
)

// All judges a history by every rule. What is wrong comes in the order of the rules above and of the tickets. A history that
// cannot be judged, as it contradicts itself, breaks the first rule and is looked at no further.
func All(h *history.History) []history.Violation {
	if found := usable(h); len(found) > 0 {
		return found
	}
	b := newBook(h)
	var found []history.Violation
	for _, rule := range []func(*book) []history.Violation{
		values, ids, owners, late, mustMeet, swallowed, requests, places, revisions, reads, sequences, linear, final, counters,
		answered, deadline, born, held,
	} {
		of := rule(b)
		slices.SortStableFunc(of, func(x, y history.Violation) int { return cmp.Compare(x.Ticket, y.Ticket) })
		found = append(found, of...)
	}
	return found
}

// violation makes one, its operations in the order of time.
func violation(rule string, ticket int64, text string, ops ...*history.Op) history.Violation {
	v := history.Violation{Rule: rule, Ticket: ticket, Text: text}
	for _, op := range ops {
		v.Ops = append(v.Ops, *op)
	}
	slices.SortStableFunc(v.Ops, func(x, y history.Op) int { return cmp.Compare(x.Call, y.Call) })
	return v
}
