package couriers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Filter selects events for a destination.
type Filter struct {
	// Types, if not empty, are the kinds of changes that the destination gets. Events about the feed itself always pass.
	Types []string
	// Fields, if not empty, selects changes that touch one of these fields.
	Fields []string
	// NotVia are the parts of clients whose changes the destination does not get.
	NotVia []string
	// Omit are fields that never leave: an event names them as omitted.
	Omit []string
	// Touched returns the field that each change sets to its time: an update does not name it. Optional.
	Touched func() string
}

// View returns the view of a destination of changes.
func (f *Filter) View(_ context.Context, events []ticket.Event) ([]ticket.Event, error) {
	passed := make([]ticket.Event, 0, len(events))
	for i := range events {
		e := *events[i].Untouched(f.touched())
		if f.passes(&e) {
			f.prune(&e)
			passed = append(passed, e)
		}
	}
	return passed, nil
}

func (f *Filter) touched() string {
	if f.Touched == nil {
		return ""
	}
	return f.Touched()
}

func (f *Filter) passes(e *ticket.Event) bool {
	if !e.Ticket.Valid() || e.Kind == ticket.EventSnapshot { // a gap, a reset, a test; a ticket that an operator has asked for
		return true
	}
	if len(f.Types) > 0 && !slices.Contains(f.Types, string(e.Kind)) {
		return false
	}
	if e.Via != "" && slices.Contains(f.NotVia, e.Via) {
		return false
	}
	return len(f.Fields) == 0 || e.Kind != ticket.EventUpdated || f.touches(e)
}

func (f *Filter) touches(e *ticket.Event) bool {
	return slices.ContainsFunc(f.Fields, func(name string) bool {
		_, there := e.Fields.Get(name)
		return there || slices.Contains(e.Omitted, name)
	})
}

// prune leaves out the values of omitted fields.
func (f *Filter) prune(e *ticket.Event) {
	if len(f.Omit) == 0 {
		return
	}
	omitted := func(field ticket.Field) bool { return slices.Contains(f.Omit, field.Name) }
	for _, field := range e.Fields {
		if omitted(field) && !slices.Contains(e.Omitted, field.Name) {
			e.Omitted = append(slices.Clip(e.Omitted), field.Name)
		}
	}
	e.Fields = slices.DeleteFunc(slices.Clone(e.Fields), omitted)
	e.Was = slices.DeleteFunc(slices.Clone(e.Was), omitted)
}

// Rows reads rows of the tickets table by id; see [mysql.DB].
type Rows func(ctx context.Context, ids []ticket.ID) ([]store.Record, error)

// States is the view of a destination that gets tickets instead of changes: one event for all changes of a ticket in a page, with
// the whole row, once MySQL has the newest of these changes.
type States struct {
	*Filter

	Rows Rows
	// Patience is for how long a ticket that does not come to MySQL, as a dead letter does not, holds up the destination. Then the
	// destination gets the present row.
	Patience time.Duration
	Now      func() time.Time
}

// ErrPending is why a destination of states waits.
var ErrPending = errors.New("waits until MySQL has the changes")

// View implements the view.
func (s *States) View(ctx context.Context, events []ticket.Event) ([]ticket.Event, error) {
	selected, err := s.Filter.View(ctx, events)
	if err != nil {
		return nil, err
	}
	newest := map[ticket.ID]ticket.Event{}
	var order []ticket.ID
	var passed []ticket.Event
	for i := range selected {
		e := selected[i]
		switch {
		case e.IsChange(), e.Kind == ticket.EventRestated, e.Kind == ticket.EventDropped:
			had, there := newest[e.Ticket]
			if !there {
				order = append(order, e.Ticket)
			}
			if had.Revision <= e.Revision {
				newest[e.Ticket] = e
			}
		default:
			passed = append(passed, e)
		}
	}
	if len(order) == 0 {
		return passed, nil
	}
	rows, err := s.Rows(ctx, order)
	if err != nil {
		return nil, err
	}
	of := make(map[ticket.ID]*store.Record, len(rows))
	for i := range rows {
		of[rows[i].ID] = &rows[i]
	}
	for _, id := range order {
		e := newest[id]
		state, is, err := s.state(&e, of[id])
		if err != nil {
			return nil, err
		}
		if is {
			passed = append(passed, state)
		}
	}
	return passed, nil
}

// state makes the event of a ticket's state; false for a missing ticket whose deletion was not published.
func (s *States) state(e *ticket.Event, row *store.Record) (ticket.Event, bool, error) {
	waited := s.Now().Sub(e.Recorded)
	gone := row == nil || row.Deleted
	switch {
	case e.Kind == ticket.EventDeleted && gone:
		return *e, true, nil
	case (row == nil || row.Revision < e.Revision) && e.Kind != ticket.EventDropped && waited < s.Patience:
		return ticket.Event{}, false, fmt.Errorf("%w: ticket %d, revision %d", ErrPending, e.Ticket, e.Revision)
	case gone:
		return ticket.Event{}, false, nil
	}
	state := *e
	state.Kind, state.Revision, state.Fields = ticket.EventState, row.Revision, row.Fields
	state.Previous, state.Acknowledged, state.From, state.Was, state.Omitted = 0, 0, 0, nil, nil
	s.prune(&state)
	return state, true, nil
}
