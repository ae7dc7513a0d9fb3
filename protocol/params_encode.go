package protocol

import "time"

// options writes the head of a map of n parameters beside target and time-out, and target and time-out unless empty.
func (e *Encoder) options(n int, of *Target, timeout time.Duration) {
	if timeout != 0 {
		n++
	}
	e.mapLen(n + ifGiven(of.Site) + ifGiven(of.Table))
	if of.Site != "" {
		e.pairStr("site", of.Site)
	}
	if of.Table != "" {
		e.pairStr("table", of.Table)
	}
	if timeout != 0 {
		e.pair("timeout_ms", max(timeout.Milliseconds(), 1))
	}
}

// head writes the head of a map of n parameters beside the parameters that all changes share, and the shared parameters that
// are not empty, except identity.
func (c *Change) head(e *Encoder, n int) {
	for _, given := range []bool{c.RequestID != "", c.Remember != 0, c.Ack != "", c.By != "", c.Via != ""} {
		if given {
			n++
		}
	}
	e.options(n, &c.Target, c.Timeout)
	if c.RequestID != "" {
		e.pairStr("request_id", c.RequestID)
	}
	if c.Remember != 0 {
		e.pair("remember", int64((c.Remember+time.Second-1)/time.Second)) // no shorter than was asked for
	}
	if c.Ack != "" {
		e.pairStr("ack", string(c.Ack))
	}
	if c.By != "" {
		e.pairStr("by", c.By)
	}
	if c.Via != "" {
		e.pairStr("via", c.Via)
	}
}

// ifGiven counts a parameter that is left out if empty.
func ifGiven(text string) int {
	if text == "" {
		return 0
	}
	return 1
}

// identity writes the identity of a table unless empty.
func (e *Encoder) identity(identity string) {
	if identity != "" {
		e.pairStr("identity", identity)
	}
}

func (e *Encoder) ids(ids []int64) {
	e.str("ids")
	e.array(len(ids))
	for _, id := range ids {
		e.int(id)
	}
}

func (p *SiteParams) encode(e *Encoder) { e.options(0, &p.Target, p.Timeout) }

func (p *CreateParams) encode(e *Encoder) {
	n := 1 + ifGiven(p.Identity)
	if p.ID != 0 {
		n++
	}
	p.head(e, n)
	if p.ID != 0 {
		e.pair("id", p.ID)
	}
	e.str("fields")
	e.fields(p.Fields)
	e.identity(p.Identity)
}

func (p *SetParams) encode(e *Encoder) {
	n := 2 + ifGiven(p.Identity)
	if p.IfRevision != 0 {
		n++
	}
	if p.MustExist {
		n++
	}
	p.head(e, n)
	e.pair("id", p.ID)
	e.str("fields")
	e.fields(p.Fields)
	if p.IfRevision != 0 {
		e.pair("if_revision", p.IfRevision)
	}
	if p.MustExist {
		e.str("must_exist")
		e.bool(true)
	}
	e.identity(p.Identity)
}

func (p *SetManyParams) encode(e *Encoder) {
	n := 1
	if p.MustExist {
		n++
	}
	p.head(e, n)
	if p.MustExist {
		e.str("must_exist")
		e.bool(true)
	}
	e.str("tickets")
	e.array(len(p.Tickets))
	for i := range p.Tickets {
		e.array(2)
		e.int(p.Tickets[i].ID)
		e.fields(p.Tickets[i].Fields)
	}
}

func (p *CheckParams) encode(e *Encoder) {
	e.options(1, &p.Target, p.Timeout)
	e.str("entries")
	e.array(len(p.Entries))
	for i := range p.Entries {
		entry := &p.Entries[i]
		e.array(2 + ifGiven(entry.RequestID))
		if entry.ID == 0 {
			e.null()
		} else {
			e.int(entry.ID)
		}
		e.fields(entry.Fields)
		if entry.RequestID != "" {
			e.str(entry.RequestID)
		}
	}
}

func (p *GetParams) encode(e *Encoder) {
	e.options(1, &p.Target, p.Timeout)
	e.pair("id", p.ID)
}

func (p *GetManyParams) encode(e *Encoder) {
	e.options(1, &p.Target, p.Timeout)
	e.ids(p.IDs)
}

func (p *DeleteParams) encode(e *Encoder) {
	p.head(e, 1+ifGiven(p.Identity))
	e.pair("id", p.ID)
	e.identity(p.Identity)
}

func (p *FlushParams) encode(e *Encoder) {
	if p.All {
		e.options(0, &p.Target, 0)
		return
	}
	e.options(1, &p.Target, 0)
	e.ids(p.IDs)
}
