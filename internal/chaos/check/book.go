package check

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// book is a history sorted by tickets.
type book struct {
	history *history.History
	tickets map[int64]*page
	// counters are the increments of tickets that are counters, which no other rule looks at.
	counters map[int64][]*history.Op
	// strays are creates that may have made a ticket without telling a client the id.
	strays []*history.Op
	seen   map[sighting]time.Duration // when a change was seen first
	// unasked are the changes set aside without a request from a client.
	unasked []*history.Aside
}

// page is the history of a ticket.
type page struct {
	id int64
	// changes are the creates, sets and deletes that may have been made, by time of call; a single operation for all repetitions
	// of a request.
	changes []*history.Op
	// aside are changes that were acknowledged and not made, see setAside.
	aside []*history.Op
	// reads are the answers that show the ticket, by time of call. A list gives a read for each of its tickets.
	reads []*history.Op
	// refused are changes that were certainly not made.
	refused []*history.Op
	// inserts are the SQL inserts of the ticket's row that may have succeeded.
	inserts []*history.Op
	// writers are the operations that wrote a field's value: a single operation, except for NULL.
	writers map[written][]*history.Op
	// made is the create that made the ticket without telling a client the id, see adopt.
	made  *history.Op
	names []string     // of the fields that any operation set, see fields
	row   *history.Row // in the end; nil without a row
	dead  *history.Row // nil unless a dead letter
}

// written is the value of a field; null marks NULL.
type written struct {
	field, value string
	null         bool
}

func writtenOf(field string, value history.Value) written {
	if value == nil {
		return written{field: field, null: true}
	}
	return written{field: field, value: *value}
}

func newBook(h *history.History) *book {
	b := &book{history: h, tickets: map[int64]*page{}, counters: map[int64][]*history.Op{}, seen: map[sighting]time.Duration{}}
	b.collectCounters()
	b.collect(b.merged())
	for i := range h.Final.Rows {
		if row := &h.Final.Rows[i]; !b.counts(row.Ticket) {
			b.page(row.Ticket).row = row
		}
	}
	for i := range h.Final.Dead {
		if row := &h.Final.Dead[i]; !b.counts(row.Ticket) {
			b.page(row.Ticket).dead = row
		}
	}
	b.adopt()
	b.release()
	b.setAside()
	for _, p := range b.tickets {
		b.listedOld(p)
		byCall(p.changes)
		byCall(p.reads)
		b.look(p)
	}
	return b
}

// look notes when each host's answers first showed a change for certain.
func (b *book) look(p *page) {
	for _, read := range p.reads {
		for field, value := range read.Fields {
			of := p.sources(b, field, value)
			if read.Stale || len(of) != 1 || of[0] == nil {
				continue
			}
			s := sighting{of[0], read.Host}
			if at, seen := b.seen[s]; !seen || read.Return < at {
				b.seen[s] = read.Return
			}
		}
	}
}

// merged makes a single operation of all repetitions of a request, between the first call and the first acknowledgement. A
// create may have been made twice if no place that remembers the request was reachable at the repetition.
func (b *book) merged() []*history.Op {
	type request struct {
		kind history.Kind
		id   string
	}
	var all []*history.Op
	known := map[request]*history.Op{}
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		if op.Reused && op.Outcome == history.Done {
			op = doubtful(op)
		}
		if op.Request == "" || !changes(op) || op.Reused {
			all = append(all, op)
			continue
		}
		name := request{op.Kind, op.Request}
		if first := known[name]; first != nil {
			other := op.Outcome == history.Unknown || op.Outcome == history.Done && op.Ticket != first.Ticket
			if op.Kind == history.Create && other && b.forgotten(first, op) {
				all = append(all, op)
			}
			merge(first, op)
			continue
		}
		once := *op
		known[name] = &once
		all = append(all, &once)
	}
	return all
}

// collectCounters finds the tickets that are counters.
func (b *book) collectCounters() {
	for i := range b.history.Ops {
		if op := &b.history.Ops[i]; op.Kind == history.Increment {
			b.counters[op.Ticket] = append(b.counters[op.Ticket], op)
		}
	}
}

// counts tells whether a ticket is a counter.
func (b *book) counts(ticket int64) bool { return len(b.counters[ticket]) > 0 }

func byCall(ops []*history.Op) {
	slices.SortStableFunc(ops, func(x, y *history.Op) int { return cmp.Compare(x.Call, y.Call) })
}

// pages are the tickets by id.
func (b *book) pages() []*page {
	return slices.SortedFunc(maps.Values(b.tickets), func(x, y *page) int { return cmp.Compare(x.id, y.id) })
}

func (b *book) page(id int64) *page {
	p := b.tickets[id]
	if p == nil {
		p = &page{id: id, writers: map[written][]*history.Op{}}
		b.tickets[id] = p
	}
	return p
}

