package route_test

import (
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed/route"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	change := &ticket.Event{Kind: ticket.EventUpdated, Ticket: 812}
	gap := &ticket.Event{Kind: ticket.EventGap}
	for template, want := range map[string][2]string{
		"ticketd.{site}.{ticket}.{type}": {"ticketd.main.812.updated", "ticketd.main.feed.gap"},
		"{site}.ticket.{type}":           {"main.ticket.updated", "main.ticket.gap"},
		"tickets":                        {"tickets", "tickets"},
	} {
		parsed, err := route.Parse(template, "main", route.Site, route.Ticket, route.Type)
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if got := [2]string{parsed.Of(change), parsed.Of(gap)}; got != want {
			t.Errorf("%s leads to %q, not to %q", template, got, want)
		}
	}
}

func TestTemplatesRefused(t *testing.T) {
	t.Parallel()
	for _, template := range []string{"", "a.{id}", "{ticket}", "{site", "}"} {
		if parsed, err := route.Parse(template, "main", route.Site); err == nil {
			t.Errorf("%q was accepted as %q", template, parsed)
		}
	}
}
