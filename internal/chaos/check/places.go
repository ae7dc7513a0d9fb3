package check

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// places demands that tables of other sites stay unchanged, and that no daemon before such a table carried out a request.
func places(b *book) []history.Violation {
	var found []history.Violation
	for i := range b.history.Places {
		place := &b.history.Places[i]
		for j := range place.Ops {
			if op := &place.Ops[j]; op.Outcome == history.Done && !place.Configured {
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
		case place.Configured && asked(place, was, row):
		case was == nil:
			tell(row.Ticket, "came", row)
		case was.Revision != row.Revision, was.Deleted != row.Deleted, !maps.EqualFunc(was.Fields, row.Fields, equal):
			tell(row.Ticket, "changed", row)
		}
	}
	for id, row := range before {
		if !place.Configured || !asked(place, row, nil) {
			tell(id, "went", row)
		}
	}
	return found
}

// asked reports whether a client of the place's own daemons asked for the new content of a row.
func asked(place *history.Place, was, row *history.Row) bool {
	deletes := func(op history.Op) bool { return op.Kind == history.Delete && op.Ticket == was.Ticket }
	if row == nil || row.Deleted {
		return was != nil && slices.ContainsFunc(place.Ops, deletes)
	}
	for field, value := range row.Fields {
		writes := func(op history.Op) bool {
			return changes(&op) && op.Fields[field] != nil && equal(op.Fields[field], value)
		}
		kept := was != nil && equal(was.Fields[field], value) || value == nil || equal(value, ownTable[field])
		if !kept && !slices.ContainsFunc(place.Ops, writes) {
			return false
		}
	}
	return true
}
