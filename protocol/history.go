package protocol

import "time"

// HistoryParams are the parameters of history.
type HistoryParams struct {
	Target
	Timed
	ID int64
	// Before, if not zero, asks for the changes below that revision: the Next of the page before.
	Before int64
	// Field, if not empty, asks for the changes of that field.
	Field string
	// Limit is 1 to [MaxTickets], 0 stands for [DefaultChanges].
	Limit int
}

// DefaultChanges is how many changes a page of history has where the request does not say.
const DefaultChanges = 20

// EraseHistoryParams are the parameters of erase_history.
type EraseHistoryParams struct {
	Target
	Timed
	IDs []int64
}

// HistoryResult is the result of history: changes of a ticket, newest first.
type HistoryResult struct {
	Changes []HistoryChange
	// Next is the Before of the next page; zero on the last page.
	Next int64
	// Stale says that the latest changes may be missing.
	Stale bool
}

// MarkStale says that changes may be missing.
func (r *HistoryResult) MarkStale() { r.Stale = true }

// HistoryChange is a change of a ticket.
type HistoryChange struct {
	Revision int64
	// Kind is created, updated, deleted, or dropped: a change that an operator has dropped.
	Kind string
	At   time.Time
	// By and Via say who made the change, as far as known.
	By, Via string
	// Values are the changed fields, by name, with their old and new value; with the new value alone where the old one is not known;
	// without a value where values are left out.
	Values []FieldChange
	// Erased says that the values were erased. Gap says that changes directly before this one may be missing.
	Erased, Gap bool
}

// FieldChange is what a change did to a field.
type FieldChange struct {
	Name   string
	Values []Value
}

// Bytes is about the size of the change in a reply.
func (c *HistoryChange) Bytes() int {
	const overhead, perValue = 100, 8
	n := overhead + len(c.By) + len(c.Via)
	for i := range c.Values {
		n += len(c.Values[i].Name) + perValue
		for _, v := range c.Values[i].Values {
			n += len(v.Text()) + perValue
		}
	}
	return n
}

// Decode implements [Params].
func (p *HistoryParams) Decode(raw Raw) error {
	*p = HistoryParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		case "before":
			return true, d.revision("before", &p.Before)
		case "field":
			return true, readFieldName(d, "field", &p.Field)
		case "limit":
			return true, d.limit(&p.Limit)
		default:
			return false, nil
		}
	})
	if err == nil && p.ID == 0 {
		return Invalid("id", "name the ticket")
	}
	return err
}

// readFieldName reads the name of a field.
func readFieldName(d *decoder, param string, into *string) *Error {
	s, ok := d.str()
	if !ok || !ValidName(s) {
		return Invalid(param, "%s is a field's name", param)
	}
	*into = s
	return nil
}

// Decode implements [Params].
func (p *EraseHistoryParams) Decode(raw Raw) error {
	*p = EraseHistoryParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		if key != "ids" {
			return false, nil
		}
		return true, d.ticketIDs(1, &p.IDs)
	})
	if err == nil && p.IDs == nil {
		return Invalid("ids", "name the tickets as ids")
	}
	return err
}

func (p *HistoryParams) encode(e *Encoder) {
	n := 1 + ifGiven(p.Field)
	if p.Before != 0 {
		n++
	}
	if p.Limit != 0 {
		n++
	}
	e.options(n, &p.Target, p.Timeout)
	e.pair("id", p.ID)
	if p.Before != 0 {
		e.pair("before", p.Before)
	}
	if p.Field != "" {
		e.pairStr("field", p.Field)
	}
	if p.Limit != 0 {
		e.pair("limit", int64(p.Limit))
	}
}

func (p *EraseHistoryParams) encode(e *Encoder) {
	e.options(1, &p.Target, p.Timeout)
	e.ids(p.IDs)
}

func (r *HistoryResult) encode(e *Encoder) {
	e.answer(2, r.Stale)
	e.str("changes")
	e.array(len(r.Changes))
	for i := range r.Changes {
		r.Changes[i].encode(e)
	}
	e.str("next")
	if r.Next == 0 {
		e.null()
	} else {
		e.int(r.Next)
	}
}

func (c *HistoryChange) encode(e *Encoder) {
	n := 4 + ifGiven(c.By) + ifGiven(c.Via)
	for _, mark := range []bool{c.Erased, c.Gap} {
		if mark {
			n++
		}
	}
	e.mapLen(n)
	e.pair("revision", c.Revision)
	e.pairStr("kind", c.Kind)
	e.pair("at_us", max(c.At.UnixMicro(), 0))
	if c.By != "" {
		e.pairStr("by", c.By)
	}
	if c.Via != "" {
		e.pairStr("via", c.Via)
	}
	e.str("changes")
	e.mapLen(len(c.Values))
	for i := range c.Values {
		e.str(c.Values[i].Name)
		e.array(len(c.Values[i].Values))
		for _, v := range c.Values[i].Values {
			e.value(v)
		}
	}
	e.mark("erased", c.Erased)
	e.mark("gap", c.Gap)
}

// Decode implements [Result].
func (r *HistoryResult) Decode(raw Raw) error {
	*r = HistoryResult{}
	return result(raw, "history", func(d *decoder, key string) bool {
		switch key {
		case "changes":
			return list(d, MaxTickets, &r.Changes, (*HistoryChange).read)
		case "next":
			return d.null() || d.count(&r.Next)
		case "stale":
			return d.flag(&r.Stale)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Changes != nil })
}

func (c *HistoryChange) read(d *decoder) bool {
	err := d.object("change", func(key string) bool {
		switch key {
		case "revision":
			return d.count(&c.Revision)
		case "kind":
			return d.text(&c.Kind)
		case "at_us":
			return d.time(&c.At)
		case "by":
			return d.text(&c.By)
		case "via":
			return d.text(&c.Via)
		case "changes":
			return readFieldChanges(d, &c.Values)
		case "erased":
			return d.flag(&c.Erased)
		case "gap":
			return d.flag(&c.Gap)
		default:
			return d.ignore()
		}
	})
	return err == nil && c.Revision > 0
}

func readFieldChanges(d *decoder, into *[]FieldChange) bool {
	var found []FieldChange
	err := d.object("changes", func(name string) bool {
		const most = 2
		n, ok := d.arrayLen()
		if !ok || n > most || len(found) == MaxTicketFields {
			return false
		}
		c := FieldChange{Name: name, Values: make([]Value, n)}
		for i := range c.Values {
			if c.Values[i], ok = d.fieldValue(); !ok {
				return false
			}
		}
		found = append(found, c)
		return true
	})
	*into = found
	return err == nil
}
