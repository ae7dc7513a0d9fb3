package overload

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// tally counts the outcomes and durations of calls. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	count map[string]int
	took  []time.Duration // of the last calls, at most keepTimes
	next  int
}

// keepTimes bounds the durations of a tally: a run of minutes would have millions.
const keepTimes = 1 << 16

func (t *tally) add(err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[string]int{}
	}
	t.count[outcome(err)]++
	if len(t.took) < keepTimes {
		t.took = append(t.took, took)
		return
	}
	t.took[t.next] = took
	t.next = (t.next + 1) % keepTimes
}

// of is how many calls had any of these outcomes.
func (t *tally) of(outcomes ...string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range outcomes {
		n += t.count[o]
	}
	return n
}

// besides are the calls without any of these outcomes.
func (t *tally) besides(outcomes ...string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var others []string
	for _, o := range slices.Sorted(maps.Keys(t.count)) {
		if !slices.Contains(outcomes, o) {
			others = append(others, fmt.Sprintf("%d × %s", t.count[o], o))
		}
	}
	return others
}

// at is the time that the share q of the calls took at most.
func (t *tally) at(q float64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) == 0 {
		return 0
	}
	sorted := slices.Clone(t.took)
	slices.Sort(sorted)
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (t *tally) String() string {
	half, most, longest := t.at(0.5), t.at(0.99), t.at(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	for o, n := range t.count {
		parts = append(parts, fmt.Sprintf("%d %s", n, o))
	}
	sort.Strings(parts)
	return fmt.Sprintf("%s; half within %v, 99%% within %v, all within %v", strings.Join(parts, ", "),
		half.Round(10*time.Microsecond), most.Round(10*time.Microsecond), longest.Round(10*time.Microsecond))
}
