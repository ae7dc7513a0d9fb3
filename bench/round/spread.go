package round

import (
	"math"
	"slices"
)

// Spread is the median of some values with their quartiles: half of the values lie between Low and High.
type Spread struct {
	Median, Low, High float64
}

// SpreadOf computes it. Of no values it is not a number.
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
