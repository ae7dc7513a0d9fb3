package chaos

import (
	"math/rand/v2"
	"slices"
	"time"
)

// step is a fault of a plan.
type step struct {
	At, Length time.Duration // since the run's start; how long until healing
	Kind       string
	Host       int // whose daemon, network, disk or clock; which of several masters
	Amount     int // how much, in the kind's own unit
}

// kind is a fault that a plan may have.
type kind struct {
	name    string
	weight  int // weight in the random choice
	longest time.Duration
	per     bool // the fault hits a single host, not a shared server
	amount  int  // most
}

// The faults of each topology; faults_test.go explains them.
var (
	daemonKinds = []kind{
		{name: "daemon-kill", weight: 4, longest: 2 * time.Second, per: true},
		{name: "daemon-pause", weight: 3, longest: 3 * time.Second, per: true},
		{name: "daemon-restart", weight: 2, longest: time.Second, per: true},
		{name: "clock-skew", weight: 2, longest: 4 * time.Second, per: true, amount: 600},
		{name: "journal-full", weight: 2, longest: 2 * time.Second, per: true},
		{name: "spool-full", weight: 1, longest: 2 * time.Second, per: true},
		{name: "spool-owner", weight: 1, longest: 2 * time.Second, per: true},
		{name: "spool-replaced", weight: 1, longest: time.Second, per: true},
		{name: "spool-away", weight: 1, longest: 2 * time.Second, per: true},
		{name: "journal-gone", weight: 1, longest: time.Second, per: true},
	}
	mysqlKinds = []kind{
		{name: "mysql-kill", weight: 2, longest: 2 * time.Second},
		{name: "mysql-pause", weight: 2, longest: 3 * time.Second},
		{name: "mysql-restart", weight: 1, longest: time.Second},
		{name: "mysql-cut", weight: 2, longest: 3 * time.Second, per: true},
		{name: "mysql-slow", weight: 2, longest: 3 * time.Second, per: true, amount: 300},
		{name: "mysql-reset", weight: 2, longest: 2 * time.Second, per: true},
		{name: "mysql-locked", weight: 2, longest: 3 * time.Second},
		{name: "mysql-preset", weight: 2, longest: 3 * time.Second, amount: 1000},
		{name: "revoke", weight: 2, longest: 3 * time.Second},
		{name: "alter-add", weight: 1, longest: 2 * time.Second},
		{name: "alter-length", weight: 1, longest: 2 * time.Second},
	}
	redisKinds = []kind{
		{name: "redis-kill", weight: 4, longest: 2 * time.Second},
		{name: "redis-pause", weight: 3, longest: 3 * time.Second},
		{name: "redis-restart", weight: 2, longest: time.Second},
		{name: "redis-cut", weight: 3, longest: 3 * time.Second, per: true},
		{name: "redis-slow", weight: 2, longest: 3 * time.Second, per: true, amount: 300},
		{name: "redis-reset", weight: 2, longest: 2 * time.Second, per: true},
		{name: "redis-memory", weight: 2, longest: 2 * time.Second},
		{name: "script-flush", weight: 2, longest: 100 * time.Millisecond},
	}
	// Daemons that stand before tables which are not the site's; see neighbours_test.go.
	neighbourKinds = []kind{
		{name: "clone", weight: 1, longest: 2 * time.Second},
		{name: "moved", weight: 1, longest: 2 * time.Second},
	}
	// Faults of the nodes of a set that heals itself; a paused master goes on before its replacement, see topology_test.go.
	nodeKinds = []kind{
		{name: "master-kill", weight: 4, longest: time.Second},
		{name: "master-pause", weight: 3, longest: 250 * time.Millisecond},
		{name: "replica-kill", weight: 2, longest: time.Second},
		{name: "redis-memory", weight: 2, longest: 2 * time.Second},
		{name: "script-flush", weight: 2, longest: 100 * time.Millisecond},
	}
)

// makePlan makes the faults of a topology for a time: a lane that always has a fault, and a second lane that mostly rests.
// The same seed gives the same plan.
func makePlan(seed int64, top *topology, length time.Duration) [][]step {
	kinds := top.kinds()
	var plan [][]step
	for lane := range 2 {
		r := rand.New(rand.NewPCG(uint64(seed), uint64(top.number)<<8|uint64(lane)))
		longestRest := []time.Duration{500 * time.Millisecond, 4 * time.Second}[lane]
		var steps []step
		for at := length/calm + rest(r, longestRest); ; {
			s := top.step(r, kinds)
			if top.neighbours && len(steps) == 0 {
				s.Kind = []string{"clone", "moved"}[lane] // at least a fault of each kind, however short the run
			}
			s.At = at
			if s.At+s.Length > length-healing {
				break
			}
			steps = append(steps, s)
			at += s.Length + rest(r, longestRest)
		}
		plan = append(plan, steps)
	}
	return plan
}

// calm is the part of a run's time, one in so many, before the first fault: in it also the rules hold that need running
// servers.
const calm = 6

// healing is the time at the end of a run without faults.
const healing = 500 * time.Millisecond

func rest(r *rand.Rand, longest time.Duration) time.Duration {
	return 100*time.Millisecond + time.Duration(r.Int64N(int64(longest)))
}

// step draws a fault: first the target, so that each part of the site has its share, then the kind.
func (top *topology) step(r *rand.Rand, groups [][]kind) step {
	kinds := groups[r.IntN(len(groups))]
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	k, at := kinds[0], r.IntN(total)
	for _, k = range kinds {
		if at -= k.weight; at < 0 {
			break
		}
	}
	s := step{Kind: k.name, Length: 50*time.Millisecond + time.Duration(r.Int64N(int64(k.longest)))}
	host, amount := r.IntN(top.hosts), r.IntN(2*max(k.amount, 1))
	if k.per {
		s.Host = host
	}
	s.Amount = amount - k.amount // in two directions, for faults with a direction
	return s
}

// kinds are the faults of a topology, by target.
func (top *topology) kinds() [][]kind {
	groups := [][]kind{slices.Clone(daemonKinds), mysqlKinds}
	if top.neighbours {
		groups = append(groups, neighbourKinds)
		groups[0] = slices.DeleteFunc(groups[0], func(k kind) bool { return k.name == "clock-skew" })
	}
	switch top.redis {
	case alone:
		groups = append(groups, redisKinds)
	case sentinels, cluster:
		groups = append(groups, nodeKinds)
		for i := range groups[0] {
			groups[0][i].amount = min(groups[0][i].amount, nodesSkew)
		}
	case none:
	}
	if !mayMount() {
		groups[0] = slices.DeleteFunc(groups[0], func(k kind) bool { return k.name == "journal-full" || k.name == "spool-full" })
	}
	return groups
}

// nodesSkew is by how many seconds clocks differ where a fail-over takes three.
const nodesSkew = 2
