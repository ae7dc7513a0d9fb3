package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// Report tells people what is wrong: for each violation its rule, its ticket, what happened, and the operations that show
// it in the order of time.
func Report(found []history.Violation) string {
	var out strings.Builder
	for i := range found {
		v := &found[i]
		out.WriteString("broken: " + v.Rule)
		if v.Ticket != 0 {
			fmt.Fprintf(&out, " (ticket %d)", v.Ticket)
		}
		out.WriteString("\n  " + v.Text + "\n")
		for n := range v.Ops {
			out.WriteString("    " + Line(&v.Ops[n]) + "\n")
		}
	}
	return out.String()
}

// Line tells of one operation: from when to when, who asked whom for what, and with what outcome.
func Line(op *history.Op) string {
	when := fmt.Sprintf("%11.6fs to %11.6fs", op.Call.Seconds(), op.Return.Seconds())
	asked := fmt.Sprintf("%s  client %d, host %d: %s", when, op.Client, op.Host, op.Kind)
	if op.Ticket != 0 {
		asked += " " + strconv.FormatInt(op.Ticket, 10)
	}
	if changes(op) && len(op.Fields) > 0 {
		asked += " " + listing(op.Fields)
	}
	return asked + " → " + outcome(op)
}

func outcome(op *history.Op) string {
	var parts []string
	if op.Outcome != history.Done {
		parts = append(parts, string(op.Outcome))
	}
	switch {
	case op.Missing:
		parts = append(parts, "no such ticket")
	case !changes(op) && op.Outcome == history.Done:
		parts = append(parts, listing(op.Fields))
	}
	if op.Revision != 0 {
		parts = append(parts, "revision "+strconv.FormatInt(op.Revision, 10))
	}
	if op.Stale {
		parts = append(parts, "marked stale")
	}
	if op.Code != "" {
		parts = append(parts, op.Code)
	}
	if len(parts) == 0 {
		return string(op.Outcome)
	}
	return strings.Join(parts, ", ")
}

func listing(fields map[string]history.Value) string {
	parts := make([]string, 0, len(fields))
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, field+"="+text(fields[field]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// text is a value as people read it.
func text(value history.Value) string {
	if value == nil {
		return "NULL"
	}
	return strconv.Quote(*value)
}
