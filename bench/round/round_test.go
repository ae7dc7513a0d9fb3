package round

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// Each side runs once a round, the first place moves on, and the first round is not counted.
func TestRunInterleaves(t *testing.T) {
	t.Parallel()
	var order []string
	side := func(name string) Side {
		runs := 0.0
		return Side{Name: name, Run: func(context.Context) (Sample, error) {
			order = append(order, name)
			runs++
			return Sample{Value: runs, CPU: 10 * runs, Server: 2.5 * runs}, nil
		}}
	}
	table, err := Run(t.Context(), 2, side("a"), side("b"), side("c"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "abcbcacab" {
		t.Errorf("order %s, want abcbcacab", got)
	}
	for _, name := range []string{"a", "b", "c"} {
		if want := []Sample{{2, 20, 5}, {3, 30, 7.5}}; !slices.Equal(table[name], want) {
			t.Errorf("%s: %v, want %v", name, table[name], want)
		}
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := Run(t.Context(), 1, Side{Name: "a", Run: func(context.Context) (Sample, error) { return Sample{}, broken }})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "a: ") {
		t.Errorf("error %v, want one of side a", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Run(ctx, 1, Side{Name: "a", Run: func(context.Context) (Sample, error) { return Sample{}, nil }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// Ratios are taken within the rounds: a machine that slows down for all sides changes no ratio.
func TestRatioIsPerRound(t *testing.T) {
	t.Parallel()
	table := Table{
		"a": {{Value: 1}, {Value: 10}, {Value: 100}},
		"b": {{Value: 2}, {Value: 20}, {Value: 200}},
	}
	if got, want := table.Ratio("a", "b"), (Spread{0.5, 0.5, 0.5}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := table.Value("b").Median; got != 20 {
		t.Errorf("median %v, want 20", got)
	}
	twice := func(s Sample) float64 { return 2 * s.Value * s.Value }
	if got, want := table.RatioOf("a", "b", twice), (Spread{0.25, 0.25, 0.25}); got != want {
		t.Errorf("ratio of another figure: %v, want %v", got, want)
	}
}

func TestWide(t *testing.T) {
	t.Parallel()
	if (Spread{Median: 1, Low: 0.9, High: 1.1}).Wide() || !(Spread{Median: 1, Low: 0.8, High: 1.1}).Wide() {
		t.Error("0.9 to 1.1 is steady, 0.8 to 1.1 is wide")
	}
}

func TestSpreadOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1.75, 3.25}},
		{[]float64{5, 1, 4, 2, 3}, Spread{3, 2, 4}},
	} {
		if got := SpreadOf(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	if got := SpreadOf(nil).Median; !math.IsNaN(got) {
		t.Errorf("nothing: %v, want NaN", got)
	}
}
