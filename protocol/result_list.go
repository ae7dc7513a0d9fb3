package protocol

// ListResult is the result of list: one page of tickets.
type ListResult struct {
	Tickets []*Ticket
	// Next is where the page after begins; empty where this one is the last.
	Next string
	// Stale says that changes which wait for MySQL may be missing: Redis did not answer, or rows are locked.
	Stale bool
	// Locked are tickets whose changes are missing as others hold their rows locked in MySQL, [MaxLocked] of them at most.
	Locked []int64
}

// MarkStale says that changes may be missing.
func (r *ListResult) MarkStale() { r.Stale = true }

// CountResult is the result of count, dead_retry and dead_drop, in tickets.
type CountResult struct {
	Count int64
	// Groups are the numbers by value of a count by a field, the largest first; nil where no field was asked for.
	Groups []Group
	// Stale and Locked say of a count what those of a [ListResult] say.
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
			return d.page(&r.Tickets)
		case "next":
			return d.null() || d.text(&r.Next)
		case "stale":
			return d.flag(&r.Stale)
		case "locked":
			return d.locked(&r.Locked)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Tickets != nil })
}

func (d *decoder) page(into *[]*Ticket) bool {
	n, ok := d.arrayLen()
	if !ok || n > MaxTickets {
		return false
	}
	tickets := make([]*Ticket, n)
	for i := range tickets {
		tickets[i] = &Ticket{}
		if d.ticket(tickets[i]) != nil {
			return false
		}
	}
	*into = tickets
	return true
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
			return d.groups(&r.Groups)
		case "stale":
			return d.flag(&r.Stale)
		case "locked":
			return d.locked(&r.Locked)
		default:
			return d.ignore()
		}
	}, func() bool { return found })
}

func (d *decoder) locked(into *[]int64) bool {
	n, ok := d.arrayLen()
	if !ok || n > MaxLocked {
		return false
	}
	ids := make([]int64, n)
	for i := range ids {
		if ids[i], ok = d.int(); !ok {
			return false
		}
	}
	*into = ids
	return true
}

func (d *decoder) groups(into *[]Group) bool {
	n, ok := d.arrayLen()
	if !ok || n > MaxGroups {
		return false
	}
	groups := make([]Group, n)
	for i := range groups {
		if pair, ok := d.arrayLen(); !ok || pair != 2 {
			return false
		}
		var valid bool
		if groups[i].Value, valid = d.fieldValue(); !valid || !d.count(&groups[i].Count) {
			return false
		}
	}
	*into = groups
	return true
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
