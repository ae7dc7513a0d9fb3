package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// shown is how many violations are printed in full.
const shown = 10

// report prints violations and keeps the history.
func report(t *testing.T, h *history.History, violations []history.Violation) {
	t.Helper()
	for i := range violations[:min(len(violations), shown)] {
		t.Error(violations[i].String())
	}
	if len(violations) > shown {
		t.Errorf("and %d violations more", len(violations)-shown)
	}
	if t.Failed() {
		t.Logf("the history is kept in %s; make chaos SEED=%d DURATION=%s repeats the plan", keep(t, h), h.Seed, duration(t))
	}
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
