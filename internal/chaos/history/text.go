package history

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Summary counts a history's operations and faults.
func Summary(h *History) string {
	ops, codes, faults := map[string]int{}, map[string]int{}, map[string]int{}
	longest := Op{}
	for i := range h.Ops {
		op := &h.Ops[i]
		ops[fmt.Sprintf("%s %s %s", op.Via, op.Kind, op.Outcome)]++
		if op.Code != "" {
			codes[fmt.Sprintf("%s %s", op.Via, op.Code)]++
		}
		if op.Return-op.Call > longest.Return-longest.Call {
			longest = *op
		}
	}
	for _, f := range h.Faults {
		faults[f.Kind]++
	}
	return fmt.Sprintf("%s, seed %d: %d operations: %s\ncodes: %s\n%d faults: %s\nlongest call: %v, a %s by %s (%s %s)\n"+
		"%d fail-overs without a fault; %d rows, %d dead letters, %d still dirty, %d moved, %d set aside%s",
		h.Topology, h.Seed, len(h.Ops), counts(ops), counts(codes), len(h.Faults), counts(faults),
		(longest.Return - longest.Call).Round(time.Millisecond), longest.Kind, longest.Via, longest.Outcome, longest.Code,
		h.Unplanned, len(h.Final.Rows), len(h.Final.Dead), h.Final.Dirty, len(h.Moved), len(h.Final.Aside), h.Feed.summary())
}

// summary counts the events of a feed, if there is one.
func (f *Feed) summary() string {
	if f == nil {
		return ""
	}
	kinds := map[string]int{}
	for i := range f.Events {
		kinds[f.Events[i].Kind]++
	}
	return fmt.Sprintf("\n%d events: %s; %d rows of the tickets' history", len(f.Events), counts(kinds), len(f.Kept))
}

// counts lists names with numbers.
func counts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}

// String shows a violation and its operations, an operation a line.
func (v *Violation) String() string {
	return fmt.Sprintf("violation of %q, ticket %d: %s\n%s", v.Rule, v.Ticket, v.Text, lines(v.Ops))
}

// lines shows operations, an operation a line.
func lines(ops []Op) string {
	var text strings.Builder
	for i := range ops {
		op := &ops[i]
		fmt.Fprintf(&text, "  %9.4fs to %9.4fs client %d on host %d by %s: %s %d%s -> %s %s revision %d%s\n",
			op.Call.Seconds(), op.Return.Seconds(), op.Client, op.Host, op.Via, op.Kind, op.Ticket, values(op.Fields),
			op.Outcome, op.Code, op.Revision, marks(op))
	}
	return text.String()
}

// marks lists the special properties of an operation.
func marks(op *Op) string {
	var text strings.Builder
	for _, mark := range []struct {
		name string
		is   bool
	}{
		{"stale", op.Stale}, {"must exist", op.MustExist}, {fmt.Sprintf("names %d", op.Named), op.Named != 0},
		{"reuses " + op.Request, op.Reused}, {"by AUTO_INCREMENT", op.Auto},
		{fmt.Sprintf("if revision is %d", op.IfRevision), op.IfRevision != 0}, {"ack " + op.Ack, op.Ack != ""},
	} {
		if mark.is {
			text.WriteString(" " + mark.name)
		}
	}
	return text.String()
}

func values(fields map[string]Value) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := "NULL"
		if v := fields[name]; v != nil {
			value = *v
		}
		text.WriteString(" " + name + "=" + value)
	}
	return text.String()
}
