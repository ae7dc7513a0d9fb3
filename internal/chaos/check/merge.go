package check

import (
	"maps"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// merged makes one operation of all repetitions of a request: it happened between the first call and the first acknowledgement. A
// create that was repeated while no place that remembers it could be asked may have been made twice.
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

// forgotten tells whether a request may have been made again because no place that remembers it could be asked: Redis did not
// answer, and the daemon was another one, or was started since.
func (b *book) forgotten(first, repetition *history.Op) bool {
	return !b.well(repetition, mysqls) && (first.Host != repetition.Host || b.ended(first, repetition))
}

// doubtful is an operation whose request id was another one's: it may have been done, or taken for the other. The ticket that
// such a create received may be the other's.
func doubtful(op *history.Op) *history.Op {
	once := *op
	once.Outcome = history.Unknown
	if op.Kind == history.Create {
		once.Ticket = 0
	}
	return &once
}

// merge adds a repetition to what is known of its request.
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

// adopt finds out which tickets were made by creates whose clients were not told of them: values are written once, so a
// ticket that shows a create's value was made by it.
//
// That a create is in the spool, under a ticket's id, may follow a try that made another ticket. ticketd deletes that one.
func (b *book) adopt() {
	values := map[written]*history.Op{}
	for _, op := range b.strays {
		for field, value := range op.Fields {
			if value != nil {
				values[writtenOf(field, value)] = op
			}
		}
	}
	for _, op := range b.strays { // of one that gave nothing but NULL the id tells
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

// strays are the creates of another id, or of none, whose values the ticket shows, in the order of their calls.
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
