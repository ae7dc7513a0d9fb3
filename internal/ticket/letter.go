package ticket

import "time"

// Letter is a dead letter: a ticket with changes that the database refuses.
type Letter struct {
	ID ID
	// Revision is that of the refused state.
	Revision Revision
	// Code is the database's number for the refusal, e.g. MySQL's 1406, and Reason its words.
	Code   int
	Reason string
	// At is when it was refused.
	At time.Time
	// Fields are those whose change the database does not have; there may be none where the ticket was deleted.
	Fields Fields
	// Deleted says that the ticket's deletion is among what the database does not have.
	Deleted bool
}
