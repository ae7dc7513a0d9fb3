package protocol

import (
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// ListResult is the result of list: a page of tickets.
type ListResult struct {
	Tickets []*Ticket
	// Next is where the next page begins; empty on the last page.
	Next string
	// Stale says that changes which wait for MySQL may be missing: Redis did not answer, or rows are locked.
	Stale bool
	// Locked are tickets whose changes are missing because other sessions hold row locks in MySQL, at most [MaxLocked].
	Locked []int64
}

// MarkStale says that changes may be missing.
func (r *ListResult) MarkStale() { r.Stale = true }

// CountResult is the result of count, dead_retry and dead_drop, in tickets.
type CountResult struct {
	Count int64
	// Groups are the numbers by value of a count by a field, the largest first; nil where no field was asked for.
	Groups []Group
	// Stale and Locked mean the same as in [ListResult].
	Stale  bool
	Locked []int64
}

// MarkStale says that changes may be missing.
func (r *CountResult) MarkStale() { r.Stale = true }

// Decode implements [Result].
func (r *ListResult) Decode(raw Raw) error {
	*r = ListResult{}
	return result(raw, "list", func(d *decoder, key string) bool {
		switch key {
		case "tickets":
			return list(d, MaxTickets, &r.Tickets, readTicket)
		case "next":
			return d.null() || d.text(&r.Next)
		case "stale":
			return d.flag(&r.Stale)
		case "locked":
			return readLocked(d, &r.Locked)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Tickets != nil })
}

func readTicket(t **Ticket, d *decoder) bool {
	*t = &Ticket{}
	return (*t).read(d) == nil
}

func readLocked(d *decoder, into *[]int64) bool {
	return list(d, MaxLocked, into, func(id *int64, d *decoder) (ok bool) {
		*id, ok = d.int()
		return ok
	})
}

// Decode implements [Result].
func (r *CountResult) Decode(raw Raw) error {
	*r = CountResult{}
	found := false
	return result(raw, "count", func(d *decoder, key string) bool {
		switch key {
		case "count":
			found = d.count(&r.Count)
			return found
		case "groups":
			return list(d, MaxGroups, &r.Groups, readGroup)
		case "stale":
			return d.flag(&r.Stale)
		case "locked":
			return readLocked(d, &r.Locked)
		default:
			return d.ignore()
		}
	}, func() bool { return found })
}

// readGroup reads [value, count].
func readGroup(g *Group, d *decoder) (ok bool) {
	if pair, ok := d.arrayLen(); !ok || pair != 2 {
		return false
	}
	g.Value, ok = d.fieldValue()
	return ok && d.count(&g.Count)
}

func (r *ListResult) encode(e *Encoder) {
	e.answer(2, r.Stale, r.Locked...)
	e.str("tickets")
	e.array(len(r.Tickets))
	for _, t := range r.Tickets {
		t.encode(e)
	}
	e.str("next")
	if r.Next == "" {
		e.null()
		return
	}
	e.str(r.Next)
}

func (r *CountResult) encode(e *Encoder) {
	n := 1
	if r.Groups != nil {
		n++
	}
	e.answer(n, r.Stale, r.Locked...)
	e.pair("count", r.Count)
	if r.Groups == nil {
		return
	}
	e.str("groups")
	e.array(len(r.Groups))
	for _, g := range r.Groups {
		e.array(2)
		e.value(g.Value)
		e.int(g.Count)
	}
}

// Letter is a dead letter in a reply.
type Letter struct {
	ticket.Letter
	// Cut means for Fields the same as [Ticket].Cut: the letters of the page are larger than a frame.
	Cut bool
}

// DeadListResult is the result of dead_list: a page of letters, by ticket id.
type DeadListResult struct {
	Letters []Letter
}

// Decode implements [Result].
func (r *DeadListResult) Decode(raw Raw) error {
	*r = DeadListResult{}
	return result(raw, "dead_list", func(d *decoder, key string) bool {
		if key != "letters" {
			return d.ignore()
		}
		return list(d, MaxTickets, &r.Letters, (*Letter).read)
	}, func() bool { return r.Letters != nil })
}

func (l *Letter) read(d *decoder) bool {
	err := d.object("letter", func(key string) bool {
		switch key {
		case "id":
			return d.count((*int64)(&l.ID))
		case "revision":
			return d.count((*int64)(&l.Revision))
		case "code":
			var code int64
			known := d.count(&code)
			l.Code = int(code)
			return known
		case "reason":
			return d.text(&l.Reason)
		case "at_ms":
			var ms int64
			known := d.count(&ms)
			l.At = time.UnixMilli(ms)
			return known
		case "deleted":
			return d.flag(&l.Deleted)
		case "fields":
			return d.ticketFields(&l.Fields)
		case "cut":
			return d.flag(&l.Cut)
		default:
			return d.ignore()
		}
	})
	return err == nil && l.ID > 0
}

func (r *DeadListResult) encode(e *Encoder) {
	e.mapLen(1)
	e.str("letters")
	e.array(len(r.Letters))
	for i := range r.Letters {
		r.Letters[i].encode(e)
	}
}

// maxReason bounds the bytes of a letter's reason in a reply.
const maxReason = 1 << 10

func (l *Letter) encode(e *Encoder) {
	e.mapLen(7 + l.marks())
	if l.Cut {
		e.str("cut")
		e.bool(true)
	}
	e.pair("id", int64(l.ID))
	e.pair("revision", int64(l.Revision))
	e.pair("code", int64(l.Code))
	e.pairStr("reason", cut(l.Reason, maxReason))
	e.pair("at_ms", max(l.At.UnixMilli(), 0))
	e.str("deleted")
	e.bool(l.Deleted)
	e.str("fields")
	e.fields(l.Fields)
}

func (l *Letter) marks() int {
	if l.Cut {
		return 1
	}
	return 0
}
