package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Layout is a fleet and its load.
type Layout struct {
	Hosts, HostCores int
	// Masters of Redis. Above one they are a cluster's, and each site has partitions.
	Masters int
	// Servers are MySQL servers of Cores each; a site's table is on one.
	Servers, Cores int
	Sites          int
	// Spread is how many hosts serve a site.
	Spread int
	// Tickets of a site that are changed, each as often as the others.
	Tickets int
	// Pages says that every update comes with a page of WordPress.
	Pages bool
	// Rate is the updates of all hosts, a second.
	Rate float64
}

// What the daemon does, as in daemon/boot, daemon/config and store/redis.
const (
	linger     = 200 * time.Millisecond
	gap        = 400 * time.Millisecond
	poll       = time.Second
	batchSize  = 1000
	partitions = 32
	looks      = 3 // how often a round asks each partition: whether a ticket is due, then until no further ticket is
)

// The measured time begins after the queues have filled.
const (
	warmUp   = 1200 * time.Millisecond
	measured = 1200 * time.Millisecond
)

// Result is what a simulation measured.
type Result struct {
	Host, Redis, MySQL float64 // the busiest of its kind: the part of the time for which it has work
	Flusher            float64 // the busiest flusher: the part of the time for which a batch is under way
	Updates            int     // written to Redis
	Rows, Statements   int
	// Answer is the 99th percentile of the time for which PHP waits for Redis' ack; MeanWrite is the mean time in Redis and its
	// queue; Lag is the 99th percentile of the time from a ticket's first change until MySQL has the change and Redis knows.
	Answer, MeanWrite, Lag time.Duration
}

// site is a site's tickets in Redis.
type site struct {
	due    []int // dirty tickets in the order of their due times, without claimed tickets
	head   int
	server int
}

type ticketState struct {
	queued bool
	first  int64 // the first change since the ticket was clean or claimed
}

// flusher is a site's on one host.
type flusher struct {
	site, host int
	at         int64 // of the next round
	last       int64 // the start of the last round
	running    bool
	busy       int64
}

// batch is the tickets of a round.
type batch struct {
	tickets []int
	first   []int64 // changes of the tickets
	began   int64
	rows    []int // of each master
	calls   []int // partitions of each master with a ticket in the batch
}

type simulation struct {
	layout Layout
	costs  Costs
	random *rand.Rand
	agenda agenda

	hosts, redis, mysql []station
	sites               []site
	served              [][]int // the flushers of each host
	flushers            []flusher
	tickets             []ticketState // of all sites
	parts               int
	touched             []int64 // the last round that touched a partition
	rounds              int64
	from, end           int64

	result  Result
	answers []int64
	lags    []int64
	inRedis int64
}

// Simulate runs a layout from empty queues on.
func Simulate(layout Layout, costs Costs, seed uint64) Result {
	s := &simulation{
		layout: layout, costs: costs, random: rand.New(rand.NewPCG(seed, 0)), parts: 1,
		from: int64(warmUp), end: int64(warmUp + measured),
	}
	if layout.Masters > 1 {
		s.parts = partitions
	}
	s.build()
	for h := range s.hosts {
		s.agenda.add(event{at: s.pause(), kind: arrive, host: h})
	}
	for len(s.agenda.events) > 0 {
		e := s.agenda.next()
		if e.at >= s.end {
			break
		}
		s.handle(&e)
	}
	return s.results()
}

func (s *simulation) build() {
	l := &s.layout
	stations := func(n, cores int) []station {
		made := make([]station, n)
		for i := range made {
			made[i] = newStation(cores, s.from)
		}
		return made
	}
	s.hosts, s.redis, s.mysql = stations(l.Hosts, l.HostCores), stations(l.Masters, 1), stations(l.Servers, l.Cores)
	s.tickets = make([]ticketState, l.Sites*l.Tickets)
	s.touched = make([]int64, s.parts)
	s.served = make([][]int, l.Hosts)
	for i := range l.Sites {
		s.sites = append(s.sites, site{server: i % l.Servers})
		for j := range l.Spread {
			host := (i*l.Spread + j) % l.Hosts
			s.served[host] = append(s.served[host], len(s.flushers))
			s.flushers = append(s.flushers, flusher{site: i, host: host, last: s.random.Int64N(int64(gap))}) // not in step
		}
	}
}

// pause is the time between two updates of a host: exponentially distributed, so that updates are independent of each other.
func (s *simulation) pause() int64 {
	return int64(s.random.ExpFloat64() * float64(s.layout.Hosts) / s.layout.Rate * float64(time.Second))
}

func (s *simulation) handle(e *event) {
	switch e.kind {
	case arrive:
		s.agenda.add(event{at: e.at + s.pause(), kind: arrive, host: e.host})
		of := s.served[e.host]
		if len(of) == 0 {
			return
		}
		f := of[s.random.IntN(len(of))]
		work := s.costs.Update
		if s.layout.Pages {
			work += s.costs.Page
		}
		done := s.hosts[e.host].serve(e.at, int64(work))
		ticket := s.flushers[f].site*s.layout.Tickets + s.random.IntN(s.layout.Tickets)
		s.agenda.add(event{at: done + int64(roundTrip)/2, kind: write, host: f, what: ticket, began: done})
	case write:
		done := s.redis[s.master(e.what)].serve(e.at, int64(s.costs.Write))
		if e.at >= s.from {
			s.inRedis += done - e.at
		}
		s.agenda.add(event{at: done, kind: written, host: e.host, what: e.what, began: e.began})
	case written:
		s.written(e)
	case look:
		s.look(e)
	case insert:
		f := &s.flushers[e.what]
		work := int64(s.costs.Statement) + int64(len(e.batch.tickets))*int64(s.costs.Row)
		done := s.mysql[s.sites[f.site].server].serve(e.at, work)
		s.agenda.add(event{at: done + int64(roundTrip)/2, kind: confirm, what: e.what, batch: e.batch})
	case confirm:
		done := e.at
		for m := range s.redis {
			if e.batch.rows[m] > 0 {
				work := e.batch.calls[m]*int(callCost) + e.batch.rows[m]*int(s.costs.Ack)
				done = max(done, s.redis[m].serve(e.at, int64(work)))
			}
		}
		s.agenda.add(event{at: done + int64(roundTrip)/2, kind: settled, what: e.what, batch: e.batch})
	case settled:
		s.settled(e)
	}
}

