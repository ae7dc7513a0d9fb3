package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// A dirty ticket has no expiry, and ticketd never deletes the hash without the entry in the index. So where a ticket has an entry
// and no hash, another program has deleted the hash or given the hash an expiry. The daemon writes its latest acknowledged
// changes of the ticket again, as after a fail-over; the other changes are lost, and the loss is reported. A claim meets such a
// ticket, or before the claim a change (apply.lua) or a row that would complete the ticket (fill.lua): a new hash of the ticket
// would hide the loss.

// vanishedTries bounds the tries of a change whose ticket vanishes again and again.
const vanishedTries = 3

// errVanished means that other programs delete the hashes of pending tickets faster than the daemon can write the hashes again.
var errVanished = fmt.Errorf("%w: another program deletes the keys of pending tickets again and again", store.ErrUnavailable)

// sendPastVanished makes the rest of a batch behind the mutations that are done: it brings back the next ticket and goes on,
// until no ticket is missing. New mutations that are done keep their outcomes where a later call fails. Of a replay the whole
// batch is sent again, as the numbers of the entries that could not be made belong together.
func (w *writer) sendPastVanished(ctx context.Context, p int, b *batch, done []store.Outcome) ([]store.Outcome, error) {
	var err error
	for try := 1; err == nil && len(done) < len(b.mutations); try++ {
		if err = errVanished; try > vanishedTries {
			break
		}
		at := len(done)
		if err = w.recall.bringBack(ctx, []ticket.ID{b.mutations[at].ID}); err != nil {
			break
		}
		var more []store.Outcome
		if b.entries == nil {
			more, err = w.sendOnce(ctx, p, &batch{mutations: b.mutations[at:]})
		} else if more, err = w.sendOnce(ctx, p, b); err == nil {
			more = more[min(at, len(more)):]
		}
		if done = append(done, more...); len(more) > 0 {
			try = 0
		}
	}
	if b.entries != nil {
		return done, err
	}
	for _, m := range b.mutations[len(done):] {
		done = append(done, store.Outcome{ID: m.ID, Err: err})
	}
	return done, nil
}

// bringBack applies again the changes that this daemon keeps of vanished tickets. A ticket of which the daemon keeps no change
// leaves the indexes.
func (r *recall) bringBack(ctx context.Context, ids []ticket.ID) error {
	if err := r.againOf(ctx, ids); err != nil {
		return link.Wrap("bring back", err)
	}
	dirty := make([]*goredis.BoolCmd, len(ids))
	err := r.read(ctx, r.partitionsOf(ids), func(pipe goredis.Pipeliner) {
		for i, id := range ids {
			dirty[i] = pipe.HExists(ctx, r.keys.ticket(id), fieldDirty)
		}
	})
	if err != nil && !link.IsForeign(err) {
		return link.Wrap("bring back", err)
	}
	var gone []ticket.ID
	for i, id := range ids {
		if r.opts.OnVanished != nil {
			r.opts.OnVanished(r.keys.ticket(id), dirty[i].Val())
		}
		if !dirty[i].Val() {
			gone = append(gone, id)
		}
	}
	err = r.runEach(ctx, repairScript, true, []any{millis(time.Now())}, gone, (*goredis.Cmd).Err)
	return link.Wrap("bring back", err)
}

// againOf applies again the changes of tickets that this daemon keeps.
func (r *recall) againOf(ctx context.Context, ids []ticket.ID) error {
	for p, indexes := range r.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		epoch := r.knownEpoch(p)
		for part := range slices.Chunk(indexes, maxAgain) {
			var tickets []keptTicket
			for _, at := range part {
				if t, there := r.kept[p].copyOf(ids[at]); there {
					tickets = append(tickets, t)
				}
			}
			if len(tickets) == 0 || epoch == "" || r.fences.host() == "" {
				continue
			}
			names, args := r.againCall(p, tickets)
			args = append([]any{epoch, r.fences.host(), millis(time.Now()), false, true}, args...)
			if err := againScript.Run(ctx, r.client, names, args...).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyOf returns a copy of a kept ticket.
func (k *kept) copyOf(id ticket.ID) (c keptTicket, there bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tickets[id]
	if t == nil {
		return keptTicket{}, false
	}
	c = *t
	c.fields, c.requests = slices.Clone(t.fields), slices.Clone(t.requests)
	return c, true
}