func (b *book) collect(ops []*history.Op) {
	for _, op := range ops {
		switch {
		case b.counts(op.Ticket):
		case op.Kind == history.Insert:
			b.collectInsert(op)
		case op.Kind == history.List:
			b.collectList(op)
		case !changes(op):
			if op.Outcome == history.Done {
				p := b.page(op.Ticket)
				p.reads = append(p.reads, op)
			}
		case op.Outcome == history.Refused:
			p := b.page(op.Ticket)
			p.refused = append(p.refused, op)
		case op.Kind == history.Create && (op.Ticket == 0 || op.Code == history.Spooled):
			b.strays = append(b.strays, op)
			fallthrough
		default:
			if op.Ticket != 0 {
				b.page(op.Ticket).write(op)
			}
		}
	}
}

func (p *page) write(op *history.Op) {
	p.changes = append(p.changes, op)
	p.sign(op)
}

// sign notes the writer of each value.
func (p *page) sign(op *history.Op) {
	for field, value := range op.Fields {
		w := writtenOf(field, value)
		p.writers[w] = append(p.writers[w], op)
	}
}

// sources are the changes that may have given a field its value; nil stands for the table's default. The value is unexplained
// if sources is empty.
func (p *page) sources(b *book, field string, value history.Value) []*history.Op {
	of := p.writers[writtenOf(field, value)]
	if equal(value, b.initial(field)) {
		of = append([]*history.Op{nil}, of...)
	}
	return of
}

// collectList makes a read of each ticket that a list shows.
func (b *book) collectList(op *history.Op) {
	if op.Outcome != history.Done {
		return
	}
	for _, t := range op.Tickets {
		if b.counts(t.Ticket) {
			continue
		}
		read := *op
		read.Tickets, read.Ticket, read.Revision, read.Fields = nil, t.Ticket, t.Revision, t.Fields
		p := b.page(t.Ticket)
		p.reads = append(p.reads, &read)
	}
}

// collectInsert adds a row inserted in SQL, unless MySQL refused the insert.
func (b *book) collectInsert(op *history.Op) {
	if op.Outcome == history.Refused || op.Ticket == 0 {
		return
	}
	p := b.page(op.Ticket)
	p.inserts = append(p.inserts, op)
	p.sign(op)
}

// release leaves out the tickets whose id changed after the acknowledged create, and the tickets that have the new ids: the
// log names both ids. The client of a create with its own id received no answer: the ticket of such an id stays, unless
// changes in the spool or in a journal may have followed the create, or a different create may have moved.
func (b *book) release() {
	named := map[int64]bool{}
	for _, op := range b.strays {
		named[op.Named] = true
	}
	follows := func(op *history.Op) bool {
		received := op.Kind == history.Create && op.Outcome == history.Done && op.Named == 0
		return received || op.Kind != history.Create && (op.Code == history.Spooled || !b.well(op, mysqls))
	}
	var out []int64
	for _, m := range b.history.Moved { // several creates may name an id, and a move may repeat
		p := b.tickets[m.From]
		if !named[m.From] || slices.Contains(out, m.From) || p != nil && slices.ContainsFunc(p.changes, follows) {
			out = append(out, m.From, m.To)
		}
	}
	for _, id := range out {
		delete(b.tickets, id)
	}
}

// listedOld marks list answers as stale for a ticket with a change that MySQL refuses: lists show the dead letter's row in
// MySQL.
func (b *book) listedOld(p *page) {
	refused := func(op *history.Op) bool {
		value := op.Fields["category"]
		return value != nil && b.history.Refuses != "" && strings.HasPrefix(*value, b.history.Refuses)
	}
	if !slices.ContainsFunc(p.changes, refused) {
		return
	}
	for _, read := range p.reads {
		read.Stale = read.Stale || read.Kind == history.List // a copy, see collectList
	}
}

// setAside removes the changes in a spool's bad/, which are older than the ticket's create, from the changes that the page
// must show. Readers on the same host may have seen the changes earlier.
func (b *book) setAside() {
	for i := range b.history.Final.Aside {
		entry := &b.history.Final.Aside[i]
		p := b.tickets[entry.Ticket]
		if b.counts(entry.Ticket) || p == nil && b.changedID(entry.Ticket) {
			continue
		}
		is := func(op *history.Op) bool { return isOf(entry, op) }
		asked := func(op *history.Op) bool { return is(op) || isOfCreate(entry, op) }
		if p == nil || !slices.ContainsFunc(slices.Concat(p.changes, p.aside), asked) {
			b.unasked = append(b.unasked, entry)
			continue
		}
		older := func(op *history.Op) bool {
			return isOf(entry, op) && (op.Outcome != history.Done || p.mayPredate(b, op))
		}
		if entry.Kind == history.Delete && slices.ContainsFunc(p.changes, older) {
			is = older // deletions without a request cannot be told apart: the others were made
		}
		for _, op := range p.changes {
			if is(op) {
				p.aside = append(p.aside, op)
			}
		}
		p.changes = slices.DeleteFunc(p.changes, is)
	}
}

