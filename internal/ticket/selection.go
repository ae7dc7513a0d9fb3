package ticket

// Operator says how a filter compares a field.
type Operator string

// The operators. The zero Operator is Equal.
const (
	Equal    Operator = "="
	NotEqual Operator = "!="
	Below    Operator = "<"
	AtMost   Operator = "<="
	Above    Operator = ">"
	AtLeast  Operator = ">="
)

// Operators returns every operator, the default first.
func Operators() []Operator { return []Operator{Equal, NotEqual, Below, AtMost, Above, AtLeast} }

// TakesList says that the operator compares with any number of values, among them NULL. The others are a bound: one value that
// is not NULL.
func (o Operator) TakesList() bool { return o == "" || o == Equal || o == NotEqual }

// Filter selects tickets by a comparison of a field, with at least one value. Equal selects tickets that have one of the values,
// NotEqual all others: NULL is a value there. A bound never selects NULL.
type Filter struct {
	Field  string
	Is     Operator
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
	// Where must hold altogether; each field at most once with an operator. Two names are no fields but may be asked for:
	// "ticket_id" and "revision".
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
