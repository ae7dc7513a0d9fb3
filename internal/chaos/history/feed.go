package history

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// Feed is what the site's feed told a consumer, and what the history of the tickets kept of it.
type Feed struct {
	// Events are the events in the order in which the consumer got them, repeats included, from before the first operation until
	// the feed's end after the last fault.
	Events []Event `json:"events"`
	// Kept are the rows of the tickets' history.
	Kept []Kept `json:"kept"`
}

// Event is an event of the feed as a consumer got it.
type Event struct {
	Kind      string `json:"kind"`
	Partition int64  `json:"partition,omitempty"`
	Number    int64  `json:"number"` // in the partition
	Ticket    int64  `json:"ticket,omitempty"`
	Revision  int64  `json:"revision,omitempty"`
	// Previous is the ticket's revision before the change; 0 if the store did not know it.
	Previous int64 `json:"previous,omitempty"`
	// Acknowledged is the revision that the client received, if the store gave the change a higher one.
	Acknowledged int64 `json:"acknowledged,omitempty"`
	// From is the revision that a restated event raises.
	From int64 `json:"from,omitempty"`
	// Fields are the new values of the recorded fields.
	Fields map[string]Value `json:"fields,omitempty"`
	// Omitted are the changed fields of which the event has no value: consumers read the ticket.
	Omitted []string `json:"omitted,omitempty"`
	// Same says that every new value equals the old one: the tickets' history leaves such a change out.
	Same bool `json:"same,omitempty"`
	// Lost counts the missing events of a gap.
	Lost int64 `json:"lost,omitempty"`
	// Seen is when the consumer got the event, since the start of the run.
	Seen time.Duration `json:"seen"`
}

// The kinds of events that the rules look at.
const (
	Created  = "created"
	Updated  = "updated"
	Deleted  = "deleted"
	Restated = "restated"
	Dropped  = "dropped"
	Gap      = "gap"
)

// IsChange says whether the event tells a change of a ticket.
func (e *Event) IsChange() bool { return e.Kind == Created || e.Kind == Updated || e.Kind == Deleted }

// IsKept says whether the tickets' history has a row of the event: a change that changes no value makes no row.
func (e *Event) IsKept() bool { return e.IsChange() && (e.Kind != Updated || !e.Same) }

// Kept is a row of the tickets' history.
type Kept struct {
	Ticket   int64  `json:"ticket"`
	Revision int64  `json:"revision"`
	Kind     string `json:"kind"`
}

// EventOf is what is recorded of an event that a consumer has got.
func EventOf(e *protocol.FeedEvent, seen time.Duration) Event {
	fields := map[string]Value{}
	for _, f := range e.Fields {
		if !slices.Contains(Fields, f.Name) {
			continue
		}
		fields[f.Name] = nil
		if text := f.Value.Text(); !f.Value.IsNull() {
			fields[f.Name] = &text
		}
	}
	return Event{
		Kind: e.Kind, Partition: e.Partition, Number: e.Number, Ticket: e.Ticket, Revision: e.Revision, Previous: e.Previous,
		Acknowledged: e.Acknowledged, From: e.From, Fields: fields, Omitted: e.Omitted, Same: unchanged(e),
		Lost: e.Lost, Seen: seen,
	}
}

// unchanged says whether all new values equal the old ones. An update touches updated_at.
func unchanged(e *protocol.FeedEvent) bool {
	for _, f := range e.Fields {
		was, known := e.Was.Get(f.Name)
		if f.Name != "updated_at" && (!known || was.Text() != f.Value.Text() || was.IsNull() != f.Value.IsNull()) {
			return false
		}
	}
	return len(e.Omitted) == 0
}

// ReadKept reads the rows of the tickets' history. The error says which event has no row yet.
func (f *Feed) ReadKept(ctx context.Context, db *sql.DB, table string) error {
	found, err := db.QueryContext(ctx, "SELECT ticket_id, revision, kind FROM "+table+"_history ORDER BY 1, 2")
	if err != nil {
		return err
	}
	defer found.Close()
	f.Kept = nil
	has := map[[2]int64]bool{}
	for found.Next() {
		var row Kept
		if err := found.Scan(&row.Ticket, &row.Revision, &row.Kind); err != nil {
			return err
		}
		f.Kept = append(f.Kept, row)
		has[[2]int64{row.Ticket, row.Revision}] = true
	}
	for i := range f.Events {
		if e := &f.Events[i]; e.IsKept() && !has[[2]int64{e.Ticket, e.Revision}] {
			return fmt.Errorf("the tickets' history lacks revision %d of ticket %d", e.Revision, e.Ticket)
		}
	}
	return found.Err()
}