func (s *simulation) partition(ticket int) int { return ticket % s.parts }
func (s *simulation) master(ticket int) int    { return s.partition(ticket) % len(s.redis) }

// written makes a ticket dirty. Its host's flusher wakes when the ticket is due.
func (s *simulation) written(e *event) {
	if e.at >= s.from {
		s.result.Updates++
		s.answers = append(s.answers, e.at+int64(roundTrip)/2-e.began)
	}
	t := &s.tickets[e.what]
	f := &s.flushers[e.host]
	if !t.queued {
		t.queued, t.first = true, e.at
		of := &s.sites[f.site]
		of.due = append(of.due, e.what)
		s.plan(e.host, max(e.at+int64(linger), f.last+int64(gap)))
	}
}

// plan brings a flusher's next round forward. A round that is under way plans its own successor.
func (s *simulation) plan(which int, at int64) {
	f := &s.flushers[which]
	if f.running || f.at > 0 && f.at <= at {
		return
	}
	f.at = at
	s.agenda.add(event{at: at, kind: look, what: which})
}

// look is the begin of a round: it asks all partitions, and claims what is due.
func (s *simulation) look(e *event) {
	f := &s.flushers[e.what]
	if f.running || f.at != e.at { // the round was brought forward
		return
	}
	of := &s.sites[f.site]
	f.at, f.last = 0, e.at
	claimed := s.claim(of, e.at)
	done := e.at
	for m := range s.redis {
		asked := (s.parts - m + len(s.redis) - 1) / len(s.redis) // partitions of this master
		if len(claimed.tickets) > 0 {
			asked *= looks
		}
		work := asked * int(lookCost)
		if claimed.rows[m] > 0 { // one call claims, one reads
			work += 2*claimed.calls[m]*int(callCost) + claimed.rows[m]*int(s.costs.Claim)
		}
		done = max(done, s.redis[m].serve(e.at, int64(work)))
	}
	if len(claimed.tickets) == 0 {
		next := e.at + int64(poll)
		if of.head < len(of.due) {
			next = min(next, max(s.tickets[of.due[of.head]].first+int64(linger), e.at+int64(gap)))
		}
		s.plan(e.what, next)
		return
	}
	f.running, claimed.began = true, e.at
	done = s.hosts[f.host].serve(e.at, int64(len(claimed.tickets))*int64(s.costs.Carry)) - e.at + done
	s.agenda.add(event{at: done + looks*int64(roundTrip), kind: insert, what: e.what, batch: claimed})
}

// claim takes due tickets out of the index.
func (s *simulation) claim(of *site, now int64) *batch {
	s.rounds++
	b := &batch{rows: make([]int, len(s.redis)), calls: make([]int, len(s.redis))}
	for of.head < len(of.due) && len(b.tickets) < batchSize {
		id := of.due[of.head]
		t := &s.tickets[id]
		if t.first+int64(linger) > now {
			break
		}
		of.head++
		t.queued = false
		b.tickets, b.first = append(b.tickets, id), append(b.first, t.first)
		m := s.master(id)
		b.rows[m]++
		if p := s.partition(id); s.touched[p] != s.rounds {
			s.touched[p] = s.rounds
			b.calls[m]++
		}
	}
	if of.head > len(of.due)/2 {
		of.due, of.head = slices.Delete(of.due, 0, of.head), 0
	}
	return b
}

// settled ends a round.
func (s *simulation) settled(e *event) {
	f := &s.flushers[e.what]
	f.running = false
	if e.at >= s.from {
		f.busy += e.at - max(e.batch.began, s.from)
		s.result.Rows += len(e.batch.tickets)
		s.result.Statements++
		for _, first := range e.batch.first {
			s.lags = append(s.lags, e.at-first)
		}
	}
	next := e.at
	if len(e.batch.tickets) < batchSize {
		next = max(f.last+int64(gap), e.at)
	}
	s.plan(e.what, next)
}

func (s *simulation) results() Result {
	r := &s.result
	busiest := func(of []station) (most float64) {
		for i := range of {
			most = max(most, of[i].use(int64(measured)))
		}
		return most
	}
	r.Host, r.Redis, r.MySQL = busiest(s.hosts), busiest(s.redis), busiest(s.mysql)
	for i := range s.flushers {
		r.Flusher = max(r.Flusher, float64(s.flushers[i].busy)/float64(measured))
	}
	for i := range s.tickets { // tickets that are not flushed yet
		if t := &s.tickets[i]; t.queued {
			s.lags = append(s.lags, s.end-t.first)
		}
	}
	r.Answer, r.Lag = percentile(s.answers), percentile(s.lags)
	if r.Updates > 0 {
		r.MeanWrite = time.Duration(s.inRedis / int64(r.Updates))
	}
	return *r
}

// percentile returns the 99th.
func percentile(of []int64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return time.Duration(of[len(of)*99/100])
}
