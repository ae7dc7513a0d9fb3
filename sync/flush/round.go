package flush

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// moveApart moves first what should not have to wait, then the tickets whose rows were locked the last time.
func (f *Flusher) moveApart(ctx context.Context, fresh, again []store.Claim) (Moved, error) {
	moved, err := f.move(ctx, fresh)
	if err != nil {
		return moved, errors.Join(err, f.release(ctx, again))
	}
	more, err := f.move(ctx, again)
	moved.add(more)
	return moved, err
}

// Moved counts what became of claims.
type Moved struct {
	// Flushed tickets are in the sink.
	Flushed int
	// Dead tickets were refused by the sink and parked.
	Dead int
	// Later are tickets whose rows stay locked by others: still dirty, to be tried again.
	Later []ticket.ID

	reason error // of the last of Later
}

// LockedError names the tickets whose rows others hold locked. It wraps [ErrLocked] and what the sink said.
type LockedError struct {
	IDs    []ticket.ID
	Reason error
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%v (tickets %s): %v", ErrLocked, e.Names(), e.Reason)
}

// Names are the first of the tickets, for people.
func (e *LockedError) Names() string {
	const most = 10
	ids := make([]string, 0, most)
	for _, id := range e.IDs[:min(len(e.IDs), most)] {
		ids = append(ids, id.String())
	}
	names := strings.Join(ids, ", ")
	if len(e.IDs) > most {
		names += fmt.Sprintf(" and %d more", len(e.IDs)-most)
	}
	return names
}

// Unwrap lets [errors.Is] find both.
func (e *LockedError) Unwrap() []error { return []error{ErrLocked, e.Reason} }

func (m *Moved) add(more Moved) {
	m.Flushed += more.Flushed
	m.Dead += more.Dead
	m.Later = append(m.Later, more.Later...)
	if more.reason != nil {
		m.reason = more.reason
	}
}

// lockedError says which tickets are left; nil where none is.
func (m *Moved) lockedError() error {
	if len(m.Later) == 0 {
		return nil
	}
	return &LockedError{IDs: m.Later, Reason: m.reason}
}

// move brings claims to the sink, acks what arrived, parks what was refused, and leaves what is locked for later. On error the
// claims are released: they are due again at once.
func (f *Flusher) move(ctx context.Context, claims []store.Claim) (Moved, error) {
	if len(claims) == 0 {
		return Moved{}, nil
	}
	results, err := f.sink.Write(ctx, claims)
	if err != nil {
		return Moved{}, errors.Join(err, f.release(ctx, claims))
	}
	if len(results) != len(claims) {
		return Moved{}, fmt.Errorf("the sink answered %d of %d changes", len(results), len(claims))
	}
	if err := f.tryWhole(ctx, claims, results); err != nil {
		return Moved{}, errors.Join(err, f.release(ctx, claims))
	}
	var receipts []store.Receipt
	var letters, void []ticket.Letter
	var again []store.Claim
	var left Moved       // with Later alone
	var rest []ticket.ID // of these only the oldest changes were claimed
	for i, result := range results {
		claim := &claims[i]
		switch {
		case result.Later != nil:
			claim.Due = f.locked.add(claim.ID, time.Now(), f.opts.MaxPause)
			again = append(again, *claim)
			left.Later, left.reason = append(left.Later, claim.ID), result.Later
		case result.Refused != nil:
			f.locked.remove(claim.ID)
			letters = append(letters, ticket.Letter{
				ID: claim.ID, Revision: claim.Newest, Code: result.Refused.Code, Reason: result.Refused.Reason, At: time.Now(),
			})
		case result.Void:
			f.locked.remove(claim.ID)
			void = append(void, ticket.Letter{
				ID: claim.ID, Revision: claim.Newest, At: time.Now(),
				Reason: "a deletion of a ticket that MySQL never had: its id belongs to another ticket; drop the dead letter",
			})
		case result.Revision < claim.Revision: // The row vanished between write and check.
			again = append(again, *claim)
		default:
			f.locked.remove(claim.ID)
			receipts = append(receipts, store.Receipt{
				ID: claim.ID, Revision: result.Revision, Ahead: result.Ahead || result.Revision > claim.Revision,
			})
			if claim.Partial {
				rest = append(rest, claim.ID)
			}
		}
	}
	moved, err := f.settle(ctx, receipts, letters, void, again)
	if err != nil {
		return moved, err
	}
	moved.add(left)
	newer, err := f.moveRest(ctx, rest)
	newer.Flushed = -newer.Dead - len(newer.Later) // a ticket counts once, by the last part of it
	moved.add(newer)
	return moved, err
}

