package redis

import (
	"context"
	"errors"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Replay makes mutations that the journal of [Options.Journal] accepted, in their order, and returns one outcome for each. Replay
// passes over sequence numbers that Redis has seen, so that a caller may repeat the same call after an error. At most one Replay
// runs at a time.
func (w *writer) Replay(ctx context.Context, entries []store.Entry) ([]store.Outcome, error) {
	w.askFloor(ctx, entries)
	outcomes := make([]store.Outcome, len(entries))
	for p, indexes := range w.split(len(entries), func(i int) ticket.ID { return entries[i].Mutation.ID }) {
		b := &batch{}
		for _, at := range indexes {
			b.mutations = append(b.mutations, entries[at].Mutation)
			b.entries = append(b.entries, entries[at])
		}
		if err := w.reservations.recordReserved(ctx, b.mutations); err != nil {
			return nil, err
		}
		done, err := w.send(ctx, p, b)
		if ofOneChange(err) && link.Works(ctx, w.client, p, w.keys.partitions, w.keys.prefix) {
			done, err = w.oneByOne(ctx, p, b)
		}
		if err != nil {
			return nil, err
		}
		for i, at := range indexes {
			outcomes[at] = done[i]
			if errors.Is(done[i].Err, errStray) { // the caller sends the change again
				if err := w.makeWay(ctx, entries[at].Mutation.ID); err != nil {
					outcomes[at].Err = err
				}
			}
		}
	}
	return outcomes, nil
}

// ofOneChange says that an answer may be about a single change of a batch.
func ofOneChange(err error) bool {
	answer, answered := errors.AsType[goredis.Error](err)
	return answered && (link.IsForeign(answer) || link.IsRefusal(answer))
}

// endsReplay says that a replay has come to a create whose id is taken, or may be taken, so that the script has made no later
// change.
func endsReplay(err error) bool {
	return errors.Is(err, store.ErrTaken) || errors.Is(err, store.ErrUnsure) || errors.Is(err, errBehindTaken)
}

// oneByOne replays a batch that Redis refuses although Redis works: Redis refuses a single change, which must not hold up the
// other changes. A repetition of the call passes over the changes that have arrived.
func (w *writer) oneByOne(ctx context.Context, p int, b *batch) ([]store.Outcome, error) {
	outcomes := make([]store.Outcome, 0, len(b.mutations))
	for i := range b.mutations {
		if i > 0 && endsReplay(outcomes[i-1].Err) {
			outcomes = append(outcomes, store.Outcome{ID: b.mutations[i].ID, Err: errBehindTaken})
			continue
		}
		done, err := w.send(ctx, p, &batch{mutations: b.mutations[i : i+1], entries: b.entries[i : i+1]})
		switch {
		case err == nil:
			outcomes = append(outcomes, done[0])
		case ofOneChange(err):
			outcomes = append(outcomes, store.Outcome{ID: b.mutations[i].ID, Err: err})
		default:
			return nil, err
		}
	}
	return outcomes, nil
}

// askFloor makes the clock observe the sink's highest revision before such entries are replayed, once for each process of Redis:
// another host's clock may be ahead. Where the sink does not answer, the clocks decide.
func (w *writer) askFloor(ctx context.Context, entries []store.Entry) {
	former := w.former.Load()
	late := slices.ContainsFunc(entries, func(e store.Entry) bool { return int64(e.Revision) <= former })
	if late && w.asked.Swap(former) != former {
		_, _ = w.floor(ctx)
	}
}
