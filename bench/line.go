package main

import (
	"fmt"
	"io"

	"github.com/ticketd/ticketd/bench/round"
)

// line is one measured figure with its target.
type line struct {
	what     string
	value    round.Spread
	unit     string // "×", "MB"; empty for a plain number
	target   target
	sides    []side // of a comparison, by their ratio
	sideUnit string
	notes    []string // what else a reader must know
}

// target is what a figure must reach; the zero value is none.
type target struct {
	atMost, atLeast float64
}

func (t target) String() string {
	switch {
	case t.atMost > 0:
		return fmt.Sprintf("at most %g", t.atMost)
	case t.atLeast > 0:
		return fmt.Sprintf("at least %g", t.atLeast)
	default:
		return ""
	}
}

// met says whether the median reaches the target.
func (l *line) met() bool {
	return (l.target.atMost == 0 || l.value.Median <= l.target.atMost) && l.value.Median >= l.target.atLeast
}

func (l *line) verdict() string {
	switch {
	case l.target == target{}:
		return "no target"
	case l.met():
		return "reached"
	default:
		return "MISSED"
	}
}

// print shows the line for a terminal.
func (l *line) print(out io.Writer) {
	verdict := l.verdict()
	if t := l.target.String(); t != "" {
		verdict = t + ": " + verdict
	}
	fmt.Fprintf(out, "%-64s %s   %s\n", l.what, spread(l.value, l.unit), verdict)
	for i := range l.sides {
		fmt.Fprintf(out, "    %s\n", l.sides[i].text(l.sideUnit))
	}
	for _, n := range l.notes {
		fmt.Fprintf(out, "    %s\n", n)
	}
}

// spread shows a median and, where they differ from it, its quartiles.
func spread(s round.Spread, unit string) string {
	text := figure(s.Median)
	if unit != "" {
		text += " " + unit
	}
	if low, high := figure(s.Low), figure(s.High); low != high {
		text += fmt.Sprintf(" (%s to %s)", low, high)
	}
	return text
}

// figure shows a number with three digits that count.
func figure(f float64) string { return fmt.Sprintf("%.3g", f) }
