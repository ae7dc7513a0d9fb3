package protocol

// selection reads one of the parameters that list and count share.
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

// where reads the filters. A single value stands for an array of one.
func (d *decoder) where(into *[]Filter) *Error {
	n, ok := d.mapLen()
	if !ok || n > MaxFilters {
		return Invalid("where", "where is a map of at most %d fields", MaxFilters)
	}
	filters := make([]Filter, 0, n)
	for range n {
		name, ok := d.key()
		if !ok || !ValidName(name) {
			return Invalid("where", "%s is no field's name", printable(name))
		}
		for i := range filters {
			if filters[i].Field == name {
				return Invalid(name, "the field is there twice")
			}
		}
		values, err := d.choices(name)
		if err != nil {
			return err
		}
		filters = append(filters, Filter{Field: name, Values: values})
	}
	if n > 0 {
		*into = filters
	}
	return nil
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
			return Invalid("contains", "%s is no field's name", printable(name))
		}
		for i := range texts {
			if texts[i].Name == name {
				return Invalid(name, "the field is there twice")
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

func (d *decoder) choice(param string, into *bool) *Error {
	b, ok := d.bool()
	if !ok {
		return Invalid(param, "%s is true or false", param)
	}
	*into = b
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
		return Invalid("after", "after is what the page before returned as next; leave it out for the first page")
	}
	*into = s
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

func (e *Encoder) where(filters []Filter) {
	e.mapLen(len(filters))
	for i := range filters {
		e.str(filters[i].Field)
		values := filters[i].Values
		if len(values) != 1 {
			e.array(len(values))
		}
		for _, v := range values {
			e.value(v)
		}
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
