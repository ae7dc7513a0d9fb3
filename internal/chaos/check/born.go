package check

import (
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// grain is how exact the time of creation is: stores keep milliseconds.
const grain = time.Millisecond

// born demands that each time of creation that is shown is that of the ticket's first change: from its call on, and not after the
// first answer that acknowledged a change.
func born(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		if len(p.changes) == 0 || len(p.inserts) > 0 || p.disputed() { // a row of SQL has the time that its INSERT gave it
			continue
		}
		first := p.changes[0]
		acknowledged := firstChange(p.changes)
		for _, read := range p.reads {
			if read.Created == 0 {
				continue
			}
			if read.Created < first.Call-grain || acknowledged != nil && read.Created > acknowledged.Return {
				text := fmt.Sprintf("an answer says that the ticket was made at %v", read.Created)
				found = append(found, violation(RuleBorn, p.id, text, first, read))
			}
		}
	}
	return found
}
