package ticket

// Filter asks for the tickets of which a field has one of the values, at least one; NULL is a value.
type Filter struct {
	Field  string
	Values []Value
}

// Period is a half-open span of time, in the form in which such a field is written; NULL leaves an end open.
type Period struct {
	From, Before Value
}

// Open says that both ends are.
func (p Period) Open() bool { return p.From.IsNull() && p.Before.IsNull() }

// Selection says which tickets a list or a count is about. The zero Selection is all that are not deleted.
type Selection struct {
	// Where must hold altogether; each field at most once.
	Where []Filter
	// Created and Updated are the times of creation and of the last change.
	Created, Updated Period
	// Contains asks for tickets whose fields contain these texts, altogether, as the columns' collations compare; each field at
	// most once, no text is empty.
	Contains Fields
	// Deleted asks for deleted tickets too, where the table still has them.
	Deleted bool
	// Stale asks for what MySQL has, without the changes that are pending.
	Stale bool
}

// Group is how many tickets have a value.
type Group struct {
	Value Value
	Count int64
}
