package protocol

// options writes a map of n required and some optional parameters: the optional ones are written where they are not
// empty.
func (e *Encoder) options(n int, site, requestID string) {
	if site != "" {
		n++
	}
	if requestID != "" {
		n++
	}
	e.mapLen(n)
	if site != "" {
		e.pairStr("site", site)
	}
	if requestID != "" {
		e.pairStr("request_id", requestID)
	}
}

func (e *Encoder) ids(ids []int64) {
	e.str("ids")
	e.array(len(ids))
	for _, id := range ids {
		e.int(id)
	}
}

func (p *SiteParams) encode(e *Encoder) { e.options(0, p.Site, "") }

func (p *CreateParams) encode(e *Encoder) {
	e.options(1, p.Site, p.RequestID)
	e.str("fields")
	e.fields(p.Fields)
}

func (p *SetParams) encode(e *Encoder) {
	n := 2
	if p.IfRevision != 0 {
		n++
	}
	e.options(n, p.Site, p.RequestID)
	e.pair("id", p.ID)
	e.str("fields")
	e.fields(p.Fields)
	if p.IfRevision != 0 {
		e.pair("if_revision", p.IfRevision)
	}
}

func (p *SetManyParams) encode(e *Encoder) {
	e.options(1, p.Site, p.RequestID)
	e.str("tickets")
	e.array(len(p.Tickets))
	for i := range p.Tickets {
		e.array(2)
		e.int(p.Tickets[i].ID)
		e.fields(p.Tickets[i].Fields)
	}
}

func (p *GetParams) encode(e *Encoder) {
	e.options(1, p.Site, "")
	e.pair("id", p.ID)
}

func (p *GetManyParams) encode(e *Encoder) {
	e.options(1, p.Site, "")
	e.ids(p.IDs)
}

func (p *DeleteParams) encode(e *Encoder) {
	e.options(1, p.Site, p.RequestID)
	e.pair("id", p.ID)
}

func (p *FlushParams) encode(e *Encoder) {
	if p.All {
		e.options(0, p.Site, "")
		return
	}
	e.options(1, p.Site, "")
	e.ids(p.IDs)
}
