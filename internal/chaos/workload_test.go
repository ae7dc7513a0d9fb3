package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// The tickets of a run.
const (
	hotTickets  = 8
	coldTickets = 500
	// hotFor is how long a set of hot tickets is written: a deleted ticket stays deleted, and a ticket's history must stay short
	// enough for the check.
	hotFor = 3 * time.Second
	// createdKept is how many of the newest created tickets are used further.
	createdKept = 100
)

// firstHot is the first of the hot tickets' ids. Hot ids lie above the ids of new tickets, but below them in a table with
// AUTO_INCREMENT, which goes on above the highest id seen.
func (s *site) firstHot() int64 {
	if s.adopted {
		return 1 << 20
	}
	return 1 << 53
}

// firstCold is the first of the cold tickets' ids.
func (s *site) firstCold() int64 { return s.firstHot() + 1<<19 }

// Clients of a site.
const (
	goClients  = 5
	phpClients = 3
	// secondClients are the Go clients of the site beside.
	secondClients = 2
)

// caller makes calls for a single client at a time.
type caller interface {
	// call makes the operation and records its outcome, if known.
	call(ctx context.Context, op *history.Op)
	close()
}

// workload are the clients of a run.
type workload struct {
	site      *site
	seed      int64
	gos, phps int // numbers of clients, in Go and in PHP

	clients sync.WaitGroup
	mu      sync.Mutex
	created []made
	deleted []made
	asked   []history.Op // changes under request ids that were done
}

// made is a ticket that a client has created, or deleted.
type made struct {
	id   int64
	host int
	at   time.Duration
}

// start lets the clients go on until ctx ends; a call that is under way then is never cut short.
func (w *workload) start(ctx context.Context) {
	for slot := range w.gos + w.phps {
		h := w.site.hosts[slot%len(w.site.hosts)]
		var by caller = &goCaller{host: h}
		if slot >= w.gos {
			by = &phpCaller{host: h, web: w.site.web}
		}
		c := &client{
			w: w, host: h, by: by, slot: slot,
			r: rand.New(rand.NewPCG(uint64(w.seed), 1<<32|uint64(w.site.number)<<8|uint64(slot))),
		}
		w.clients.Go(func() { c.run(ctx) })
	}
	for _, h := range w.site.hosts {
		s := newStranger(w, h)
		w.clients.Go(func() { s.run(ctx) })
	}
	w.count(ctx)
}

// client is a sequence of operations on a host.
type client struct {
	w      *workload
	host   *host
	by     caller
	slot   int
	r      *rand.Rand
	number int    // of the client that the history knows
	n      int    // operations so far
	last   string // the subject that was written last
}

func (c *client) run(ctx context.Context) {
	defer c.by.close()
	c.number = c.w.site.rec.client()
	for ctx.Err() == nil {
		op := c.next()
		op.Call = c.w.site.rec.now()
		c.by.call(context.WithoutCancel(ctx), op)
		op.Return = c.w.site.rec.now()
		c.w.site.rec.op(op)
		c.learn(op)
		pause := 2*time.Millisecond + time.Duration(c.r.Int64N(int64(20*time.Millisecond)))
		if op.Outcome != history.Done {
			pause += 20 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// learn keeps the results that the client's later operations need.
func (c *client) learn(op *history.Op) {
	if op.Outcome == history.Unknown {
		c.number = c.w.site.rec.client()
	}
	if op.Outcome != history.Done {
		return
	}
	if subject := op.Fields["subject"]; subject != nil && (op.Kind == history.Create || op.Kind == history.Set) {
		c.last = *subject
	}
	c.w.learn(op)
}

// learn keeps the results that all clients may use.
func (w *workload) learn(op *history.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := func(list []made) []made {
		list = append(list, made{op.Ticket, op.Host, op.Return})
		return list[max(0, len(list)-createdKept):]
	}
	switch {
	case op.Kind == history.Create:
		w.created = keep(w.created)
	case op.Kind == history.Delete && op.Code != history.Spooled:
		w.deleted = keep(w.deleted)
	}
	if op.Request != "" && !op.Reused && op.Code != history.Spooled && op.Kind != history.Get && op.Kind != history.List {
		w.asked = append(w.asked, *op)
		w.asked = w.asked[max(0, len(w.asked)-createdKept):]
	}
}

// next draws an operation, always with the same number of random draws, so that other clients change only the ids of created
// tickets in it.
func (c *client) next() *history.Op {
	c.n++
	op := &history.Op{
		Client: c.number, Host: c.host.number, Via: "go",
		Request: fmt.Sprintf("r%d-%d", c.number, c.n),
	}
	if c.slot >= c.w.gos {
		op.Via = "php"
	}
	what, where, retry := c.r.IntN(100), c.r.IntN(100), c.r.IntN(2)
	ticket, fields := c.ticket(where), c.fields()
	switch {
	case what < 8:
		op.Kind, op.Fields = history.Create, fields
	case what < 56:
		op.Kind, op.Fields, op.Ticket = history.Set, fields, ticket
	case what < 94:
		op.Kind, op.Ticket = history.Get, ticket
	case what < 97:
		op.Kind = history.List
		if c.last != "" && retry == 0 {
			last := c.last
			op.Fields = map[string]history.Value{"subject": &last}
		}
	default:
		op.Kind, op.Ticket = history.Delete, c.own(where)
		if op.Ticket == 0 {
			op.Kind, op.Ticket = history.Get, ticket
		}
	}
	op.Tries = 1 + 2*retry
	return op
}

// ticket is a hot, a created or a cold ticket.
func (c *client) ticket(where int) int64 {
	hot, cold, created := c.r.Int64N(hotTickets), c.r.Int64N(coldTickets), c.r.IntN(createdKept)
	switch {
	case where < 55:
		return c.w.site.firstHot() + hot + hotTickets*int64(c.w.site.rec.now()/hotFor)
	case where < 75:
		c.w.mu.Lock()
		defer c.w.mu.Unlock()
		if n := len(c.w.created); n > 0 {
			return c.w.created[created%n].id
		}
	}
	return c.w.site.firstCold() + cold
}

// own is one of the newest tickets created on the client's host, or 0. Only such a ticket is deleted: a spooled deletion of a
// missing ticket, or of a ticket not yet on this host, has no effect, and no client learns of that.
func (c *client) own(which int) int64 {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, one := range slices.Backward(c.w.created) {
		if one.host == c.host.number {
			if which -= 10; which < 10 {
				return one.id
			}
		}
	}
	return 0
}

// fields are one to three of the fields, with a value that no other operation writes, now and then NULL.
func (c *client) fields() map[string]history.Value {
	fields := make(map[string]history.Value)
	names := slices.Clone(history.Fields)
	if c.w.site.adopted {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "extra_a" }) // the field has no column
	}
	c.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	null, count := c.r.IntN(20), 1+c.r.IntN(3)
	for _, name := range names[:count] {
		value := fmt.Sprintf("c%d-%d ü€😀", c.number, c.n) // of two, three and four bytes a character
		switch {
		case null == 0 && (name == "category" || name == "priority"):
			fields[name] = nil
			continue
		case name == "assigned_to":
			value = strconv.Itoa(c.number*1_000_000 + c.n)
		}
		fields[name] = &value
	}
	return fields
}

// sorted are the names of fields, in order.
func sorted(fields map[string]history.Value) []string { return slices.Sorted(maps.Keys(fields)) }
