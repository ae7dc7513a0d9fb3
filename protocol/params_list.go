package protocol

import (
	"cmp"
	"slices"
	"strings"
)

// Sort names the sort key of list.
type Sort string

// The sorts of SPEC.md section 5. Tickets with equal keys are sorted by id.
const (
	SortID       Sort = "ticket_id"
	SortCreated  Sort = "created_at"
	SortUpdated  Sort = "updated_at"
	SortPriority Sort = "priority"
	SortStatus   Sort = "status"
)

// Sorts returns every sort, the default first.
func Sorts() []Sort { return []Sort{SortID, SortCreated, SortUpdated, SortPriority, SortStatus} }

// ListParams are the parameters of list.
type ListParams struct {
	Target
	Timed
	Selection
	// Sort is [SortID] if empty.
	Sort      Sort
	Ascending bool
	// After is the Next of the page before, empty for the first page.
	After string
	// Limit is 1 to [MaxTickets], 0 stands for [DefaultLimit].
	Limit int
}

// CountParams are the parameters of count.
type CountParams struct {
	Target
	Timed
	Selection
	// By, unless empty, is a field: the tickets are counted for each value of the field.
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

// selection reads a parameter that list and count share.
func (d *decoder) selection(key string, s *Selection) (known bool, err *Error) {
	switch key {
	case "where":
		return true, d.where(&s.Where)
	case "created_at":
		return true, d.period(key, &s.Created)
	case "updated_at":
		return true, d.period(key, &s.Updated)
	case "contains":
		return true, d.contains(&s.Contains)
	case "deleted":
		return true, d.choice(key, &s.Deleted)
	case "fresh":
		fresh := true
		err := d.choice(key, &fresh)
		s.Stale = !fresh
		return true, err
	default:
		return false, nil
	}
}

// where reads the filters.
func (d *decoder) where(into *[]Filter) *Error {
	n, ok := d.mapLen()
	if !ok || n > MaxFilters {
		return Invalid("where", "where is a map of at most %d fields", MaxFilters)
	}
	filters := make([]Filter, 0, n)
	for range n {
		name, ok := d.key()
		if !ok || !ValidName(name) {
			return Invalid("where", "%s is not a field's name", printable(name))
		}
		for i := range filters {
			if filters[i].Field == name {
				return Invalid(name, "the field appears twice")
			}
		}
		var err *Error
		if filters, err = d.comparisons(name, filters); err != nil {
			return err
		}
	}
	if n > 0 {
		*into = filters
	}
	return nil
}

// comparisons reads how a field is compared: a map of operators, or the values of [Equal] alone. A single value stands for an
// array of one value.
func (d *decoder) comparisons(name string, into []Filter) ([]Filter, *Error) {
	if !isMap(d.code()) {
		values, err := d.choices(name)
		return append(into, Filter{Field: name, Is: Equal, Values: values}), err
	}
	n, ok := d.mapLen()
	if !ok || n < 1 {
		return nil, Invalid(name, "compare by at least one of %s", operators())
	}
	begin := len(into)
	for range n {
		key, ok := d.key()
		f := Filter{Field: name, Is: Operator(key)}
		switch {
		case !ok || !slices.Contains(Operators(), f.Is):
			return nil, Invalid(name, "compare by %s, not by %s", operators(), printable(key))
		case slices.ContainsFunc(into[begin:], func(other Filter) bool { return other.Is == f.Is }):
			return nil, Invalid(name, "the comparison %s appears twice", key)
		}
		var err *Error
		if f.Values, err = d.compared(name, f.Is); err != nil {
			return nil, err
		}
		into = append(into, f)
	}
	return into, nil
}

// operators lists the operators for people.
func operators() string {
	var list strings.Builder
	for i, o := range Operators() {
		if i > 0 {
			list.WriteString(", ")
		}
		list.WriteString(string(o))
	}
	return list.String()
}

// compared reads the values of a comparison.
func (d *decoder) compared(name string, is Operator) ([]Value, *Error) {
	if is.TakesList() {
		return d.choices(name)
	}
	value, why := d.value()
	if why != "" {
		return nil, Invalid(name, "the value %s", why)
	}
	return []Value{value}, nil
}

// contains reads the texts that are searched for.
func (d *decoder) contains(into *Fields) *Error {
	n, ok := d.mapLen()
	if !ok || n > MaxFilters {
		return Invalid("contains", "contains is a map of at most %d fields", MaxFilters)
	}
	texts := make(Fields, 0, n)
	for range n {
		name, ok := d.key()
		if !ok || !ValidName(name) {
			return Invalid("contains", "%s is not a field's name", printable(name))
		}
		for i := range texts {
			if texts[i].Name == name {
				return Invalid(name, "the field appears twice")
			}
		}
		value, why := d.value()
		if why != "" {
			return Invalid(name, "the value %s", why)
		}
		if size := len(value.Text()); size < 1 || size > MaxContains {
			return Invalid(name, "search for a text of 1 to %d bytes", MaxContains)
		}
		texts = append(texts, Field{Name: name, Value: value})
	}
	if n > 0 {
		*into = texts
	}
	return nil
}

func (d *decoder) by(into *string) *Error {
	s, ok := d.str()
	if !ok || !ValidName(s) {
		return Invalid("by", "by is a field's name")
	}
	*into = s
	return nil
}

func (d *decoder) choices(name string) ([]Value, *Error) {
	n := 1
	if isArray(d.code()) {
		var ok bool
		if n, ok = d.arrayLen(); !ok || n < 1 || n > MaxChoices {
			return nil, Invalid(name, "ask for 1 to %d values of a field", MaxChoices)
		}
	}
	values := make([]Value, n)
	for i := range values {
		value, why := d.value()
		if why != "" {
			return nil, Invalid(name, "the value %s", why)
		}
		values[i] = value
	}
	return values, nil
}

func (d *decoder) period(param string, into *Period) *Error {
	n, ok := d.mapLen()
	if !ok {
		return Invalid(param, "a period is a map of from and before")
	}
	*into = Period{}
	for range n {
		name, ok := d.key()
		value, why := d.value()
		switch {
		case !ok || why != "":
			return Invalid(param, "from and before are times, written as the field's own values are")
		case name == "from":
			into.From = value
		case name == "before":
			into.Before = value
		default:
			return Invalid(param, "a period has from and before, not %s", printable(name))
		}
	}
	return nil
}

func (d *decoder) sort(into *Sort) *Error {
	s, ok := d.str()
	switch Sort(s) {
	case SortID, SortCreated, SortUpdated, SortPriority, SortStatus:
		*into = Sort(s)
	default:
		ok = false
	}
	if !ok {
		return Invalid("sort", "tickets are sorted by ticket_id, created_at, updated_at, priority or status")
	}
	return nil
}

func (d *decoder) order(ascending *bool) *Error {
	s, ok := d.str()
	if !ok || s != "asc" && s != "desc" {
		return Invalid("order", "the order is asc or desc")
	}
	*ascending = s == "asc"
	return nil
}

func (d *decoder) cursor(into *string) *Error {
	s, ok := d.str()
	if !ok || s == "" || len(s) > MaxCursor {
		return Invalid("after", "after is the next of the page before; leave after out for the first page")
	}
	*into = s
	return nil
}

// sizeOf is how many parameters a selection takes.
func sizeOf(s *Selection) int {
	n := 0
	for _, given := range []bool{len(s.Where) > 0, !s.Created.Open(), !s.Updated.Open(), len(s.Contains) > 0, s.Deleted, s.Stale} {
		if given {
			n++
		}
	}
	return n
}

func (e *Encoder) selection(s *Selection) {
	if len(s.Where) > 0 {
		e.str("where")
		e.where(s.Where)
	}
	e.period("created_at", s.Created)
	e.period("updated_at", s.Updated)
	if len(s.Contains) > 0 {
		e.str("contains")
		e.fields(s.Contains)
	}
	if s.Deleted {
		e.str("deleted")
		e.bool(true)
	}
	if s.Stale {
		e.str("fresh")
		e.bool(false)
	}
}

// where writes the filters, those of a field together.
func (e *Encoder) where(filters []Filter) {
	var names []string
	of := map[string][]Filter{}
	for _, f := range filters {
		if of[f.Field] == nil {
			names = append(names, f.Field)
		}
		of[f.Field] = append(of[f.Field], f)
	}
	e.mapLen(len(names))
	for _, name := range names {
		e.str(name)
		same := of[name]
		if len(same) == 1 && cmp.Or(same[0].Is, Equal) == Equal { // the form that daemons before the operators know
			e.choices(same[0].Values)
			continue
		}
		e.mapLen(len(same))
		for _, f := range same {
			e.str(string(cmp.Or(f.Is, Equal)))
			e.choices(f.Values)
		}
	}
}

func (e *Encoder) choices(values []Value) {
	if len(values) != 1 {
		e.array(len(values))
	}
	for _, v := range values {
		e.value(v)
	}
}

func (e *Encoder) period(param string, p Period) {
	if p.Open() {
		return
	}
	e.str(param)
	n := 1
	if !p.From.IsNull() && !p.Before.IsNull() {
		n = 2
	}
	e.mapLen(n)
	if !p.From.IsNull() {
		e.str("from")
		e.value(p.From)
	}
	if !p.Before.IsNull() {
		e.str("before")
		e.value(p.Before)
	}
}

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

// Decode implements [Params]. A request names the tickets or says all: a forgotten parameter must not mean all dead letters.
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
		return Invalid("ids", "name the tickets as ids, or set all to true, but not both")
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
