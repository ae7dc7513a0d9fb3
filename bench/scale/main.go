package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := Run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// Run prints the table. The working directory is the module's root.
func Run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	seed := flags.Uint64("seed", 1, "the same seed gives the same table")
	page := flags.String("costs", performancePage, "the output of make bench")
	if err := flags.Parse(args); err != nil {
		return err
	}
	costs, err := ReadCosts(*page, architecturePage)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, header)
	for _, l := range layouts {
		if err != nil {
			return err
		}
		found := Search(l, costs, *seed)
		_, err = io.WriteString(out, found.line())
	}
	return err
}

// layouts are the table's lines: first one host, then what the next limit of the line before asks for.
var layouts = []Layout{
	{Hosts: 1, Masters: 1, Servers: 1, Sites: 1, Spread: 1},
	{Hosts: 1, Masters: 1, Servers: 1, Sites: 100, Spread: 1},
	{Hosts: 4, Masters: 1, Servers: 1, Sites: 1, Spread: 4},
	{Hosts: 10, Masters: 1, Servers: 1, Sites: 100, Spread: 10},
	{Hosts: 10, Masters: 3, Servers: 1, Sites: 100, Spread: 10},
	{Hosts: 30, Masters: 6, Servers: 2, Sites: 100, Spread: 30},
	{Hosts: 100, Masters: 8, Servers: 4, Sites: 100, Spread: 100},
	{Hosts: 100, Masters: 16, Servers: 8, Sites: 100, Spread: 100},
	{Hosts: 100, Masters: 8, Servers: 4, Sites: 100, Spread: 4},
	{Hosts: 100, Masters: 16, Servers: 8, Sites: 100, Spread: 4},
	{Hosts: 100, Masters: 32, Servers: 8, Sites: 100, Spread: 4},
	{Hosts: 100, Masters: 16, Servers: 8, Sites: 100, Spread: 4, Pages: true},
}

// What every layout has.
const (
	coresOfAHost   = 8
	coresOfAServer = 8
	tickets        = 100_000 // in work at all sites together
)

// A layout carries a rate if no resource has work for more than busiest of the time, and updates and flushes are this quick.
const (
	busiest       = 0.8
	slowestAnswer = 20 * time.Millisecond
	slowestFlush  = 2 * time.Second
)

// steps is how many rates a decade has.
const steps = 20

// Found is the highest rate that a layout carries.
type Found struct {
	Layout Layout
	Result Result
	Limit  string // what ends it, at the next rate
}

// Search finds the highest of a ladder of rates that the layout carries.
func Search(l Layout, costs Costs, seed uint64) Found {
	l.HostCores, l.Cores, l.Tickets = coresOfAHost, coresOfAServer, tickets/l.Sites
	found := Found{Layout: l}
	low, high := 1*steps, 6*steps // 10 to 1,000,000 updates a second
	for low < high-1 {
		middle := (low + high) / 2
		l.Rate = math.Pow(10, float64(middle)/steps)
		result := Simulate(l, costs, seed)
		if limit := result.limit(); limit != "" {
			high, found.Limit = middle, limit
		} else {
			low, found.Result, found.Layout = middle, result, l
		}
	}
	return found
}

// limit names what the layout has too little of; empty if it carries the rate.
func (r *Result) limit() string {
	most, name := busiest, ""
	for _, of := range []struct {
		use  float64
		name string
	}{
		{r.Host, "hosts' cores"}, {r.Redis, "Redis"}, {r.MySQL, "MySQL's cores"}, {r.Flusher, "the flusher of a site"},
	} {
		if of.use > most {
			most, name = of.use, of.name
		}
	}
	switch {
	case name != "":
		return name
	case r.Answer > slowestAnswer:
		return "waiting for an answer"
	case r.Lag > slowestFlush:
		return "waiting for MySQL"
	default:
		return ""
	}
}

const header = `| hosts | sites, hosts of each | Redis masters | MySQL servers | updates/s | first limit | ` +
	`host, Redis, MySQL, flusher busy | rows per update | rows per statement | answered | in MySQL |
| ---: | --- | ---: | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: |
`

func (f *Found) line() string {
	l, r := &f.Layout, &f.Result
	hosts := strconv.Itoa(l.Hosts)
	if l.Pages {
		hosts += ", a page for each update"
	}
	return fmt.Sprintf("| %s | %d, %d | %d | %d | %s | %s | %.0f, %.0f, %.0f, %.0f %% | %.2f | %.0f | %.1f ms | %.2f s |\n",
		hosts, l.Sites, l.Spread, l.Masters, l.Servers, thousands(l.Rate), f.Limit, 100*r.Host, 100*r.Redis, 100*r.MySQL, 100*r.Flusher,
		float64(r.Rows)/float64(r.Updates), float64(r.Rows)/float64(max(r.Statements, 1)),
		float64(r.Answer)/float64(time.Millisecond), r.Lag.Seconds())
}

// thousands writes a rate with two significant digits.
func thousands(rate float64) string {
	unit := math.Pow(10, math.Floor(math.Log10(rate))-1)
	n := int(math.Round(rate/unit) * unit)
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
