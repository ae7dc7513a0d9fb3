package protocol

import (
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Letter is one dead letter, as a reply has it.
type Letter struct {
	ticket.Letter
	// Cut says of Fields what [Ticket].Cut says: the letters of the page are larger than a frame.
	Cut bool
}

// DeadListResult is the result of dead_list: one page of letters, by ticket id.
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
		n, ok := d.arrayLen()
		if !ok || n > MaxTickets {
			return false
		}
		r.Letters = make([]Letter, n)
		for i := range r.Letters {
			if !d.letter(&r.Letters[i]) {
				return false
			}
		}
		return true
	}, func() bool { return r.Letters != nil })
}

func (d *decoder) letter(l *Letter) bool {
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