// isOfCreate reports whether a daemon kept the entry of its own create for a fail-over, after which another ticket had the id: an
// entry with fields, like a set. The create stays among the changes, because MySQL may have had the create before.
func isOfCreate(entry *history.Aside, op *history.Op) bool {
	return entry.Kind == history.Set && op.Kind == history.Create && entry.Host == op.Host && hasValueOf(entry, op)
}

// changedID reports whether [book.release] leaves the ticket out.
func (b *book) changedID(id int64) bool {
	return slices.ContainsFunc(b.history.Moved, func(m history.Moved) bool { return m.From == id || m.To == id })
}

// isOf reports whether op is the client's operation that was set aside. A change that a daemon kept for a fail-over merges
// the fields of several operations, so a single common value decides; PHP's client class does not record request ids.
func isOf(entry *history.Aside, op *history.Op) bool {
	switch {
	case entry.Kind != op.Kind || entry.Host != op.Host:
		return false
	case entry.Request != "" && entry.Request == op.Request:
		return true
	case entry.Kind == history.Delete:
		return op.Request == ""
	}
	return hasValueOf(entry, op) || maps.EqualFunc(entry.Fields, op.Fields, equal)
}

func hasValueOf(entry *history.Aside, op *history.Op) bool {
	for field, value := range op.Fields {
		if value != nil && equal(entry.Fields[field], value) {
			return true
		}
	}
	return false
}

// initial is the table's default for a field.
func (b *book) initial(field string) history.Value {
	if b.history.Defaults != nil {
		return b.history.Defaults[field]
	}
	return ownTable[field]
}

var open, empty = "open", ""

// ownTable are the defaults of ticketd's own table that are not NULL.
var ownTable = map[string]history.Value{"status": &open, "subject": &empty}

func equal(x, y history.Value) bool {
	return x == nil && y == nil || x != nil && y != nil && *x == *y
}

// doubtful is an operation with the request id of a different request: the operation may have been made, or answered as the
// other request. So the ticket that such a create received may belong to the other request.
func doubtful(op *history.Op) *history.Op {
	once := *op
	once.Outcome = history.Unknown
	if op.Kind == history.Create {
		once.Ticket = 0
	}
	return &once
}

// merge adds a repetition to the operation of the request.
func merge(once, op *history.Op) {
	call := min(once.Call, op.Call)
	better := once.Outcome != history.Done && op.Outcome != history.Refused
	earlier := once.Outcome == history.Done && op.Outcome == history.Done && op.Return < once.Return
	if better || earlier {
		client := once.Client
		*once = *op
		once.Client = client
	}
	once.Call = call
}

// adopt finds the tickets of creates whose clients did not learn the id: each value is written once, so a ticket that shows a
// create's value was made by that create.
//
// A create in the spool under a ticket's id may follow a try that made a second ticket. ticketd deletes the second ticket.
func (b *book) adopt() {
	values := map[written]*history.Op{}
	for _, op := range b.strays {
		for field, value := range op.Fields {
			if value != nil {
				values[writtenOf(field, value)] = op
			}
		}
	}
	for _, op := range b.strays { // a create with only NULL values is found by its id
		blank := !slices.ContainsFunc(slices.Collect(maps.Values(op.Fields)), func(v history.Value) bool { return v != nil })
		if p := b.tickets[op.Named]; blank && p != nil && op.Ticket != p.id && (p.row != nil || p.dead != nil) {
			p.adopt(op)
		}
	}
	for _, p := range b.pages() {
		for _, op := range p.strays(values) {
			p.adopt(op)
		}
	}
}

// strays are the creates of a different id or without an id whose values the ticket shows, by time of call.
func (p *page) strays(values map[written]*history.Op) []*history.Op {
	var found []*history.Op
	for _, fields := range p.shown() {
		for field, value := range fields {
			w := writtenOf(field, value)
			if op := values[w]; value != nil && len(p.writers[w]) == 0 && op != nil && op.Ticket != p.id && !slices.Contains(found, op) {
				found = append(found, op)
			}
		}
	}
	byCall(found)
	return found
}

func (p *page) adopt(op *history.Op) {
	p.made = op
	create := *op
	create.Ticket, create.Revision, create.Outcome = p.id, 0, history.Unknown
	p.write(&create)
	if op.Outcome == history.Done {
		gone := create
		gone.Kind, gone.Fields = history.Delete, nil
		p.write(&gone)
	}
}

// shown is all that was ever seen of the ticket.
func (p *page) shown() []map[string]history.Value {
	var all []map[string]history.Value
	for _, read := range p.reads {
		all = append(all, read.Fields)
	}
	if p.row != nil {
		all = append(all, p.row.Fields)
	}
	if p.dead != nil {
		all = append(all, p.dead.Fields)
	}
	return all
}
