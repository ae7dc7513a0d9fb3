package flush

import (
	"errors"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

const (
	// firstLocked is the pause before a locked row is tried again; each further one doubles it, up to [Options.MaxPause].
	firstLocked = time.Second
	// forgetLocked is how long after its pause a ticket is still taken for locked. Another daemon may have brought it.
	forgetLocked = time.Minute
	// maxLocked bounds how many are remembered.
	maxLocked = 10_000
)

// locked remembers which tickets' rows others hold in the sink, so that they are neither tried all the time nor together with
// tickets that need not wait for them. What it forgets, with the process at the latest, costs no more than another wait. The
// zero value is ready.
type locked struct {
	mu   sync.Mutex
	rows map[ticket.ID]pausing
}

type pausing struct {
	until time.Time
	pause time.Duration
}

// add notes a ticket whose row is locked and returns when it is to be tried again.
func (l *locked) add(id ticket.ID, now time.Time, most time.Duration) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil || len(l.rows) >= maxLocked { // more than that: who holds them holds the whole table
		l.rows = make(map[ticket.ID]pausing)
	}
	pause := min(max(2*l.rows[id].pause, firstLocked), most)
	l.rows[id] = pausing{until: now.Add(pause), pause: pause}
	return now.Add(pause)
}

// remove notes that a ticket's row is not locked any more.
func (l *locked) remove(id ticket.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rows, id)
}

// errPausing stands for what the sink said of a row that is not tried again yet.
var errPausing = errors.New("they were not taken at the last try, and are tried again soon")

// any says whether rows are locked as far as is known.
func (l *locked) any(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.rows {
		if now.Before(p.until.Add(forgetLocked)) {
			return true
		}
		delete(l.rows, id)
	}
	return false
}

// divide sorts claims into those of which nothing is known, those that were locked and are to be tried again, and those whose
// pause is not over, which become due when it is.
func (l *locked) divide(now time.Time, claims []store.Claim) (fresh, again, early []store.Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.rows) == 0 {
		return claims, nil, nil
	}
	for i := range claims {
		c := claims[i]
		p, known := l.rows[c.ID]
		switch {
		case !known || now.After(p.until.Add(forgetLocked)):
			fresh = append(fresh, c)
		case now.Before(p.until):
			c.Due = p.until
			early = append(early, c)
		default:
			again = append(again, c)
		}
	}
	return fresh, again, early
}
