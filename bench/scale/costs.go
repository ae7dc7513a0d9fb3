package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// Costs of the operations, in processor time of one core.
type Costs struct {
	// Update is everything that an update costs its host through nginx and PHP-FPM. The figure includes Redis and the flush, which
	// the simulation counts a second time on their own servers.
	Update time.Duration
	// Page is what loading WordPress costs, for updates that each come with a page.
	Page time.Duration
	// Write is Redis' part of an update: the script.
	Write time.Duration
	// Claim and Ack are Redis' parts of a flushed row, Carry is the daemon's, Row is MySQL's.
	Claim, Ack, Carry, Row time.Duration
	// Statement is how long a statement of one row takes with its commit.
	Statement time.Duration
}

// Costs that `make bench` does not print: Redis' processor time under redis-benchmark -P 32 on the machine of the other figures,
// rounded up.
const (
	// lookCost is Redis' cost of asking one partition for its earliest ticket: a ZRANGE, 0.95 µs.
	lookCost = time.Microsecond
	// callCost is Redis' cost of a call of a script, beside its tickets: an EVALSHA of one ZRANGEBYSCORE, 3.9 µs.
	callCost = 5 * time.Microsecond
	// roundTrip is the network's time to Redis or MySQL and back.
	roundTrip = 300 * time.Microsecond
)

// The pages with the costs, and what to find there. Each expression has one group, the figure.
const (
	performancePage  = "docs/performance.md"
	architecturePage = "docs/architecture.md"
)

var (
	perUpdate = regexp.MustCompile(`(?s)\*\*requests/s through nginx and PHP-FPM, against the guide's way: Redis ack\*\*.*?` +
		cpuOf("ticketd"))
	perPage      = regexp.MustCompile(`loading WordPress for each run \(some (\d+) ms`)
	perWrite     = regexp.MustCompile(cpuOf("redis-benchmark, pipelined"))
	perRowOwn    = regexp.MustCompile(`processor time of a row that ticketd flushes: ([\d.]+) µs in Redis and the daemon`)
	perRow       = regexp.MustCompile(`µs in Redis and the daemon, ([\d.]+) in MariaDB`)
	perStatement = regexp.MustCompile(`\n\| row by row \| (\d+) `)
	perClaim     = regexp.MustCompile(`Redis spends ([\d.]+) µs on reading a claimed ticket`)
	perAck       = regexp.MustCompile(`and ([\d.]+) µs on its ack`)
)

// cpuOf matches a way's line, and the column of its processor time.
func cpuOf(way string) string { return `\n\| ` + way + ` \|[^\n]* (\d+) \| \d* *\|\n` }

// ReadCosts reads the costs from the pages that state them.
func ReadCosts(performance, architecture string) (Costs, error) {
	measured, err1 := os.ReadFile(performance)
	mechanisms, err2 := os.ReadFile(architecture)
	if err := errors.Join(err1, err2); err != nil {
		return Costs{}, err
	}
	var c Costs
	var own, statements time.Duration
	var missing error
	read := func(to *time.Duration, page []byte, from *regexp.Regexp, unit time.Duration) {
		found := from.FindSubmatch(page)
		if found == nil {
			missing = errors.Join(missing, fmt.Errorf("the pages have no figure for %s", from))
			return
		}
		figure, err := strconv.ParseFloat(string(found[1]), 64)
		missing = errors.Join(missing, err)
		*to = time.Duration(figure * float64(unit))
	}
	read(&c.Update, measured, perUpdate, time.Microsecond)
	read(&c.Page, measured, perPage, time.Millisecond)
	read(&c.Write, measured, perWrite, time.Microsecond)
	read(&own, measured, perRowOwn, time.Microsecond)
	read(&c.Row, measured, perRow, time.Microsecond)
	read(&statements, measured, perStatement, 1) // a second
	read(&c.Claim, mechanisms, perClaim, time.Microsecond)
	read(&c.Ack, mechanisms, perAck, time.Microsecond)
	if missing != nil {
		return Costs{}, missing
	}
	c.Carry = max(own-c.Claim-c.Ack, 0)
	c.Statement = max(time.Second/statements-c.Row, 0)
	return c, nil
}
