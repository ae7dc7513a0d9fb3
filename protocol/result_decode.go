package protocol

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// result reads a method's result, a map; complete reports whether all required keys were present.
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
		case "features":
			return d.texts(&r.Features)
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
		return list(d, MaxTickets, &r.Outcomes, (*SetOutcome).read)
	}, func() bool { return r.Outcomes != nil })
}

// read reads a revision or an error.
func (o *SetOutcome) read(d *decoder) bool {
	if isInt(d.code()) {
		return d.count(&o.Revision)
	}
	var err error
	o.Err, err = d.failure()
	return err == nil
}

// Decode implements [Result].
func (r *CheckResult) Decode(raw Raw) error {
	*r = CheckResult{}
	return result(raw, "check", func(d *decoder, key string) bool {
		if key != "results" {
			return d.ignore()
		}
		return list(d, MaxTickets, &r.Outcomes, (*CheckOutcome).read)
	}, func() bool { return r.Outcomes != nil })
}

// read reads [ticket id or nil, revision, names], or an error.
func (o *CheckOutcome) read(d *decoder) bool {
	parts, ok := d.arrayLen()
	if !ok {
		var err error
		o.Err, err = d.failure()
		return err == nil
	}
	return parts == 3 && (d.null() || d.count(&o.ID)) && d.count(&o.Revision) && d.texts(&o.Differs)
}

// Decode implements [Result].
func (t *Ticket) Decode(raw Raw) error {
	*t = Ticket{}
	d := openDecoder(raw)
	defer d.close()
	return t.read(d)
}

func (t *Ticket) read(d *decoder) error {
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

// fieldValue reads a field's value as the daemon sends the value: an integer stays an integer, and bytes need not be UTF-8.
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

// ticketFields reads the fields of a ticket in a reply.
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
			return list(d, MaxTickets, &r.Tickets, readTicketOrNil)
		case "stale":
			return d.flag(&r.Stale)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Tickets != nil })
}

// readTicketOrNil leaves *t nil for a ticket that does not exist.
func readTicketOrNil(t **Ticket, d *decoder) bool {
	if d.null() {
		return true
	}
	*t = &Ticket{}
	return (*t).read(d) == nil
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

// Decode implements [Result] and ignores unknown keys.
func (r *StatusResult) Decode(raw Raw) error {
	*r = StatusResult{}
	return result(raw, "status", func(d *decoder, key string) bool {
		if n := r.number(key); n != nil {
			return d.count(n)
		}
		if s := r.text(key); s != nil {
			return d.text(s)
		}
		switch key {
		case "connections":
			return r.readConnections(d)
		case "store":
			return r.Store.read(d)
		case "sink":
			return r.Sink.read(d)
		case "journal":
			return d.counts("journal", r.Journal.number)
		case "spool":
			return d.counts("spool", r.Spool.number)
		case "warnings":
			return d.texts(&r.Warnings)
		default:
			return d.ignore()
		}
	}, func() bool { return r.PID > 0 && r.Store.State != "" && r.Sink.State != "" })
}

// number returns the destination of the count under key, nil if the key holds no count.
func (r *StatusResult) number(key string) *int64 {
	switch key {
	case "uptime_ms":
		return &r.UptimeMS
	case "pid":
		return &r.PID
	case "dirty":
		return &r.Dirty
	case "dead":
		return &r.Dead
	case "oldest_dirty_ms":
		return &r.OldestDirtyMS
	case "flushed_rows":
		return &r.FlushedRows
	case "flush_statements":
		return &r.FlushStatements
	case "flush_errors":
		return &r.FlushErrors
	default:
		return nil
	}
}

// text is number for keys that hold a string.
func (r *StatusResult) text(key string) *string {
	switch key {
	case "version":
		return &r.Version
	case "site":
		return &r.Site
	case "backend":
		return (*string)(&r.Backend)
	case "ack":
		return (*string)(&r.Ack)
	case "strategy":
		return &r.Strategy
	default:
		return nil
	}
}

func (j *JournalStatus) number(key string) *int64 {
	switch key {
	case "entries":
		return &j.Entries
	case "bytes":
		return &j.Bytes
	case "oldest_ms":
		return &j.OldestMS
	case "replayed":
		return &j.Replayed
	case "segments":
		return &j.Segments
	case "requests":
		return &j.Requests
	default:
		return nil
	}
}

func (s *SpoolStatus) number(key string) *int64 {
	switch key {
	case "files":
		return &s.Files
	case "bytes":
		return &s.Bytes
	case "oldest_ms":
		return &s.OldestMS
	case "taken":
		return &s.Taken
	case "bad":
		return &s.Bad
	default:
		return nil
	}
}

func (s *DaemonStatus) readConnections(d *decoder) bool {
	return d.counts("connections", func(key string) *int64 {
		switch key {
		case "open":
			return &s.ConnectionsOpen
		case "limit":
			return &s.ConnectionsLimit
		default:
			return nil
		}
	})
}

func (p *Place) read(d *decoder) bool {
	return d.object("place", func(key string) bool {
		switch key {
		case "state":
			return d.text((*string)(&p.State))
		case "since_ms":
			return d.count(&p.SinceMS)
		case "reason":
			return d.text(&p.Reason)
		default:
			return d.ignore()
		}
	}) == nil
}
