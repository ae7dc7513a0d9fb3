// Package route makes the address of an event at a destination, such as a routing key or a subject, from a template of the
// configuration.
package route

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
)

// The placeholders of a template.
const (
	Site   = "{site}"
	Ticket = "{ticket}"
	Type   = "{type}"
)

// noTicket stands for the ticket of an event about the feed itself, such as a gap.
const noTicket = "feed"

// Template is a text with placeholders, for one site.
type Template struct{ text string }

// Parse reads a template for a site. Only the given placeholders may appear.
func Parse(template, site string, placeholders ...string) (Template, error) {
	rest := template
	for _, placeholder := range placeholders {
		rest = strings.ReplaceAll(rest, placeholder, "")
	}
	switch {
	case template == "":
		return Template{}, errors.New("is missing")
	case strings.ContainsAny(rest, "{}"):
		return Template{}, fmt.Errorf("may contain %s and no other braces", strings.Join(placeholders, ", "))
	}
	return Template{text: strings.ReplaceAll(template, Site, site)}, nil
}

// Of returns the address of an event.
func (t Template) Of(e *ticket.Event) string {
	id := noTicket
	if e.Ticket.Valid() {
		id = e.Ticket.String()
	}
	return strings.NewReplacer(Ticket, id, Type, string(e.Kind)).Replace(t.text)
}

// String returns the template with the site filled in.
func (t Template) String() string { return t.text }
