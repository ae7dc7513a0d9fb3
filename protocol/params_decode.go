package protocol

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// params calls read with each key of a method's parameters except target and time-out; read consumes the value and returns
// false for an unknown key. timed is nil if the method has no time-out.
func params(raw Raw, of *Target, timed *Timed, read func(d *decoder, key string) (known bool, err *Error)) error {
	d := openDecoder(raw)
	defer d.close()
	n, ok := d.mapLen()
	if !ok {
		return Invalid("params", "params is %s, not a map", kindName(d.code()))
	}
	var seen [16]string // more than any method has
	for i := range n {
		key, ok := d.key()
		if !ok {
			return Invalid("params", "a name in params is %s, not a string", kindName(d.code()))
		}
		if slices.Contains(seen[:min(i, len(seen))], key) {
			return Invalid(printable(key), "the parameter appears twice")
		}
		known, err := of.read(d, key)
		if !known {
			known, err = timed.read(d, key)
		}
		if !known {
			known, err = read(d, key)
		}
		if !known {
			return Invalid(printable(key), "the method has no such parameter")
		}
		if err != nil {
			return err
		}
		seen[min(i, len(seen)-1)] = key
	}
	return nil
}

// printable makes a name that came from outside fit for a message: short and free of control characters.
func printable(name string) string {
	quoted := fmt.Sprintf("%+q", name[:min(len(name), MaxName)])
	return quoted[1 : len(quoted)-1]
}

func missing(name string) *Error { return Invalid(name, "the parameter is missing") }

func (t *Target) read(d *decoder, key string) (known bool, err *Error) {
	switch key {
	case "site":
		s, ok := d.str()
		if t.Site = s; !ok || s == "" || len(s) > MaxName {
			err = Invalid(key, "a site's name is a string of 1 to %d bytes", MaxName)
		}
	case "table":
		s, ok := d.str()
		if t.Table = s; !ok || s == "" || len(s) > MaxTable {
			err = Invalid(key, "the client's table is a string of 1 to %d bytes, database.table", MaxTable)
		}
	default:
		return false, nil
	}
	return true, err
}

// identity reads the identity of a table.
func (d *decoder) identity(into *string) *Error {
	s, ok := d.str()
	if !ok || s == "" || len(s) > MaxName {
		return Invalid("identity", "the identity of a table is a string of 1 to %d bytes", MaxName)
	}
	*into = s
	return nil
}

// readShared reads a parameter that all changes share, except identity.
func (c *Change) readShared(d *decoder, key string) (known bool, err *Error) {
	switch key {
	case "request_id":
		return true, d.requestID(&c.RequestID)
	case "remember":
		return true, d.remember(&c.Remember)
	case "ack":
		return true, d.ack(&c.Ack)
	case "by":
		return true, d.origin(key, MaxBy, &c.By)
	case "via":
		return true, d.origin(key, MaxVia, &c.Via)
	default:
		return false, nil
	}
}

// check is called when all parameters are read. longest bounds the bytes of the method's request ids.
func (c *Change) check(longest int) error {
	switch {
	case len(c.RequestID) > longest:
		return badRequestID(longest)
	case c.Remember != 0 && c.RequestID == "":
		return Invalid("remember", "remember needs a request_id")
	default:
		return nil
	}
}

func badRequestID(longest int) *Error {
	return Invalid("request_id", "a request id is a string of 1 to %d bytes of printable ASCII without space", longest)
}

func (d *decoder) requestID(into *string) *Error {
	s, ok := d.str()
	if ok = ok && s != "" && len(s) <= MaxPairRequestID; ok {
		for i := range len(s) {
			ok = ok && s[i] > ' ' && s[i] < 0x7f
		}
	}
	if !ok {
		return badRequestID(MaxName)
	}
	*into = strings.Clone(s) // stores remember the id long after the frame
	return nil
}

// origin reads who or what makes a change.
func (d *decoder) origin(key string, most int, into *string) *Error {
	s, ok := d.str()
	ok = ok && s != "" && len(s) <= most
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= ' ' && s[i] < 0x7f
	}
	if !ok {
		return Invalid(key, "%s is a string of 1 to %d bytes of printable ASCII", key, most)
	}
	*into = s
	return nil
}

