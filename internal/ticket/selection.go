package ticket

// Filter selects tickets with any of these values in a field, at least one value; NULL is a value.
type Filter struct {
	Field  string
	Values []Value
}

// Period is a half-open span of time, in the form in which such a field is written; NULL leaves an end open.
type Period struct {
	From, Before Value
}

// Open says that both ends are open.
func (p Period) Open() bool { return p.From.IsNull() && p.Before.IsNull() }

// Selection says which tickets a list or a count is about. The zero Selection is all that are not deleted.
type Selection struct {
	// Where must hold altogether; each field at most once.
	Where []Filter
	// Created and Updated are the times of creation and of the last change.
	Created, Updated Period
	// Contains selects tickets whose fields contain all these texts, compared by the columns' collations; each field at most
	// once, no text is empty.
	Contains Fields
	// Deleted adds deleted tickets, if the table still has them.
	Deleted bool
	// Stale asks for MySQL's rows, without pending changes.
	Stale bool
}

// Group is how many tickets have a value.
type Group struct {
	Value Value
	Count int64
}
