package round

import (
	"context"
	"fmt"
)

// Side is one of the ways.
type Side struct {
	Name string
	// Run does the work of one round and returns what one piece of it cost.
	Run func(ctx context.Context) (Sample, error)
}

// Sample is what one piece of work cost a side in one round.
type Sample struct {
	// Value is what is compared: mostly microseconds, or a rate.
	Value float64
	// CPU are the microseconds of processor time that all processes together spent; 0 where nobody counted.
	CPU float64
}

// Table holds the samples of each side, by its name, in the order of the rounds.
type Table map[string][]Sample

// Run runs so many rounds, after one that is not counted.
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

// Ratio is one side's value against another's, round by round.
func (t Table) Ratio(side, against string) Spread {
	ratios := make([]float64, len(t[side]))
	for i := range ratios {
		ratios[i] = t[side][i].Value / t[against][i].Value
	}
	return SpreadOf(ratios)
}

// Value is what a side's samples say.
func (t Table) Value(side string) Spread {
	return SpreadOf(t.each(side, func(s Sample) float64 { return s.Value }))
}

// CPU is what a side's samples say of the processor time.
func (t Table) CPU(side string) Spread {
	return SpreadOf(t.each(side, func(s Sample) float64 { return s.CPU }))
}

func (t Table) each(side string, get func(Sample) float64) []float64 {
	values := make([]float64, len(t[side]))
	for i, s := range t[side] {
		values[i] = get(s)
	}
	return values
}