func (d *decoder) remember(into *time.Duration) *Error {
	n, ok := d.int()
	if !ok || n < 1 || n > int64(MaxRemember/time.Second) {
		return Invalid("remember", "remember is an integer from 1 to %d, in seconds", int64(MaxRemember/time.Second))
	}
	*into = time.Duration(n) * time.Second
	return nil
}

func (d *decoder) ack(into *Ack) *Error {
	s, ok := d.str()
	if ack := Ack(s); ok && (ack == AckRedis || ack == AckJournal) {
		*into = ack
		return nil
	}
	return Invalid("ack", "ack is %s or %s", AckRedis, AckJournal)
}

func (t *Timed) read(d *decoder, key string) (known bool, err *Error) {
	if t == nil || key != "timeout_ms" {
		return false, nil
	}
	n, ok := d.int()
	if !ok || n < 1 || n > MaxTimeout.Milliseconds() {
		return true, Invalid(key, "timeout_ms is an integer from 1 to %d", MaxTimeout.Milliseconds())
	}
	t.Timeout = time.Duration(n) * time.Millisecond
	return true, nil
}

func (d *decoder) ticketID(param string, into *int64) *Error {
	n, ok := d.int()
	if !ok || n < 1 {
		return Invalid(param, "a ticket id is an integer from 1 to %d", int64(MaxTicketID))
	}
	*into = n
	return nil
}

func (d *decoder) revision(param string, into *int64) *Error {
	n, ok := d.int()
	if !ok || n < 1 || n > MaxRevision {
		return Invalid(param, "a revision is an integer from 1 to %d", int64(MaxRevision))
	}
	*into = n
	return nil
}

func (d *decoder) ticketIDs(least int, into *[]int64) *Error {
	n, ok := d.arrayLen()
	if !ok || n < least || n > MaxTickets {
		return Invalid("ids", "ids is an array of %d to %d ticket ids; split a longer one", least, MaxTickets)
	}
	ids := make([]int64, n)
	for i := range ids {
		if err := d.ticketID("ids", &ids[i]); err != nil {
			return err
		}
	}
	*into = ids
	return nil
}

// fields reads a fields map. After an error the decoder's position is within the map.
func (d *decoder) fields(into *Fields) *Error {
	n, ok := d.mapLen()
	if !ok || n < 1 || n > MaxFields {
		return Invalid("fields", "fields is a map of 1 to %d fields", MaxFields)
	}
	fields := make(Fields, 0, n)
	for range n {
		name, ok := d.key()
		if !ok || !ValidName(name) {
			return Invalid(printable(name),
				"a field's name is 1 to %d bytes of A-Z a-z 0-9 _ - and does not begin with _", MaxName)
		}
		for i := range fields {
			if fields[i].Name == name {
				return Invalid(name, "the field appears twice")
			}
		}
		value, why := d.value()
		if why != "" {
			return Invalid(name, "the value %s", why)
		}
		fields = append(fields, Field{Name: name, Value: value})
	}
	*into = fields
	return nil
}

// tickets reads the pairs of set_many. A fault within a pair concerns only that pair; an entry that is not a pair refuses the
// request.
func (d *decoder) tickets(into *[]TicketFields) *Error {
	n, ok := d.arrayLen()
	if !ok || n < 1 || n > MaxTickets {
		return Invalid("tickets", "tickets is an array of 1 to %d pairs; split a longer one", MaxTickets)
	}
	tickets := make([]TicketFields, n)
	for i := range tickets {
		end, whole := skip(d.s, d.offset())
		if two, ok := d.arrayLen(); !whole || !ok || two != 2 {
			return Invalid("tickets", "entry %d is not a pair of ticket id and fields", i)
		}
		t := &tickets[i]
		if t.Err = d.ticketID("id", &t.ID); t.Err == nil {
			t.Err = d.fields(&t.Fields)
		}
		d.seek(end)
	}
	*into = tickets
	return nil
}

// entries reads the entries of check: [id, fields], [nil, fields] or [nil, fields, request id]. A fault within an entry concerns
// only that entry.
func (d *decoder) entries(into *[]CheckEntry) *Error {
	n, ok := d.arrayLen()
	if !ok || n < 1 || n > MaxTickets {
		return Invalid("entries", "entries is an array of 1 to %d entries; split a longer one", MaxTickets)
	}
	entries := make([]CheckEntry, n)
	for i := range entries {
		end, whole := skip(d.s, d.offset())
		parts, ok := d.arrayLen()
		if !whole || !ok || parts < 2 || parts > 3 {
			return Invalid("entries", "entry %d is not an array of ticket id or nil, fields, and for a create a request id", i)
		}
		entries[i].Err = d.entry(&entries[i], parts)
		d.seek(end)
	}
	*into = entries
	return nil
}

