// The command judge checks histories that the fault suite has kept and prints the violations:
//
//	go run ./internal/chaos/judge dist/chaos/three-7.jsonl
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/chaos/history"
)

func main() {
	sound := true
	for _, path := range os.Args[1:] {
		n, err := judge(os.Stdout, path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		sound = sound && n == 0 && err == nil
	}
	if !sound {
		os.Exit(1)
	}
}

// judge prints a history's summary and violations and returns the number of violations.
func judge(w io.Writer, path string) (violations int, err error) {
	file, err := os.Open(path) //nolint:gosec // the file is an argument of a developer
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	h, err := history.Parse(file)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	found := check.All(h)
	for i := range found {
		fmt.Fprintln(w, found[i].String())
	}
	fmt.Fprintf(w, "%s\n%d violations\n", history.Summary(h), len(found))
	return len(found), nil
}
