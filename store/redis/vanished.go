package redis

import (
	"context"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/redis/link"
)

// A ticket that waits has no expiry, and nothing of ticketd's deletes its hash without its entry in the index. So where a claimed
// ticket has an entry and no hash, another program has deleted the hash or given it an expiry. What this daemon has acknowledged
// lately of the ticket is written again, as after a fail-over; the rest is lost, and is reported.

// withVanished puts what is brought back into the place of hashes that another program has deleted.
func (s *Store) withVanished(ctx context.Context, ids []ticket.ID, hashes []map[string]string) error {
	var empty []ticket.ID
	for i, hash := range hashes {
		if hash != nil && len(hash) == 0 {
			empty = append(empty, ids[i])
		}
	}
	if len(empty) == 0 {
		return nil
	}
	indexed, err := s.Indexed(ctx, empty)
	if err != nil {
		return err
	}
	var vanished []ticket.ID
	for i, id := range empty {
		if indexed[i] { // or its last changes were acked since the claim
			vanished = append(vanished, id)
		}
	}
	if len(vanished) == 0 {
		return nil
	}
	if err := s.bringBack(ctx, vanished); err != nil {
		return err
	}
	again, err := s.changes(ctx, vanished)
	if err != nil {
		return link.Wrap("claim", err)
	}
	for i, id := range vanished {
		hashes[slices.Index(ids, id)] = again[i]
		if s.opts.OnVanished != nil {
			s.opts.OnVanished(s.keys.ticket(id), len(again[i]) > 0)
		}
	}
	return nil
}

// bringBack applies again what this daemon keeps of tickets.
func (s *Store) bringBack(ctx context.Context, ids []ticket.ID) error {
	for p, indexes := range s.split(len(ids), func(i int) ticket.ID { return ids[i] }) {
		epoch := s.knownEpoch(p)
		for part := range slices.Chunk(indexes, maxAgain) {
			var tickets []keptTicket
			for _, at := range part {
				if t, there := s.kept[p].copyOf(ids[at]); there {
					tickets = append(tickets, t)
				}
			}
			if len(tickets) == 0 || epoch == "" || s.host() == "" {
				continue
			}
			names, args := s.againCall(p, tickets)
			args = append([]any{epoch, s.host(), millis(time.Now()), false, true}, args...)
			if err := againScript.Run(ctx, s.client, names, args...).Err(); err != nil {
				return link.Wrap("bring back", err)
			}
		}
	}
	return nil
}

// copyOf returns a copy of what is kept of a ticket.
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
