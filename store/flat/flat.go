// Package flat is the flat form of the feed's events: a list of names and values, as in the entries of a Redis stream. Names that
// begin with _ describe the event, all other names are the ticket's fields; see docs/feed.md.
package flat

import (
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// The names of an entry that are not fields of a ticket.
const (
	number       = "_n"
	kind         = "_kind"
	id           = "_id"
	revision     = "_rev"
	previous     = "_prev"
	at           = "_at"
	by           = "_by"
	via          = "_via"
	acknowledged = "_ack"
	from         = "_from"
	complete     = "_complete"
	null         = "_null"
	long         = "_long"
	was          = "_was:"
	wasNull      = "_wasnull"
	note         = "_note"
	// recorded, partition and the lost range are not in a stream, whose entries have their time in their ids.
	recorded  = "_recorded"
	partition = "_partition"
	first     = "_first"
	last      = "_last"
	lost      = "_lost"
)

// Pairs is an event without Number, Partition and Recorded, which a stream gives to an entry.
func Pairs(e *ticket.Event) []string {
	pairs := make([]string, 0, 16+2*len(e.Fields)+2*len(e.Was))
	put := func(name, value string) { pairs = append(pairs, name, value) }
	optional := func(name string, n int64) {
		if n != 0 {
			put(name, strconv.FormatInt(n, 10))
		}
	}
	put(kind, string(e.Kind))
	put(id, e.Ticket.String())
	put(revision, e.Revision.String())
	if e.Previous != 0 {
		put(previous, e.Previous.String())
	} else {
		put(previous, "")
	}
	put(at, strconv.FormatInt(e.At.UnixMicro(), 10))
	put(by, e.By)
	put(via, e.Via)
	if e.Complete {
		put(complete, "1")
	}
	optional(acknowledged, int64(e.Acknowledged))
	optional(from, int64(e.From))
	optional(first, int64(e.First)) //nolint:gosec // counts events
	optional(last, int64(e.Last))   //nolint:gosec // counts events
	optional(lost, int64(e.Lost))   //nolint:gosec // counts events
	if e.Note != "" {
		put(note, e.Note)
	}
	var nulls, wasNulls []string
	for _, f := range e.Fields {
		if f.Value.IsNull() {
			nulls = append(nulls, f.Name)
		} else {
			put(f.Name, f.Value.Text())
		}
	}
	for _, f := range e.Was {
		if f.Value.IsNull() {
			wasNulls = append(wasNulls, f.Name)
		} else {
			put(was+f.Name, f.Value.Text())
		}
	}
	list := func(name string, names []string) {
		if len(names) > 0 {
			put(name, strings.Join(names, ","))
		}
	}
	list(null, nulls)
	list(wasNull, wasNulls)
	list(long, e.Omitted)
	return pairs
}

// Whole is an event with Number, Partition and Recorded.
func Whole(e *ticket.Event) []string {
	return append(Pairs(e), number, strconv.FormatUint(e.Number, 10), partition, strconv.Itoa(e.Partition),
		recorded, strconv.FormatInt(e.Recorded.UnixMicro(), 10))
}

// Event reads an entry. An entry of another program reads as far as it has the form; a number that cannot be read is 0.
func Event(pairs []string) ticket.Event {
	var e ticket.Event
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		if !strings.HasPrefix(name, "_") {
			e.Fields = append(e.Fields, ticket.Field{Name: name, Value: ticket.Text(value)})
			continue
		}
		if field, old := strings.CutPrefix(name, was); old {
			e.Was = append(e.Was, ticket.Field{Name: field, Value: ticket.Text(value)})
			continue
		}
		describe(&e, name, value)
	}
	return e
}

// describe reads a pair that is no field.
func describe(e *ticket.Event, name, value string) {
	switch name {
	case kind:
		e.Kind = ticket.EventKind(value)
	case by:
		e.By = value
	case via:
		e.Via = value
	case complete:
		e.Complete = value == "1"
	case note:
		e.Note = value
	case null:
		e.Fields = nulls(e.Fields, value)
	case wasNull:
		e.Was = nulls(e.Was, value)
	case long:
		e.Omitted = strings.Split(value, ",")
	default:
		n, _ := strconv.ParseInt(value, 10, 64)
		describeNumber(e, name, n)
	}
}

func describeNumber(e *ticket.Event, name string, n int64) {
	switch name {
	case number:
		e.Number = uint64(max(n, 0))
	case id:
		e.Ticket = ticket.ID(n)
	case revision:
		e.Revision = ticket.Revision(n)
	case previous:
		e.Previous = ticket.Revision(n)
	case acknowledged:
		e.Acknowledged = ticket.Revision(n)
	case from:
		e.From = ticket.Revision(n)
	case at:
		e.At = time.UnixMicro(n)
	case recorded:
		e.Recorded = time.UnixMicro(n)
	case partition:
		e.Partition = int(n)
	case first:
		e.First = uint64(max(n, 0))
	case last:
		e.Last = uint64(max(n, 0))
	case lost:
		e.Lost = uint64(max(n, 0))
	}
}

// nulls adds the fields that are NULL.
func nulls(fields ticket.Fields, names string) ticket.Fields {
	for name := range strings.SplitSeq(names, ",") {
		fields = append(fields, ticket.Field{Name: name})
	}
	return fields
}
