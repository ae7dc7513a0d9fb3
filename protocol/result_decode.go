package protocol

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// result reads a method's result, a map, and checks with complete whether what must be there was.
func result(raw Raw, what string, read func(d *decoder, key string) bool, complete func() bool) error {
	d := openDecoder(raw)
	defer d.close()
	if err := d.object(what, func(key string) bool { return read(d, key) }); err != nil {
		return err
	}
	if !complete() {
		return fmt.Errorf("%w: %s is incomplete", errShape, what)
	}
	return nil
}

// Decode implements [Result].
func (r *PingResult) Decode(raw Raw) error {
	*r = PingResult{}
	return result(raw, "ping", func(d *decoder, key string) bool {
		switch key {
		case "version":
			return d.text(&r.Version)
		case "protocol":
			n, ok := d.int()
			r.Protocol = int(n)
			return ok
		default:
			return d.ignore()
		}
	}, func() bool { return r.Protocol > 0 })
}

// Decode implements [Result].
func (r *CreateResult) Decode(raw Raw) error {
	*r = CreateResult{}
	return result(raw, "create", func(d *decoder, key string) bool {
		switch key {
		case "id":
			return d.count(&r.ID)
		case "revision":
			return d.count(&r.Revision)
		default:
			return d.ignore()
		}
	}, func() bool { return r.ID > 0 && r.Revision > 0 })
}

// Decode implements [Result].
func (r *RevisionResult) Decode(raw Raw) error {
	*r = RevisionResult{}
	return result(raw, "revision", func(d *decoder, key string) bool {
		if key == "revision" {
			return d.count(&r.Revision)
		}
		return d.ignore()
	}, func() bool { return r.Revision > 0 })
}

// Decode implements [Result].
func (r *SetManyResult) Decode(raw Raw) error {
	*r = SetManyResult{}
	return result(raw, "set_many", func(d *decoder, key string) bool {
		if key != "results" {
			return d.ignore()
		}
		n, ok := d.arrayLen()
		if !ok || n > MaxTickets {
			return false
		}
		r.Outcomes = make([]SetOutcome, n)
		for i := range r.Outcomes {
			if !d.outcome(&r.Outcomes[i]) {
				return false
			}
		}
		return true
	}, func() bool { return r.Outcomes != nil })
}

func (d *decoder) outcome(o *SetOutcome) bool {
	if isInt(d.code()) {
		return d.count(&o.Revision)
	}
	var err error
	o.Err, err = d.failure()
	return err == nil
}

// Decode implements [Result].
func (t *Ticket) Decode(raw Raw) error {
	*t = Ticket{}
	d := openDecoder(raw)
	defer d.close()
	return d.ticket(t)
}

func (d *decoder) ticket(t *Ticket) error {
	err := d.object("ticket", func(key string) bool {
		switch key {
		case "id":
			return d.count(&t.ID)
		case "revision":
			return d.count(&t.Revision)
		case "fields":
			return d.ticketFields(&t.Fields)
		case "stale":
			return d.flag(&t.Stale)
		case "cut":
			return d.flag(&t.Cut)
		default:
			return d.ignore()
		}
	})
	if err == nil && (t.ID < 1 || t.Revision < 1) {
		err = fmt.Errorf("%w: ticket is incomplete", errShape)
	}
	return err
}

func isBytes(c byte) bool { return c == msgpcode.Bin8 || c == msgpcode.Bin16 || c == msgpcode.Bin32 }

// fieldValue reads a field's value as the daemon sends it: an integer stays one, and bytes need not be UTF-8.
func (d *decoder) fieldValue() (v Value, ok bool) {
	if isInt(d.code()) {
		num, ok := d.int()
		return Int(num), ok
	}
	if isBytes(d.code()) {
		text, ok := d.str()
		return Text(text), ok
	}
	v, why := d.value()
	return v, why == ""
}

// ticketFields reads a ticket's fields as the daemon sends them.
func (d *decoder) ticketFields(into *Fields) bool {
	n, ok := d.mapLen()
	if !ok {
		return false
	}
	fields := make(Fields, 0, min(n, MaxFields)) // a table may have more columns than a request may name
	for range n {
		name, ok := d.key()
		if !ok {
			return false
		}
		value, ok := d.fieldValue()
		if !ok {
			return false
		}
		fields = append(fields, Field{Name: name, Value: value})
	}
	*into = fields
	return true
}

// Decode implements [Result].
func (r *GetManyResult) Decode(raw Raw) error {
	*r = GetManyResult{}
	return result(raw, "get_many", func(d *decoder, key string) bool {
		switch key {
		case "tickets":
			return d.ticketsOrNone(&r.Tickets)
		case "stale":
			return d.flag(&r.Stale)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Tickets != nil })
}

// ticketsOrNone reads an array of tickets, where nil stands for one that is not there.
func (d *decoder) ticketsOrNone(into *[]*Ticket) bool {
	n, ok := d.arrayLen()
	if !ok || n > MaxTickets {
		return false
	}
	tickets := make([]*Ticket, n)
	for i := range tickets {
		if d.null() {
			continue
		}
		tickets[i] = &Ticket{}
		if d.ticket(tickets[i]) != nil {
			return false
		}
	}
	*into = tickets
	return true
}

// Decode implements [Result].
func (r *FlushResult) Decode(raw Raw) error {
	*r = FlushResult{}
	return result(raw, "flush", func(d *decoder, key string) bool {
		switch key {
		case "flushed":
			return d.count(&r.Flushed)
		case "dead":
			return d.count(&r.Dead)
		default:
			return d.ignore()
		}
	}, func() bool { return true })
}
