package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ticketd/ticketd/bench/round"
)

// side is one way of a comparison.
type side struct {
	name  string
	value float64 // the median, in the line's own unit
	ratio round.Spread
	cpu   float64 // microseconds of processor time for one piece of work; 0: not counted
}

// timed is the line of one side's ratio to another, where a value is a time in microseconds; all sides stand beside it.
func timed(what string, table round.Table, of, against string, t target) line {
	return compared(what, table, of, against, t, "µs")
}

// rated is the same where a value is a rate per second.
func rated(what string, table round.Table, of, against string, t target) line {
	return compared(what, table, of, against, t, "/s")
}

func compared(what string, table round.Table, of, against string, t target, unit string) line {
	l := line{what: what, value: table.Ratio(of, against), unit: "×", target: t, sideUnit: unit}
	for name := range table {
		l.sides = append(l.sides, side{
			name: name, value: table.Value(name).Median, ratio: table.Ratio(name, against), cpu: table.CPU(name).Median,
		})
	}
	slices.SortFunc(l.sides, func(a, b side) int {
		return cmp.Or(cmp.Compare(a.ratio.Median, b.ratio.Median), cmp.Compare(a.name, b.name))
	})
	return l
}

// withoutSides is the line alone: its sides stand beside an earlier line of the same measurement.
func withoutSides(l line) line {
	l.sides = nil
	return l
}

// text shows a side on one line.
func (s *side) text(unit string) string {
	text := fmt.Sprintf("%-28s %10.1f %s %7s ×", s.name, s.value, unit, figure(s.ratio.Median))
	if s.cpu > 0 {
		text += fmt.Sprintf("   processor %7.1f µs", s.cpu)
	}
	return text
}