// tryWhole writes tickets whole that the sink refused in part: the oldest changes alone may be a row that never was,
// which a column without a default or a CHECK constraint does not take.
func (f *Flusher) tryWhole(ctx context.Context, claims []store.Claim, results []Result) error {
	var at []int
	var whole []store.Claim
	for i := range claims {
		if c := &claims[i]; c.Partial && results[i].Refused != nil {
			c.Partial, c.Revision, c.Fields = false, c.Newest, c.All
			at, whole = append(at, i), append(whole, *c)
		}
	}
	if len(whole) == 0 {
		return nil
	}
	again, err := f.sink.Write(ctx, whole)
	if err != nil {
		return err
	}
	for n, i := range at {
		results[i] = again[n]
	}
	return nil
}

// moveRest moves the newer changes of tickets whose oldest have arrived.
func (f *Flusher) moveRest(ctx context.Context, ids []ticket.ID) (Moved, error) {
	if len(ids) == 0 {
		return Moved{}, nil
	}
	claims, err := f.queue.ClaimIDs(ctx, time.Now(), ids, f.opts.Lease)
	if err != nil {
		return Moved{}, err
	}
	return f.move(ctx, claims)
}

// settle tells the queue what became of the claims. A daemon that is stopping still settles what the sink has taken. Rows count
// from the sink's answer on: whoever sees that nothing is dirty any more finds all of them counted.
func (f *Flusher) settle(
	ctx context.Context, receipts []store.Receipt, letters, void []ticket.Letter, again []store.Claim,
) (Moved, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	f.stats.rows.Add(int64(len(receipts)))
	err := errors.Join(f.queue.Ack(ctx, receipts), f.queue.Park(ctx, letters), f.giveUp(ctx, void), f.queue.Release(ctx, again))
	if err != nil {
		return Moved{}, fmt.Errorf("settling %d flushed tickets: %w", len(receipts), err)
	}
	for _, l := range letters {
		f.repeats.Error().Int64("ticket", int64(l.ID)).Int("code", l.Code).Str("reason", l.Reason).
			Msg("MySQL refuses a ticket: parked as a dead letter; correct the field with a new write, or retry it")
	}
	f.stats.dead.Add(int64(len(letters)))
	return Moved{Flushed: len(receipts) + len(void), Dead: len(letters)}, nil
}

// giveUp forgets deletions that are void, as an operator does who drops a dead letter: the queue then reads the id's ticket from
// the sink, and no tombstone is left of it.
func (f *Flusher) giveUp(ctx context.Context, void []ticket.Letter) error {
	if len(void) == 0 {
		return nil
	}
	ids := make([]ticket.ID, len(void))
	for i := range void {
		ids[i] = void[i].ID
	}
	if err := f.queue.Park(ctx, void); err != nil {
		return err
	}
	_, err := f.queue.Drop(ctx, ids)
	return err
}

// settleTimeout bounds the acks of a round: beyond it the lease brings the claims back.
const settleTimeout = 5 * time.Second

// release gives claims back, also when the daemon is stopping.
func (f *Flusher) release(ctx context.Context, claims []store.Claim) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return f.queue.Release(ctx, claims)
}

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
