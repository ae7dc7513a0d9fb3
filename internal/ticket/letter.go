package ticket

import "time"

// RowVanished is the Code of a letter whose ticket had a row, and has none: MySQL's number for a row that does not exist. Another
// program deleted the row, or the database is a copy from before it.
const RowVanished = 1032

// Letter is a dead letter: a ticket with changes that the database refuses.
type Letter struct {
	ID ID
	// Revision is that of the refused state.
	Revision Revision
	// Oldest is the revision of the oldest of the changes; zero for a new ticket, whose id may be another ticket's in the database.
	// [store.DeadLetters].Letters fills it in.
	Oldest Revision
	// Code is the database's error number, e.g. MySQL's 1406, and Reason the error text.
	Code   int
	Reason string
	// At is the time of the refusal.
	At time.Time
	// Fields are the fields with changes that the database does not have; a deletion may have no fields.
	Fields Fields
	// Deleted says that the database does not have the ticket's deletion.
	Deleted bool
}
