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
	// strays are creates that may have made a ticket whose id nobody was told.
	strays []*history.Op
	seen   map[sighting]time.Duration // when a change was seen first
	// unasked is what was set aside though no client had asked for it.
	unasked []*history.Aside
}

// page is what happened to one ticket.
type page struct {
	id int64
	// changes are the creates, sets and deletes that may have been made, by the time of their call; one for all repetitions
	// of a request.
	changes []*history.Op
	// aside are changes that were acknowledged and not made, see setAside.
	aside []*history.Op
	// reads are the answers that show it, by the time of their call. A list gives one for each of its tickets.
	reads []*history.Op
	// refused are changes that were certainly not made.
	refused []*history.Op
	// inserts are the rows that somebody may have made of it in SQL.
	inserts []*history.Op
	// writers say who wrote a field's value: one, but for NULL, which may be written often.
	writers map[written][]*history.Op
	// made is the create that made it without telling its id, see adopt.
	made  *history.Op
	names []string     // of the fields that somebody set, see fields
	row   *history.Row // in the end; nil where there is none
	dead  *history.Row // nil where it is no dead letter
}

// written is a field's value; null is one of its own.
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

func byCall(ops []*history.Op) {
	slices.SortStableFunc(ops, func(x, y *history.Op) int { return cmp.Compare(x.Call, y.Call) })
}

// pages are the tickets by their ids.
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

// sign notes who wrote what.
func (p *page) sign(op *history.Op) {
	for field, value := range op.Fields {
		w := writtenOf(field, value)
		p.writers[w] = append(p.writers[w], op)
	}
}

// sources are the changes that may have given a field its value, and nil where the table's default may have. None: it comes
// from nowhere.
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

// collectInsert takes up a row that was made in SQL, unless MySQL refused it.
func (b *book) collectInsert(op *history.Op) {
	if op.Outcome == history.Refused || op.Ticket == 0 {
		return
	}
	p := b.page(op.Ticket)
	p.inserts = append(p.inserts, op)
	p.sign(op)
}

// release leaves out the tickets whose id changed after their create was acknowledged, and those of which they became part: the
// log names both. The client of a create that named its id itself received no answer: tickets of such an id stay, unless changes
// in the spool or in a journal may have followed the create, or another create may be the one that moved.
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
	for _, m := range b.history.Moved { // several creates may have named one id, and one may move again, as its new id is taken
		p := b.tickets[m.From]
		if !named[m.From] || slices.Contains(out, m.From) || p != nil && slices.ContainsFunc(p.changes, follows) {
			out = append(out, m.From, m.To)
		}
	}
	for _, id := range out {
		delete(b.tickets, id)
	}
}

// listedOld takes what lists showed of a ticket with a change that MySQL refuses for what it is: of a dead letter they show what
// MySQL has.
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
