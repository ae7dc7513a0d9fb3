package check

import (
	"fmt"
	"maps"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// places demands that tables which are not the site's are as they were, and that no daemon before one of them did what it was
// asked to do.
func places(b *book) []history.Violation {
	var found []history.Violation
	for i := range b.history.Places {
		place := &b.history.Places[i]
		for j := range place.Ops {
			if op := &place.Ops[j]; op.Outcome == history.Done {
				found = append(found, violation(RuleForeign, op.Ticket, "a daemon that stands before "+place.Name+" answered", op))
			}
		}
		found = append(found, moved(place)...)
	}
	return found
}

// moved compares the rows of a place.
func moved(place *history.Place) []history.Violation {
	var found []history.Violation
	tell := func(id int64, what string, row *history.Row) {
		text := fmt.Sprintf("%s: a row %s: %s at revision %d", place.Name, what, listing(row.Fields), row.Revision)
		found = append(found, violation(RuleForeign, id, text))
	}
	before := map[int64]*history.Row{}
	for i := range place.Before {
		before[place.Before[i].Ticket] = &place.Before[i]
	}
	for i := range place.After {
		row := &place.After[i]
		was := before[row.Ticket]
		delete(before, row.Ticket)
		switch {
		case was == nil:
			tell(row.Ticket, "came", row)
		case was.Revision != row.Revision, was.Deleted != row.Deleted, !maps.EqualFunc(was.Fields, row.Fields, equal):
			tell(row.Ticket, "changed", row)
		}
	}
	for id, row := range before {
		tell(id, "went", row)
	}
	return found
}
