package chaos

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// duration is the time in which faults befall all topologies together; make chaos says more.
func duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TICKETD_TEST_DURATION")
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TICKETD_TEST_DURATION=%q is no duration", text)
	}
	return d
}

// seed makes a run's plan: the same seed for every run of all tests, a new seed for each make chaos without SEED.
func seed(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("TICKETD_TEST_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("TICKETD_TEST_SEED=%q is no number", text)
	}
	return n
}

// Clients write and read through each topology while faults happen, one or two at a time. In the end MySQL has every
// acknowledged change, no answer breaks a rule, and the daemons hold no more resources than at the beginning.
//
//nolint:paralleltest // one site after the other: together they would be too much for two processors
func TestChaos(t *testing.T) {
	number, each := seed(t), duration(t)/time.Duration(len(topologies))
	t.Logf("TICKETD_TEST_SEED=%d, %v for each topology", number, each)
	for _, top := range topologies {
		t.Run(top.name, func(t *testing.T) {
			for _, h := range befallen(t, top, number, each) {
				t.Log(history.Summary(h))
				report(t, h, verdict(h))
			}
		})
	}
}

// befallen runs a topology under the seed's plan and returns the histories of the site and of the site beside.
func befallen(t *testing.T, top topology, number int64, length time.Duration) []*history.History {
	t.Helper()
	begin := time.Now()
	s := newSite(t, top)
	sites := []*site{s}
	loads := []*workload{{site: s, seed: number, phps: phpClients, gos: goClients}}
	if s.beside != nil {
		sites = append(sites, s.beside.second)
		loads = append(loads, &workload{site: s.beside.second, seed: number, gos: secondClients})
	}
	var consumers []*consumer
	for _, one := range sites {
		one.warmUp(t)
		consumers = append(consumers, newConsumer(t, one))
	}
	up := time.Since(begin)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	for i, load := range loads {
		load.site.rec.begin()
		consumers[i].start(t.Context())
		load.makeCounters(t)
		load.start(ctx)
	}
	bad := newNemesis(s, s.rec)
	bad.run(ctx, makePlan(number, &top, length))
	<-ctx.Done() // calls after the last fault
	bad.report(t)
	for _, load := range loads {
		load.clients.Wait()
	}
	over := s.rec.now()
	var all []*history.History
	for i, one := range sites {
		if err := one.settle(t.Context()); err != nil {
			t.Errorf("%s is not settled within %v of the last fault: %v", one.name, settleWithin, err)
		}
		all = append(all, &history.History{
			Seed: number, Topology: one.name, Hosts: one.topology.hosts, Ops: one.rec.ops, Faults: s.rec.faults, Final: one.final(t),
			Unplanned: one.unplanned(s.rec.faults), Moved: one.moves(), Refuses: poison, Feed: consumers[i].settled(t),
		})
	}
	if s.beside != nil {
		all[0].Places = s.beside.places
	}
	settled := s.rec.now() - over
	for _, one := range sites {
		one.rested(t)
	}
	t.Logf("started in %v, befallen for %v, settled in %v", up.Round(time.Millisecond), over.Round(time.Millisecond),
		settled.Round(time.Millisecond))
	return all
}