func (d *decoder) entry(e *CheckEntry, parts int) *Error {
	if !d.null() {
		if err := d.ticketID("id", &e.ID); err != nil {
			return err
		}
	}
	if err := d.fields(&e.Fields); err != nil || parts == 2 {
		return err
	}
	if e.ID != 0 {
		return Invalid("request_id", "only a create is checked with a request id")
	}
	if err := d.requestID(&e.RequestID); err != nil || len(e.RequestID) > MaxName {
		return badRequestID(MaxName)
	}
	return nil
}

func (d *decoder) choice(param string, into *bool) *Error {
	b, ok := d.bool()
	if !ok {
		return Invalid(param, "%s is true or false", param)
	}
	*into = b
	return nil
}

func (d *decoder) limit(into *int) *Error {
	n, ok := d.int()
	if !ok || n < 1 || n > MaxTickets {
		return Invalid("limit", "the limit is 1 to %d; ask for the rest page by page", MaxTickets)
	}
	*into = int(n)
	return nil
}

// Decode implements [Params].
func (p *SiteParams) Decode(raw Raw) error {
	*p = SiteParams{}
	return params(raw, &p.Target, &p.Timed, func(*decoder, string) (bool, *Error) { return false, nil })
}

// Decode implements [Params].
func (p *CreateParams) Decode(raw Raw) error {
	*p = CreateParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		case "fields":
			return true, d.fields(&p.Fields)
		case "identity":
			return true, d.identity(&p.Identity)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.Fields == nil:
		return missing("fields")
	default:
		return p.check(MaxName)
	}
}

// Decode implements [Params].
func (p *SetParams) Decode(raw Raw) error {
	*p = SetParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		case "fields":
			return true, d.fields(&p.Fields)
		case "identity":
			return true, d.identity(&p.Identity)
		case "if_revision":
			return true, d.revision("if_revision", &p.IfRevision)
		case "must_exist":
			return true, d.choice("must_exist", &p.MustExist)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.ID == 0:
		return missing("id")
	case p.Fields == nil:
		return missing("fields")
	default:
		return p.check(MaxPairRequestID)
	}
}

// Decode implements [Params].
func (p *SetManyParams) Decode(raw Raw) error {
	*p = SetManyParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "tickets":
			return true, d.tickets(&p.Tickets)
		case "must_exist":
			return true, d.choice("must_exist", &p.MustExist)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.Tickets == nil:
		return missing("tickets")
	default:
		return p.check(MaxName)
	}
}

// Decode implements [Params].
func (p *CheckParams) Decode(raw Raw) error {
	*p = CheckParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "entries":
			return true, d.entries(&p.Entries)
		default:
			return false, nil
		}
	})
	if err == nil && p.Entries == nil {
		return missing("entries")
	}
	return err
}

// Decode implements [Params].
func (p *GetParams) Decode(raw Raw) error {
	*p = GetParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		default:
			return false, nil
		}
	})
	if err == nil && p.ID == 0 {
		return missing("id")
	}
	return err
}

// Decode implements [Params].
func (p *GetManyParams) Decode(raw Raw) error {
	*p = GetManyParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "ids":
			return true, d.ticketIDs(1, &p.IDs)
		default:
			return false, nil
		}
	})
	if err == nil && p.IDs == nil {
		return missing("ids")
	}
	return err
}

// Decode implements [Params].
func (p *DeleteParams) Decode(raw Raw) error {
	*p = DeleteParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		case "identity":
			return true, d.identity(&p.Identity)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.ID == 0:
		return missing("id")
	default:
		return p.check(MaxName)
	}
}

// Decode implements [Params].
func (p *FlushParams) Decode(raw Raw) error {
	*p = FlushParams{All: true}
	return params(raw, &p.Target, nil, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "ids":
			p.All = false
			return true, d.ticketIDs(0, &p.IDs)
		default:
			return false, nil
		}
	})
}
