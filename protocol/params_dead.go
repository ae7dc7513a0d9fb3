package protocol

// DeadListParams are the parameters of dead_list.
type DeadListParams struct {
	Target
	Timed
	// After is the id of the last letter of the page before, 0 for the first page.
	After int64
	// Limit is 1 to [MaxTickets], 0 stands for [DefaultLimit].
	Limit int
}

// DeadParams are the parameters of dead_retry and dead_drop: tickets, or all that are dead letters.
type DeadParams struct {
	Target
	Timed
	// IDs are 1 to [MaxTickets] where All is false.
	IDs []int64
	All bool
}

// Decode implements [Params].
func (p *DeadListParams) Decode(raw Raw) error {
	*p = DeadListParams{}
	return params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "after":
			return true, d.ticketID("after", &p.After)
		case "limit":
			return true, d.limit(&p.Limit)
		default:
			return false, nil
		}
	})
}

// Decode implements [Params]. What is to be given up or tried again is named, or it is said that all is meant: a
// parameter that was forgotten must not mean everything.
func (p *DeadParams) Decode(raw Raw) error {
	*p = DeadParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "ids":
			return true, d.ticketIDs(1, &p.IDs)
		case "all":
			return true, d.choice("all", &p.All)
		default:
			return false, nil
		}
	})
	if err == nil && p.All == (p.IDs != nil) {
		return Invalid("ids", "name the tickets as ids, or set all to true, one of the two")
	}
	return err
}

func (p *DeadListParams) encode(e *Encoder) {
	n := 0
	if p.After != 0 {
		n++
	}
	if p.Limit != 0 {
		n++
	}
	e.options(n, &p.Target, p.Timeout)
	if p.After != 0 {
		e.pair("after", p.After)
	}
	if p.Limit != 0 {
		e.pair("limit", int64(p.Limit))
	}
}

func (p *DeadParams) encode(e *Encoder) {
	e.options(1, &p.Target, p.Timeout)
	if p.All {
		e.str("all")
		e.bool(true)
		return
	}
	e.ids(p.IDs)
}
