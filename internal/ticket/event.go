package ticket

import (
	"fmt"
	"slices"
	"time"
)

// EventKind says what an [Event] tells. The names are part of the feed's format.
type EventKind string

// The kinds of event. A change makes a created, updated or deleted event. The others tell about the feed itself or repeat what
// is known already; they have no old values.
const (
	// EventCreated, EventUpdated and EventDeleted tell an acknowledged change that was made.
	EventCreated EventKind = "created"
	EventUpdated EventKind = "updated"
	EventDeleted EventKind = "deleted"
	// EventRestated tells that an earlier event's change now has a higher revision: From is the earlier revision.
	EventRestated EventKind = "restated"
	// EventDropped tells that an operator has dropped a dead letter: what was told since the row's revision is not true any more.
	EventDropped EventKind = "dropped"
	// EventErased tells that a person's data was erased: consumers erase theirs.
	EventErased EventKind = "erased"
	// EventSnapshot tells a whole ticket, for a new consumer or after a gap.
	EventSnapshot EventKind = "snapshot"
	// EventState tells a whole ticket as MySQL has it, for a destination of states.
	EventState EventKind = "state"
	// EventGap tells that the events First to Last of a partition were dropped before the destination got them.
	EventGap EventKind = "gap"
	// EventReset tells that the store was emptied or restored: numbers begin again, and events may be missing.
	EventReset EventKind = "reset"
	// EventTest is made by an operator to try a destination.
	EventTest EventKind = "test"
)

// Event is one change of the feed: the sequence of a site's changes. Ticket and Revision together name a change. docs/feed.md
// describes what consumers see of it.
type Event struct {
	Kind EventKind
	// Partition is the part of the store that holds the ticket; Number is the event's number there: contiguous, from 1.
	Partition int
	Number    uint64
	Ticket    ID
	Revision  Revision
	// Previous is the revision of the ticket before the change; zero if the store did not know it.
	Previous Revision
	// Acknowledged is the revision that the client received, if the store gave the change a higher one; otherwise zero.
	Acknowledged Revision
	// From is the revision that a restated event raises; otherwise zero.
	From Revision
	// Complete says that a created event has all fields, the table's defaults included.
	Complete bool
	// At is when the change was accepted, Recorded when it came into the feed: later if the change waited in a journal.
	At, Recorded time.Time
	// By names who made the change, as the client said: "user:3"; "peer:33" (the user id at the socket) if the client said nothing.
	// Via names the client's part that made the change: "wp-admin"; may be empty.
	By, Via string
	// Fields are the new values, Was the old values. A name that Was lacks had a value that the store did not know.
	Fields, Was Fields
	// Omitted names changed fields whose values are longer than the feed's bound, or which the site omits.
	Omitted []string
	// First and Last are the range of numbers of a gap event; Lost counts the missing events. Zero for other kinds.
	First, Last, Lost uint64
	// Note is a sentence for people: the reason of a reset, a test's text.
	Note string
}

// IsChange says whether the event tells a change of a ticket.
func (e *Event) IsChange() bool {
	return e.Kind == EventCreated || e.Kind == EventUpdated || e.Kind == EventDeleted
}

// Untouched is the event without the field that each change sets to its time, which an update does not tell.
func (e *Event) Untouched(field string) *Event {
	touched := func(f Field) bool { return f.Name == field }
	if e.Kind != EventUpdated || !slices.ContainsFunc(e.Fields, touched) {
		return e
	}
	without := *e
	without.Fields = slices.DeleteFunc(slices.Clone(e.Fields), touched)
	without.Was = slices.DeleteFunc(slices.Clone(e.Was), touched)
	return &without
}

// ID names the event: the same in every try and at every destination. A change is named by ticket and revision. Other events of a
// ticket may have the revision of a change and have their kind behind it, so that a consumer that drops repeats by id gets them.
// The id has no dot, as Standard Webhooks signs "id.time.body".
func (e *Event) ID() string {
	switch {
	case e.IsChange():
		return e.Ticket.String() + "-" + e.Revision.String()
	case e.Ticket.Valid():
		return e.Ticket.String() + "-" + e.Revision.String() + "-" + string(e.Kind)
	case e.Kind == EventGap:
		return fmt.Sprintf("gap-%d-%d-%d", e.Partition, e.First, e.Last)
	}
	return fmt.Sprintf("%s-%d-%d", e.Kind, e.Partition, e.At.UnixMicro())
}
