package flush

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// round claims what is due, once, and moves it. It says whether the claim was full, so that more is likely to wait.
func (f *Flusher) round(ctx context.Context) (full bool, err error) {
	claims, err := f.queue.Claim(ctx, time.Now(), f.opts.Batch, f.opts.Lease)
	if err != nil {
		return false, err
	}
	_, err = f.move(ctx, claims)
	return len(claims) >= f.opts.Batch, err
}

// Moved counts what became of claims.
type Moved struct {
	// Flushed tickets are in the sink.
	Flushed int
	// Dead tickets were refused by the sink and parked.
	Dead int
}

// move brings claims to the sink, acks what arrived and parks what was refused. On error the claims are released: they are
// due again at once.
func (f *Flusher) move(ctx context.Context, claims []store.Claim) (Moved, error) {
	if len(claims) == 0 {
		return Moved{}, nil
	}
	results, err := f.sink.Write(ctx, changes(claims))
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
	var letters []store.DeadLetter
	var again []store.Claim
	var rest []ticket.ID // of these only the oldest changes were claimed
	for i, result := range results {
		claim := &claims[i]
		switch {
		case result.Refused != nil:
			letters = append(letters, store.DeadLetter{
				ID: claim.ID, Revision: claim.Newest, Code: result.Refused.Code, Reason: result.Refused.Reason, At: time.Now(),
			})
		case result.Revision < claim.Revision: // The row vanished between write and check.
			again = append(again, *claim)
		default:
			receipts = append(receipts, store.Receipt{
				ID: claim.ID, Revision: result.Revision, Ahead: result.Revision > claim.Revision,
			})
			if claim.Partial {
				rest = append(rest, claim.ID)
			}
		}
	}
	moved, err := f.settle(ctx, receipts, letters, again)
	if err != nil {
		return moved, err
	}
	newer, err := f.moveRest(ctx, rest)
	moved.Flushed -= newer.Dead // a ticket counts once, and as dead where any part of it is
	moved.Dead += newer.Dead
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
	again, err := f.sink.Write(ctx, changes(whole))
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

// settle tells the queue what became of the claims. A daemon that is stopping still settles what the sink has taken.
func (f *Flusher) settle(
	ctx context.Context, receipts []store.Receipt, letters []store.DeadLetter, again []store.Claim,
) (Moved, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err := errors.Join(f.queue.Ack(ctx, receipts), f.queue.Park(ctx, letters), f.queue.Release(ctx, again))
	if err != nil {
		return Moved{}, fmt.Errorf("settling %d flushed tickets: %w", len(receipts), err)
	}
	for _, l := range letters {
		f.opts.Log.Error().Int64("ticket", int64(l.ID)).Int("code", l.Code).Str("reason", l.Reason).
			Msg("MySQL refuses a ticket: parked as a dead letter; correct the field with a new write, or retry it")
	}
	f.stats.rows.Add(int64(len(receipts)))
	f.stats.dead.Add(int64(len(letters)))
	return Moved{Flushed: len(receipts), Dead: len(letters)}, nil
}

// settleTimeout bounds the acks of a round: beyond it the lease brings the claims back.
const settleTimeout = 5 * time.Second

// release gives claims back, also when the daemon is stopping.
func (f *Flusher) release(ctx context.Context, claims []store.Claim) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	return f.queue.Release(ctx, claims)
}

func changes(claims []store.Claim) []Change {
	changes := make([]Change, len(claims))
	for i := range claims {
		c := &claims[i]
		changes[i] = Change{ID: c.ID, Revision: c.Revision, Fields: c.Fields, Deleted: c.Deleted}
	}
	return changes
}
