package couriers_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ticketd/ticketd/daemon/couriers"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

func change(kind ticket.EventKind, id ticket.ID, revision ticket.Revision, via string, fields ...string) ticket.Event {
	e := ticket.Event{Kind: kind, Ticket: id, Revision: revision, Via: via, Recorded: time.Unix(1000, 0)}
	for _, name := range fields {
		e.Fields = append(e.Fields, ticket.Field{Name: name, Value: ticket.Text("new")})
		e.Was = append(e.Was, ticket.Field{Name: name, Value: ticket.Text("old")})
	}
	return e
}

func view(t *testing.T, v func(context.Context, []ticket.Event) ([]ticket.Event, error), events ...ticket.Event) []ticket.Event {
	t.Helper()
	passed, err := v(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	return passed
}

func TestFilters(t *testing.T) {
	t.Parallel()
	events := []ticket.Event{
		change(ticket.EventCreated, 1, 1, "form", "subject"), change(ticket.EventUpdated, 1, 2, "wp-admin", "status"),
		change(ticket.EventUpdated, 1, 3, "import", "status"), change(ticket.EventUpdated, 1, 4, "wp-admin", "notes", "customer_email"),
		change(ticket.EventDeleted, 1, 5, "cli"), {Kind: ticket.EventGap, First: 6, Last: 7, Lost: 2},
		change(ticket.EventSnapshot, 1, 8, ""),
	}
	events[3].Omitted = []string{"body"}
	for name, test := range map[string]struct {
		filter couriers.Filter
		want   []ticket.Revision
	}{
		"all":     {couriers.Filter{}, []ticket.Revision{1, 2, 3, 4, 5, 0, 8}},
		"types":   {couriers.Filter{Types: []string{"created", "deleted"}}, []ticket.Revision{1, 5, 0, 8}},
		"fields":  {couriers.Filter{Fields: []string{"status"}}, []ticket.Revision{1, 2, 3, 5, 0, 8}},
		"omitted": {couriers.Filter{Fields: []string{"body"}}, []ticket.Revision{1, 4, 5, 0, 8}},
		"not via": {couriers.Filter{NotVia: []string{"import", "cli"}}, []ticket.Revision{1, 2, 4, 0, 8}},
	} {
		var got []ticket.Revision
		for _, e := range view(t, test.filter.View, events...) {
			got = append(got, e.Revision)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	touched := func() string { return "notes" }
	if got := view(t, (&couriers.Filter{Touched: touched, Fields: []string{"notes"}}).View, events[3]); len(got) != 0 {
		t.Errorf("an event by the field that each change sets: %+v", got)
	}
	got := view(t, (&couriers.Filter{Omit: []string{"customer_email"}}).View, events...)[3]
	if len(got.Fields) != 1 || len(got.Was) != 1 || !slices.Equal(got.Omitted, []string{"body", "customer_email"}) {
		t.Errorf("%+v", got)
	}
	if len(events[3].Fields) != 2 || len(events[3].Omitted) != 1 {
		t.Errorf("the feed's own event was changed: %+v", events[3])
	}
}

func TestStatesWaitForMySQLAndCoalesce(t *testing.T) {
	t.Parallel()
	rows := map[ticket.ID]store.Record{1: {ID: 1, Revision: 2, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("a")}}}}
	now := time.Unix(1001, 0)
	states := &couriers.States{
		Filter: &couriers.Filter{Omit: []string{"customer_email"}}, Patience: 15 * time.Minute, Now: func() time.Time { return now },
		Rows: func(_ context.Context, ids []ticket.ID) ([]store.Record, error) {
			var found []store.Record
			for _, id := range ids {
				if r, there := rows[id]; there {
					found = append(found, r)
				}
			}
			return found, nil
		},
	}
	events := []ticket.Event{
		change(ticket.EventUpdated, 1, 2, "", "status"), change(ticket.EventUpdated, 1, 3, "", "status"),
		change(ticket.EventDeleted, 2, 9, ""), {Kind: ticket.EventGap, Lost: 1},
	}
	if _, err := states.View(t.Context(), events); !errors.Is(err, couriers.ErrPending) {
		t.Errorf("error %v, want it to wait for revision 3", err)
	}
	rows[1] = store.Record{ID: 1, Revision: 4, Fields: ticket.Fields{
		{Name: "status", Value: ticket.Text("b")}, {Name: "customer_email", Value: ticket.Text("x")},
	}}
	got := view(t, states.View, events...)
	var kinds []ticket.EventKind
	for i := range got {
		kinds = append(kinds, got[i].Kind)
	}
	if !slices.Equal(kinds, []ticket.EventKind{ticket.EventGap, ticket.EventState, ticket.EventDeleted}) {
		t.Fatalf("kinds %v", kinds)
	}
	if s := got[1]; s.Revision != 4 || len(s.Fields) != 1 || s.Was != nil || !slices.Equal(s.Omitted, []string{"customer_email"}) {
		t.Errorf("%+v", s)
	}
	// A dead letter never comes to MySQL: it must not hold the others up for ever.
	dead := change(ticket.EventUpdated, 1, 7, "", "status")
	if _, err := states.View(t.Context(), []ticket.Event{dead}); !errors.Is(err, couriers.ErrPending) {
		t.Errorf("error %v", err)
	}
	now = now.Add(time.Hour)
	if got := view(t, states.View, dead); len(got) != 1 || got[0].Revision != 4 {
		t.Errorf("%+v", got)
	}
	if got := view(t, states.View, change(ticket.EventUpdated, 3, 7, "")); len(got) != 0 {
		t.Errorf("a ticket without a row: %+v", got)
	}
}
