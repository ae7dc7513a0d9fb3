package main

// station is a resource with a first-come queue: the cores of a host or a MySQL server, or the main thread of a Redis master.
// Times are nanoseconds of the simulation.
type station struct {
	free []int64 // when each core has done its work
	from int64   // when the measured time begins
	busy int64   // work that arrived in the measured time
}

func newStation(cores int, from int64) station {
	return station{free: make([]int64, cores), from: from}
}

// serve queues work that arrives now and returns when it is done. Calls come in the order of time.
func (s *station) serve(now, work int64) (done int64) {
	core := 0
	for i := range s.free {
		if s.free[i] < s.free[core] {
			core = i
		}
	}
	s.free[core] = max(now, s.free[core]) + work
	if now >= s.from {
		s.busy += work
	}
	return s.free[core]
}

// use is the part of the measured time for which the station had work; above 1 the queue grows.
func (s *station) use(measured int64) float64 {
	return float64(s.busy) / float64(measured) / float64(len(s.free))
}

// event is something that happens at a time.
type event struct {
	at    int64
	order int64 // of events at the same time
	kind  kind
	host  int
	what  int   // a ticket, or a flusher
	began int64 // of an update
	batch *batch
}

type kind uint8

const (
	arrive  kind = iota // an update reaches its host
	write               // the host's work is done: to Redis
	written             // Redis has the change
	look                // a flusher's round begins
	insert              // the claimed rows reach MySQL
	confirm             // MySQL has committed
	settled             // Redis has the ack
)

func (e *event) before(other *event) bool {
	return e.at < other.at || e.at == other.at && e.order < other.order
}

// agenda is a binary heap of events, the earliest first.
type agenda struct {
	events []event
	orders int64
}

func (a *agenda) add(e event) {
	a.orders++
	e.order = a.orders
	a.events = append(a.events, e)
	i := len(a.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !a.events[i].before(&a.events[parent]) {
			return
		}
		a.events[i], a.events[parent] = a.events[parent], a.events[i]
		i = parent
	}
}

// next takes the earliest event; the agenda must not be empty.
func (a *agenda) next() event {
	first := a.events[0]
	last := len(a.events) - 1
	a.events[0] = a.events[last]
	a.events[last] = event{}
	a.events = a.events[:last]
	i := 0
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if a.events[child].before(&a.events[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		a.events[i], a.events[least] = a.events[least], a.events[i]
		i = least
	}
}
