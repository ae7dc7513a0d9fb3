package protocol

// Sort names what list sorts by.
type Sort string

// The sorts of SPEC.md section 5. Tickets that are equal in them are sorted by their id.
const (
	SortID       Sort = "ticket_id"
	SortCreated  Sort = "created_at"
	SortUpdated  Sort = "updated_at"
	SortPriority Sort = "priority"
	SortStatus   Sort = "status"
)

// Sorts returns every sort; the first is what a request means that names none.
func Sorts() []Sort { return []Sort{SortID, SortCreated, SortUpdated, SortPriority, SortStatus} }

// ListParams are the parameters of list.
type ListParams struct {
	Target
	Timed
	Selection
	// Sort is [SortID] where it is empty.
	Sort      Sort
	Ascending bool
	// After is where the page before ended: its Next. Empty is the first page.
	After string
	// Limit is 1 to [MaxTickets], 0 stands for [DefaultLimit].
	Limit int
}

// CountParams are the parameters of count.
type CountParams struct {
	Target
	Timed
	Selection
	// By, where it is not empty, is a field: the tickets are counted for each of its values.
	By string
}

// Decode implements [Params].
func (p *ListParams) Decode(raw Raw) error {
	*p = ListParams{}
	return params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "sort":
			return true, d.sort(&p.Sort)
		case "order":
			return true, d.order(&p.Ascending)
		case "after":
			return true, d.cursor(&p.After)
		case "limit":
			return true, d.limit(&p.Limit)
		default:
			return d.selection(key, &p.Selection)
		}
	})
}

// Decode implements [Params].
func (p *CountParams) Decode(raw Raw) error {
	*p = CountParams{}
	return params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "by":
			return true, d.by(&p.By)
		default:
			return d.selection(key, &p.Selection)
		}
	})
}

func (p *ListParams) encode(e *Encoder) {
	n := sizeOf(&p.Selection)
	for _, given := range []bool{p.Sort != "", p.Ascending, p.After != "", p.Limit != 0} {
		if given {
			n++
		}
	}
	e.options(n, &p.Target, p.Timeout)
	e.selection(&p.Selection)
	if p.Sort != "" {
		e.pairStr("sort", string(p.Sort))
	}
	if p.Ascending {
		e.pairStr("order", "asc")
	}
	if p.After != "" {
		e.pairStr("after", p.After)
	}
	if p.Limit != 0 {
		e.pair("limit", int64(p.Limit))
	}
}

func (p *CountParams) encode(e *Encoder) {
	n := sizeOf(&p.Selection)
	if p.By != "" {
		n++
	}
	e.options(n, &p.Target, p.Timeout)
	e.selection(&p.Selection)
	if p.By != "" {
		e.pairStr("by", p.By)
	}
}
