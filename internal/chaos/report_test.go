package chaos

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// summary counts a history's operations and faults.
func summary(h *history.History) string {
	ops, codes, faults := map[string]int{}, map[string]int{}, map[string]int{}
	longest := history.Op{}
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
		"%d rows, %d dead letters, %d still dirty", h.Topology, h.Seed, len(h.Ops), counts(ops), counts(codes),
		len(h.Faults), counts(faults), (longest.Return - longest.Call).Round(time.Millisecond), longest.Kind, longest.Via,
		longest.Outcome, longest.Code, len(h.Final.Rows), len(h.Final.Dead), h.Final.Dirty)
}

// counts lists names with numbers.
func counts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}

// shown is how many violations are printed in full.
const shown = 10

// report prints violations and keeps the history that has them.
func report(t *testing.T, h *history.History, violations []history.Violation) {
	t.Helper()
	for _, v := range violations[:min(len(violations), shown)] {
		t.Errorf("violation of %s, ticket %d: %s\n%s", v.Rule, v.Ticket, v.Text, lines(v.Ops))
	}
	if len(violations) > shown {
		t.Errorf("and %d violations more", len(violations)-shown)
	}
	if t.Failed() {
		t.Logf("the history is kept in %s; make chaos SEED=%d DURATION=%s repeats the plan", keep(t, h), h.Seed, duration(t))
	}
}

// lines shows operations, one a line, faults apart.
func lines(ops []history.Op) string {
	var text strings.Builder
	for i := range ops {
		op := &ops[i]
		fmt.Fprintf(&text, "  %9.4fs to %9.4fs client %d on host %d by %s: %s %d%s -> %s %s revision %d%s\n",
			op.Call.Seconds(), op.Return.Seconds(), op.Client, op.Host, op.Via, op.Kind, op.Ticket, values(op.Fields),
			op.Outcome, op.Code, op.Revision, map[bool]string{true: " stale"}[op.Stale])
	}
	return text.String()
}

func values(fields map[string]history.Value) string {
	var text strings.Builder
	for _, name := range sorted(fields) {
		value := "NULL"
		if v := fields[name]; v != nil {
			value = *v
		}
		text.WriteString(" " + name + "=" + value)
	}
	return text.String()
}

// keep writes the history to a file that outlives the test.
func keep(t *testing.T, h *history.History) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "dist", "chaos"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d.jsonl", h.Topology, h.Seed))
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := history.Write(file, h); err != nil {
		t.Fatal(err)
	}
	return path
}
