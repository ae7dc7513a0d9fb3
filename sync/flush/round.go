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

// moveApart moves first the tickets that need not wait, then the tickets whose rows were locked at the last try.
func (f *Flusher) moveApart(ctx context.Context, fresh, again []store.Claim) (Moved, error) {
	moved, err := f.move(ctx, fresh)
	if err != nil {
		return moved, errors.Join(err, f.release(ctx, again))
	}
	more, err := f.move(ctx, again)
	moved.add(more)
	return moved, err
}

// Moved counts the outcomes of claims.
type Moved struct {
	// Flushed tickets are in the sink.
	Flushed int
	// Dead tickets are tickets that the sink refused and the flusher parked.
	Dead int
	// Later are tickets whose rows other clients hold locked: still dirty, to be retried.
	Later []ticket.ID

	reason error // of the last of Later
}

// LockedError names the tickets whose rows other clients hold locked. It wraps [ErrLocked] and the sink's error.
type LockedError struct {
	IDs    []ticket.ID
	Reason error
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%v (tickets %s): %v", ErrLocked, e.Names(), e.Reason)
}

// Names lists the first of the tickets, for messages.
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

// Unwrap lets [errors.Is] find [ErrLocked] and the reason.
func (e *LockedError) Unwrap() []error { return []error{ErrLocked, e.Reason} }

func (m *Moved) add(more Moved) {
	m.Flushed += more.Flushed
	m.Dead += more.Dead
	m.Later = append(m.Later, more.Later...)
	if more.reason != nil {
		m.reason = more.reason
	}
}

// lockedError names the tickets that are left; nil if no ticket is left.
func (m *Moved) lockedError() error {
	if len(m.Later) == 0 {
		return nil
	}
	return &LockedError{IDs: m.Later, Reason: m.reason}
}

// move writes claims to the sink, acks stored tickets, parks refused tickets, and leaves locked tickets for later. On error move
// releases the claims: they are due again at once.
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
	var left Moved       // only with Later
	var rest []ticket.ID // tickets of which only the oldest changes were claimed
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
	newer.Flushed = -newer.Dead - len(newer.Later) // a ticket counts once, by its last part
	moved.add(newer)
	return moved, err
}

// tryWhole writes the whole of tickets whose oldest changes the sink refused: the oldest changes alone may form a row that never
// existed, which a column without a default or a CHECK constraint rejects.
func (f *Flusher) tryWhole(ctx context.Context, claims []store.Claim, results []Result) error {
	var at []int
	var whole []store.Claim
	for i := range claims {
		if c := &claims[i]; c.Partial && results[i].Refused != nil {
			c.Partial, c.Last, c.Revision, c.Fields = false, false, c.Newest, c.All
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

// moveRest moves the newer changes of tickets whose oldest changes are in the sink.
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

// settle reports the outcomes to the queue. A stopping daemon still reports what the sink has taken. settle counts rows right
// after the sink's answer, so that an observer who sees no dirty ticket finds all rows counted.
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

// giveUp drops void deletions as an operator drops a dead letter: the queue then reads the id's ticket from the sink and keeps
// no tombstone.
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

// settleTimeout bounds the acks of a round: later the lease returns the claims.
const settleTimeout = 5 * time.Second

// release returns claims to the queue, also while the daemon stops.
func (f *Flusher) release(ctx context.Context, claims []store.Claim) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return f.queue.Release(ctx, claims)
}

const (
	// firstLocked is the pause before a locked row is tried again; each further failure doubles the pause, up to
	// [Options.MaxPause].
	firstLocked = time.Second
	// forgetLocked is how long after its pause a ticket still counts as locked. Another daemon may have flushed the ticket.
	forgetLocked = time.Minute
	// maxLocked bounds the number of remembered tickets.
	maxLocked = 10_000
)

// locked remembers the tickets whose rows other clients hold locked in the sink, so that the flusher tries these tickets neither
// all the time nor together with free tickets. A forgotten ticket costs only another wait; the memory ends with the process. The
// zero value is ready.
type locked struct {
	mu   sync.Mutex
	rows map[ticket.ID]pausing
}

type pausing struct {
	until time.Time
	pause time.Duration
}

// add notes a ticket whose row is locked and returns the time of the next try.
func (l *locked) add(id ticket.ID, now time.Time, most time.Duration) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rows == nil || len(l.rows) >= maxLocked { // so many locked rows: a client holds the whole table
		l.rows = make(map[ticket.ID]pausing)
	}
	pause := min(max(2*l.rows[id].pause, firstLocked), most)
	l.rows[id] = pausing{until: now.Add(pause), pause: pause}
	return now.Add(pause)
}

// remove notes that a ticket's row is free again.
func (l *locked) remove(id ticket.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rows, id)
}

// errPausing is the reason for rows whose pause is not over.
var errPausing = errors.New("locked at the last try; the next try follows soon")

// divide sorts claims: fresh are not known to be locked, again were locked and are tried again, early are locked tickets whose
// pause is not over; these become due at its end.
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
