package protocol

import "time"

// options writes the head of a map of n parameters beside the site and the time-out, and these where they are not empty.
func (e *Encoder) options(n int, site string, timeout time.Duration) {
	if timeout != 0 {
		n++
	}
	e.mapLen(n + ifGiven(site))
	if site != "" {
		e.pairStr("site", site)
	}
	if timeout != 0 {
		e.pair("timeout_ms", max(timeout.Milliseconds(), 1))
	}
}

// change writes the head of a map of n parameters beside those that all changes share, and of these the ones that are
// not empty.
func (e *Encoder) change(n int, site string, timeout time.Duration, requestID string, remember time.Duration, ack Ack) {
	for _, given := range []bool{requestID != "", remember != 0, ack != ""} {
		if given {
			n++
		}
	}
	e.options(n, site, timeout)
	if requestID != "" {
		e.pairStr("request_id", requestID)
	}
	if remember != 0 {
		e.pair("remember", int64((remember+time.Second-1)/time.Second)) // no shorter than was asked for
	}
	if ack != "" {
		e.pairStr("ack", string(ack))
	}
}

// ifGiven counts a parameter that is left out where it is empty.
func ifGiven(text string) int {
	if text == "" {
		return 0
	}
	return 1
}

// identity writes the identity of a table, where it is not empty.
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

func (p *SiteParams) encode(e *Encoder) { e.options(0, p.Site, p.Timeout) }

func (p *CreateParams) encode(e *Encoder) {
	n := 1 + ifGiven(p.Identity)
	if p.ID != 0 {
		n++
	}
	e.change(n, p.Site, p.Timeout, p.RequestID, p.Remember, p.Ack)
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
	e.change(n, p.Site, p.Timeout, p.RequestID, p.Remember, p.Ack)
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
	e.change(n, p.Site, p.Timeout, p.RequestID, p.Remember, p.Ack)
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

func (p *GetParams) encode(e *Encoder) {
	e.options(1, p.Site, p.Timeout)
	e.pair("id", p.ID)
}

func (p *GetManyParams) encode(e *Encoder) {
	e.options(1, p.Site, p.Timeout)
	e.ids(p.IDs)
}

func (p *DeleteParams) encode(e *Encoder) {
	e.change(1+ifGiven(p.Identity), p.Site, p.Timeout, p.RequestID, p.Remember, p.Ack)
	e.pair("id", p.ID)
	e.identity(p.Identity)
}

func (p *FlushParams) encode(e *Encoder) {
	if p.All {
		e.options(0, p.Site, 0)
		return
	}
	e.options(1, p.Site, 0)
	e.ids(p.IDs)
}
