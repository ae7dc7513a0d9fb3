package redis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// reservations tie request ids to tickets.
type reservations struct {
	*site

	recall *recall
}

// The script that changes a ticket remembers the request id in the partition of the ticket. With several partitions, two kinds of
// requests would not find the id in that partition: a repeated create, which proposes a new ticket id, likely of another
// partition; and a request for another ticket under an id that a user chose. Such a request id is first tied to a ticket and a
// digest in a partition that the request id alone decides: the reservation. A client uses a generated id, which is remembered for
// less than a day, for one ticket alone, so that a set under such an id costs no second round trip.

// hasReservation says whether a mutation's request id has a reservation.
func hasReservation(m *store.Mutation) bool {
	return m.RequestID != "" && (m.Kind.Creates() || m.Remember == 0)
}

func allReserved(mutations []store.Mutation) (indexes []int) {
	for i := range mutations {
		if hasReservation(&mutations[i]) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// reserve settles for which ticket a request stands: a repeated create is then made under the ticket id of the first create,
// which does no harm. A daemon that dies in between leaves a ticket id that the repetition uses. reserve returns the mutations
// with these ticket ids, and an error for a mutation whose request id belongs to another request, or whose reservation Redis does
// not tell.
func (r *reservations) reserve(ctx context.Context, mutations []store.Mutation) ([]store.Mutation, []error) {
	errs := make([]error, len(mutations))
	indexes := allReserved(mutations)
	if len(indexes) == 0 {
		return mutations, errs
	}
	mutations = slices.Clone(mutations)
	replies := r.runPiped(ctx, reserveScript, r.reservations(mutations, indexes))
	for i, at := range indexes {
		m := &mutations[at]
		text, err := replies[i].Text()
		if err != nil {
			errs[at] = link.Wrap("reserve", err)
			continue
		}
		number, digest, _ := strings.Cut(text, " ")
		stands, err := ticket.ParseID(number)
		switch {
		case err != nil:
			errs[at] = link.Wrap("reserve", err)
		case digest != m.Digest && digest != "" && m.Digest != "":
			errs[at] = store.ErrReused
		case m.Kind.Creates():
			m.ID = stands
		}
	}
	return mutations, errs
}

// keepReservations keeps the reservations of successful requests for a fail-over.
func (r *reservations) keepReservations(mutations []store.Mutation, outcomes []store.Outcome) {
	now := time.Now()
	for _, at := range allReserved(mutations) {
		if outcomes[at].Err == nil {
			r.keepReservation(now, &mutations[at])
		}
	}
}

func (r *reservations) keepReservation(now time.Time, m *store.Mutation) {
	if r.recall.fences.host() == "" {
		return
	}
	p, _ := r.keys.reservation(m.RequestID)
	r.recall.kept[p].reserve(&keptReservation{
		id: m.RequestID, digest: m.Digest, ticket: m.ID, at: now,
		expires: now.Add(time.Duration(memory(m)) * time.Millisecond),
	})
}

// release takes back the reservations of refused requests: a refused request has changed no ticket, so another request may use
// the request id, or, of a create whose ticket id was taken, the same request with another ticket id. Where release fails, such a
// create has that error, and the request id of any other request is bound until Redis forgets the id.
func (r *reservations) release(ctx context.Context, mutations []store.Mutation, outcomes []store.Outcome) {
	var refused []int
	for _, at := range allReserved(mutations) {
		if err := outcomes[at].Err; err != nil && !unsettled(err) {
			refused = append(refused, at)
		}
	}
	if len(refused) == 0 {
		return
	}
	replies := r.runPiped(ctx, releaseScript, r.reservations(mutations, refused))
	for i, at := range refused {
		if err := replies[i].Err(); err != nil && errors.Is(outcomes[at].Err, store.ErrTaken) {
			outcomes[at] = store.Outcome{ID: mutations[at].ID, Err: link.Wrap("reserve", err)}
		}
	}
}

// recordReserved ties the request ids of replayed mutations to the changed tickets. The request id of a create must be tied. Any
// other request need not wait for a partition that is away: the request id is known in the partition of the ticket.
func (r *reservations) recordReserved(ctx context.Context, mutations []store.Mutation) error {
	indexes := allReserved(mutations)
	if r.keys.partitions == 1 || len(indexes) == 0 {
		return nil
	}
	now := time.Now()
	replies := r.runPiped(ctx, recordScript, r.reservations(mutations, indexes))
	for i, at := range indexes {
		if err := replies[i].Err(); err != nil && mutations[at].Kind.Creates() {
			return link.Wrap("reserve", err)
		}
		r.keepReservation(now, &mutations[at])
	}
	return nil
}

// reservations returns the calls of a script on the reservations of some of the mutations.
func (r *reservations) reservations(mutations []store.Mutation, indexes []int) []guardedCall {
	calls := make([]guardedCall, len(indexes))
	for i, at := range indexes {
		m := &mutations[at]
		p, keys := r.keys.reservation(m.RequestID)
		calls[i] = guardedCall{p, keys, []any{int64(m.ID), memory(m), m.Digest}}
	}
	return calls
}

// applySeveral is Apply on several partitions. Each partition makes its mutations or fails alone, so the outcomes carry every
// error.
func (w *writer) applySeveral(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	outcomes := make([]store.Outcome, len(mutations))
	mutations, refused := w.reservations.reserve(ctx, mutations)
	groups := make(map[int][]int, 1)
	for i := range mutations {
		if outcomes[i] = (store.Outcome{ID: mutations[i].ID, Err: refused[i]}); refused[i] == nil {
			p := w.keys.partition(mutations[i].ID)
			groups[p] = append(groups[p], i)
		}
	}
	_ = w.each(groups, func(p int, indexes []int) error { // the outcomes carry every error
		part := make([]store.Mutation, len(indexes))
		for i, at := range indexes {
			part[i] = mutations[at]
		}
		done, err := w.combine[p].do(ctx, part)
		for i, at := range indexes {
			if err != nil {
				outcomes[at].Err = err
			} else {
				outcomes[at] = done[i]
			}
		}
		return err
	})
	w.reservations.release(ctx, mutations, outcomes)
	w.reservations.keepReservations(mutations, outcomes)
	return outcomes, nil
}

// unsettled says that an error is no answer about the mutation: the mutation may have been made.
func unsettled(err error) bool {
	var conflict *store.ConflictError
	if err == nil || errors.As(err, &conflict) {
		return false
	}
	for _, answer := range []error{
		store.ErrDeleted, store.ErrTaken, store.ErrUnsure, store.ErrAbsent, store.ErrReused, store.ErrForeign, store.ErrQuota,
	} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
}
