package round

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Side is a way to do the work.
type Side struct {
	Name string
	// Run does the work of a round and returns the cost of a piece of work.
	Run func(ctx context.Context) (Sample, error)
}

// Sample is the cost of a piece of work for a side in a round.
type Sample struct {
	// Value is the compared figure: mostly microseconds, or a rate.
	Value float64
	// CPU is the processor time of all processes in microseconds; 0 if not counted.
	CPU float64
	// Server is the part of CPU that the measured server took itself; 0 if not counted.
	Server float64
}

// Table holds the samples of each side by name, in the order of the rounds.
type Table map[string][]Sample

// Run runs so many rounds, after a first round that does not count.
func Run(ctx context.Context, rounds int, sides ...Side) (Table, error) {
	table := make(Table, len(sides))
	for r := range rounds + 1 {
		for i := range sides {
			side := sides[(i+r)%len(sides)]
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			sample, err := side.Run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", side.Name, err)
			}
			if r > 0 {
				table[side.Name] = append(table[side.Name], sample)
			}
		}
	}
	return table, nil
}

// Ratio is the value of side divided by the value of against, round by round.
func (t Table) Ratio(side, against string) Spread {
	return t.RatioOf(side, against, func(s Sample) float64 { return s.Value })
}

// RatioOf is the ratio of another figure of the samples.
func (t Table) RatioOf(side, against string, get func(Sample) float64) Spread {
	ratios := make([]float64, len(t[side]))
	for i := range ratios {
		ratios[i] = get(t[side][i]) / get(t[against][i])
	}
	return SpreadOf(ratios)
}

// Value is the spread of a side's values.
func (t Table) Value(side string) Spread {
	return SpreadOf(t.each(side, func(s Sample) float64 { return s.Value }))
}

// CPU is the spread of a side's processor times.
func (t Table) CPU(side string) Spread {
	return SpreadOf(t.each(side, func(s Sample) float64 { return s.CPU }))
}

// Server is the spread of the processor times of a side's server.
func (t Table) Server(side string) Spread {
	return SpreadOf(t.each(side, func(s Sample) float64 { return s.Server }))
}

func (t Table) each(side string, get func(Sample) float64) []float64 {
	values := make([]float64, len(t[side]))
	for i, s := range t[side] {
		values[i] = get(s)
	}
	return values
}

// Spread is the median of some values with quartiles: half of the values lie between Low and High.
type Spread struct {
	Median, Low, High float64
}

// Steady is the bound of Wide: how far apart the quartiles of a figure may be that can be believed.
const Steady = 1.3

// Wide says whether the quartiles are so far apart that the median cannot be believed.
func (s Spread) Wide() bool { return s.High > Steady*s.Low }

// SpreadOf computes the spread of values, NaN without values.
func SpreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	return Spread{Median: quantile(sorted, 0.5), Low: quantile(sorted, 0.25), High: quantile(sorted, 0.75)}
}

// quantile interpolates between neighbours, as type 7 of Hyndman and Fan (1996) does.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}
