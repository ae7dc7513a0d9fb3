package check

import (
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// aftermath is how long after a fault a change may still wait in its host's journal or spool.
const aftermath = 10 * time.Second

// before tells whether a change had certainly taken effect before an operation began, for whoever asks that operation's host.
//
// On its own host it had when its client had its answer, wherever it waited then. On other hosts it had, too, unless it may have
// waited: in the spool, or in the journal, because of a fault or because that is where changes are acknowledged. Whatever its
// outcome, it had when somebody had seen it on the operation's host.
func (b *book) before(change, op *history.Op) bool {
	if at, seen := b.seen[sighting{change, op.Host}]; seen && at < op.Call {
		return true
	}
	switch {
	case change.Outcome != history.Done || change.Return >= op.Call:
		return false
	case change.Host == op.Host:
		return true
	default:
		return !b.history.Early && change.Code != history.Spooled && b.quiet(change.Call, op.Call)
	}
}

// sighting is a change as a host's answers show it.
type sighting struct {
	change *history.Op
	host   int
}

// look notes when each host's answers first showed a change for certain.
func (b *book) look(p *page) {
	for _, read := range p.reads {
		for field, value := range read.Fields {
			of := p.sources(b, field, value)
			if read.Stale || len(of) != 1 || of[0] == nil {
				continue
			}
			s := sighting{of[0], read.Host}
			if at, seen := b.seen[s]; !seen || read.Return < at {
				b.seen[s] = read.Return
			}
		}
	}
}

// quiet tells whether no fault could delay a change between two times.
func (b *book) quiet(from, to time.Duration) bool {
	for _, f := range b.history.Faults {
		if f.From <= to && from <= f.To+aftermath {
			return false
		}
	}
	return true
}

// initial is what the table gives to a field that nobody set.
func (b *book) initial(field string) history.Value {
	if b.history.Defaults != nil {
		return b.history.Defaults[field]
	}
	return ownTable[field]
}

var open, empty = "open", ""

// ownTable are the defaults of ticketd's own table that are not NULL.
var ownTable = map[string]history.Value{"status": &open, "subject": &empty}

func equal(x, y history.Value) bool {
	return x == nil && y == nil || x != nil && y != nil && *x == *y
}
