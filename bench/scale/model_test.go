package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the module's, from where the command reads the pages.
const root = "../.."

func pages(t *testing.T) Costs {
	t.Helper()
	costs, err := ReadCosts(filepath.Join(root, performancePage), filepath.Join(root, architecturePage))
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

// near fails unless a figure is the closed form's, within a part of it.
func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within*want {
		t.Errorf("%s: simulated %.4g, closed form %.4g", what, got, want)
	}
}

// Every figure is found on the pages, in its unit: a page without it, or a figure of another column, would change the table.
func TestCostsAreThePages(t *testing.T) {
	t.Parallel()
	c := pages(t)
	for _, of := range []struct {
		name     string
		got      time.Duration
		from, to time.Duration
	}{
		{"update", c.Update, 50 * time.Microsecond, 2 * time.Millisecond},
		{"page", c.Page, 10 * time.Millisecond, 200 * time.Millisecond},
		{"write", c.Write, 8 * time.Microsecond, 100 * time.Microsecond},
		{"claim", c.Claim, 3 * time.Microsecond, 50 * time.Microsecond},
		{"ack", c.Ack, 3 * time.Microsecond, 50 * time.Microsecond},
		{"carry", c.Carry, 3 * time.Microsecond, 100 * time.Microsecond},
		{"row", c.Row, 10 * time.Microsecond, 200 * time.Microsecond},
		{"statement", c.Statement, 50 * time.Microsecond, 5 * time.Millisecond},
	} {
		if of.got < of.from || of.got > of.to {
			t.Errorf("%s: %v, want %v to %v", of.name, of.got, of.from, of.to)
		}
	}
	empty := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(empty, []byte("no figures"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCosts(empty, empty); err == nil {
		t.Error("a page without figures has costs")
	}
}

// One master with updates at random times is an M/D/1 queue: the mean time in it is s + ρs/2(1-ρ).
func TestRedisQueueIsThePollaczekKhinchine(t *testing.T) {
	t.Parallel()
	costs := Costs{Write: 20 * time.Microsecond} // the flush costs nothing
	for _, use := range []float64{0.3, 0.6, 0.8} {
		l := Layout{Hosts: 8, HostCores: 1, Masters: 1, Servers: 1, Cores: 1, Sites: 1, Spread: 8, Tickets: 1000}
		l.Rate = use / costs.Write.Seconds()
		r := Simulate(l, costs, 7)
		s := costs.Write.Seconds()
		near(t, "time in Redis", r.MeanWrite.Seconds(), s+use*s/(2*(1-use)), 0.08)
		near(t, "updates", float64(r.Updates), l.Rate*measured.Seconds(), 0.03)
	}
}

// A steady stream has rounds a gap G apart. After its claim, a ticket with λ changes a second is claimed again at the first round
// that is a linger L after its next change X: after G⌈(X+L)/G⌉, in the mean G(1 + e^-λ(G-L) / (1-e^-λG)) for L below G. The
// changes of that time share a row.
func TestCoalescingIsTheClosedForm(t *testing.T) {
	t.Parallel()
	costs := Costs{Update: 1000, Write: 1000, Claim: 100, Ack: 100, Carry: 100, Row: 100, Statement: 1000} // ns: no queues
	// changes of a ticket a second
	const often, sometimes, seldom = 10, 2, 0.5
	for _, each := range []float64{often, sometimes, seldom} {
		l := Layout{Hosts: 1, HostCores: 4, Masters: 1, Servers: 1, Cores: 4, Sites: 1, Spread: 1, Tickets: 400}
		l.Rate = each * float64(l.Tickets)
		var rows, updates float64
		for seed := range uint64(20) {
			r := Simulate(l, costs, seed)
			rows, updates = rows+float64(r.Rows), updates+float64(r.Updates)
		}
		cycle := gap.Seconds() * (1 + math.Exp(-each*(gap-linger).Seconds())/(1-math.Exp(-each*gap.Seconds())))
		near(t, "rows per update", rows/updates, 1/(each*cycle), 0.03)
	}
}

// The simulation conserves what it counts: each resource's use is its work.
func TestUseIsTheWork(t *testing.T) {
	t.Parallel()
	costs := pages(t)
	l := Layout{Hosts: 4, HostCores: 8, Masters: 1, Servers: 1, Cores: 8, Sites: 4, Spread: 4, Tickets: 5000, Rate: 5000}
	r := Simulate(l, costs, 3)
	rows := float64(r.Rows) / measured.Seconds()
	statements := float64(r.Statements) / measured.Seconds()
	near(t, "MySQL", r.MySQL, (rows*costs.Row.Seconds()+statements*costs.Statement.Seconds())/8, 0.1)
	least := l.Rate*costs.Write.Seconds() + rows*(costs.Claim+costs.Ack).Seconds()
	near(t, "Redis", r.Redis, least+statements*(3*callCost+looks*lookCost).Seconds(), 0.1)
}

// The same seed gives the same result, another seed another.
func TestSeed(t *testing.T) {
	t.Parallel()
	l := Layout{Hosts: 3, HostCores: 2, Masters: 3, Servers: 2, Cores: 2, Sites: 5, Spread: 2, Tickets: 100, Rate: 3000}
	costs := pages(t)
	a, b, other := Simulate(l, costs, 1), Simulate(l, costs, 1), Simulate(l, costs, 2)
	if a != b {
		t.Errorf("the same seed gave %+v and %+v", a, b)
	}
	if a == other {
		t.Error("another seed changed nothing")
	}
}

// A layout's limit is the resource that it has too little of: more of that resource carries more.
func TestMoreOfTheLimitCarriesMore(t *testing.T) {
	t.Parallel()
	costs := pages(t)
	costs.Write *= 10 // Redis ends it early
	small := Layout{Hosts: 4, Masters: 1, Servers: 1, Sites: 4, Spread: 4}
	one := Search(small, costs, 1)
	if one.Limit != "Redis" {
		t.Fatalf("ended by %q, want Redis", one.Limit)
	}
	small.Masters = 4
	if four := Search(small, costs, 1); four.Layout.Rate < 2*one.Layout.Rate {
		t.Errorf("four masters carry %.0f updates/s, one carries %.0f", four.Layout.Rate, one.Layout.Rate)
	}
}

// docs/scale.md has the table's columns and layouts: a change here must reach the page.
func TestPageHasTheTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "scale.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, []byte(header)) {
		t.Error("docs/scale.md lacks the table's header; copy the output of make scale into it")
	}
	for i := range layouts {
		f := Found{Layout: layouts[i]}
		f.Layout.Rate = 1000
		columns := strings.SplitAfterN(f.line(), "|", 6)
		if start := strings.Join(columns[:5], ""); !bytes.Contains(page, []byte(start)) {
			t.Errorf("docs/scale.md lacks the layout %s", start)
		}
	}
}
