package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// aftermath is how long after a fault a change may still be pending in the host's journal or spool.
const aftermath = 10 * time.Second

// before reports whether a change had certainly taken effect before an operation began, as seen from that operation's host.
//
// On its own host a change takes effect with the answer to the client, wherever the change is pending then. On other hosts,
// too, unless the change may have been pending in the spool, or in the journal because of a fault or of ack = "journal".
// Regardless of its outcome, a change has taken effect once an answer on the operation's host has shown the change.
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

// sighting is a change as shown by the answers of a host.
type sighting struct {
	change *history.Op
	host   int
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

// convalescence is how long after a fault a daemon may still be without its servers.
const convalescence = 3 * time.Second

// Faults that do not concern an operation: faults that no operation notices, and faults of MySQL.
var (
	unnoticed = []string{"clock", "journal", "spool", "script"}
	mysqls    = append([]string{"mysql", "revoke", "alter"}, unnoticed...)
)

const (
	// freshness is the highest age of a MySQL answer that a create trusts, with some room: such a create does not see a later
	// row.
	freshness = 100 * time.Millisecond
	// Slow is how long a create takes that waited in vain for MySQL's answer.
	Slow = 80 * time.Millisecond
	// Impatience is how long the creates after a slow create do not ask MySQL.
	Impatience = 1500 * time.Millisecond
)

// recently is how close in time a late create must be to an existing ticket to be taken for the same ticket: ten seconds, and
// time for the way.
const recently = 12 * time.Second

// well reports whether the servers that the operation's daemon asks had no fault, except the kinds in others. Without its
// servers, ticketd continues with the knowledge of its own host.
func (b *book) well(op *history.Op, others []string) bool {
	for i := range b.history.Faults {
		f := &b.history.Faults[i]
		part, _, _ := strings.Cut(f.Kind, "-")
		if !slices.Contains(others, part) && f.From <= op.Return && op.Call <= f.To+convalescence {
			return false
		}
	}
	return true
}

// wellAt is well for faults of the operation's own host, or of all hosts.
func (b *book) wellAt(op *history.Op) bool {
	own := fmt.Sprintf(" %d", op.Host)
	for i := range b.history.Faults {
		f := &b.history.Faults[i]
		ofOne := strings.HasPrefix(f.Target, "daemon ") || strings.HasPrefix(f.Target, "link ")
		part, _, _ := strings.Cut(f.Kind, "-")
		isHis := !ofOne || strings.HasSuffix(f.Target, own)
		if isHis && !slices.Contains(unnoticed, part) && f.From <= op.Return && op.Call <= f.To+convalescence {
			return false
		}
	}
	return true
}

// only says that no other fault may concern an operation.
func (b *book) only(f *history.Fault, op *history.Op) bool {
	for i := range b.history.Faults {
		if other := &b.history.Faults[i]; other != f && other.From <= op.Return && op.Call <= other.To+convalescence {
			return false
		}
	}
	return true
}

// busy reports whether MySQL may have been too slow to say which ids are taken: this create, or a create of the same host
// shortly before, took long. The create then goes on, and MySQL refuses the row.
func (b *book) busy(create *history.Op) bool {
	for i := range b.history.Ops {
		op := &b.history.Ops[i]
		if op.Kind == history.Create && op.Host == create.Host && op.Return-op.Call >= Slow &&
			op.Call <= create.Return && create.Call <= op.Return+Impatience {
			return true
		}
	}
	return false
}

// mayMeet reports whether two creates may have become the same ticket: the id of one create is named by the other, and a
// create arrived late from a spool, or from the journal of a host without its servers. A clock that was ahead makes a ticket
// look recent.
func (b *book) mayMeet(x, y *history.Op) bool {
	if x.Kind == history.Insert || y.Kind == history.Insert || x.Named+y.Named == 0 {
		return false // the table distinguishes the two; and no daemon gives an id twice
	}
	late := func(op *history.Op) bool { return op.Code == history.Spooled || !b.well(op, mysqls) }
	near := max(x.Call, y.Call)-min(x.Return, y.Return) < recently
	return (late(x) || late(y)) && (near || b.skewed(max(x.Return, y.Return)))
}

// skewed reports whether a clock was wrong before some time. After a clock was ahead, revisions no longer give the time
// between changes.
func (b *book) skewed(by time.Duration) bool {
	return b.befell(func(f *history.Fault) bool { return f.Kind == "clock-skew" && f.From < by })
}

// setBack reports whether the clock of any host was ahead at some time, and the daemon of the later operation's host ended
// between the two operations: a daemon that starts while Redis and MySQL are away does not know the revisions that ran ahead
// of its clock, and its journal gives lower revisions until then.
func (b *book) setBack(before, op *history.Op) bool {
	ahead := func(f *history.Fault) bool { return f.Kind == "clock-skew" && f.From < before.Return }
	return b.befell(ahead) && b.ended(before, op)
}

// ended reports whether the daemon of the later operation's host may have ended since the earlier operation.
func (b *book) ended(before, op *history.Op) bool {
	return b.befell(func(f *history.Fault) bool {
		ends := f.Kind == "daemon-kill" || f.Kind == "daemon-restart" || f.Kind == "moved"
		return ends && strings.HasSuffix(f.Target, fmt.Sprintf("daemon %d", op.Host)) && f.From < op.Return && before.Call < f.To
	})
}

// befell reports whether any fault satisfies is.
func (b *book) befell(is func(*history.Fault) bool) bool {
	for i := range b.history.Faults {
		if is(&b.history.Faults[i]) {
			return true
		}
	}
	return false
}

// forgotten reports whether a request may have been made twice because no place that remembers requests was reachable: Redis
// did not answer, and the daemon was on a different host or had been restarted.
func (b *book) forgotten(first, repetition *history.Op) bool {
	return !b.well(repetition, mysqls) && (first.Host != repetition.Host || b.ended(first, repetition))
}
