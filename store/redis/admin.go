package redis

import (
	"context"
	_ "embed"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Admin is a store for commands that read or repair all tickets, beside the daemons.
type Admin struct{ *Store }

// TicketIDs calls f with every ticket that the store holds or an index names, in batches of up to some thousand. A ticket may
// come more than once, and a ticket that is created or removed meanwhile may be left out. TicketIDs does not block Redis.
func (a *Admin) TicketIDs(ctx context.Context, f func([]ticket.ID) error) error {
	if err := a.scanKeys(ctx, a.keys.ticketID, f); err != nil {
		return err
	}
	for p := range a.keys.partitions {
		for _, index := range []string{a.keys.dirty(p), a.keys.dead(p)} {
			if err := a.scanIndex(ctx, p, index, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Admin) scanIndex(ctx context.Context, p int, index string, f func([]ticket.ID) error) error {
	var cursor uint64
	for {
		members, next, err := a.zscan(ctx, p, index, cursor)
		if err != nil {
			return link.Wrap("scan", err)
		}
		var found []ticket.ID
		for i := 0; i < len(members); i += 2 {
			if id, err := ticket.ParseID(members[i]); err == nil {
				found = append(found, id)
			}
		}
		if err := f(found); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// Repair brings the index into line with the tickets' hashes: a dirty ticket that the index lacks becomes due at once. added and
// removed count the entries.
func (a *Admin) Repair(ctx context.Context, ids []ticket.ID) (added, removed int, err error) {
	err = a.runEach(ctx, repairScript, true, []any{millis(time.Now())}, ids, func(reply *goredis.Cmd) error {
		counts, err := reply.Int64Slice()
		if err != nil {
			return err
		}
		added += int(counts[0])
		removed += int(counts[1])
		return nil
	})
	return added, removed, link.Wrap("repair", err)
}

// Forget drops tickets that are clean and still at the given revision: the next reader gets the tickets from the next place.
func (a *Admin) Forget(ctx context.Context, ids []ticket.ID, revisions []ticket.Revision) error {
	calls := make([]guardedCall, len(ids))
	for i, id := range ids {
		calls[i] = guardedCall{a.keys.partition(id), []string{a.keys.ticket(id)}, []any{int64(revisions[i])}}
	}
	return link.Wrap("forget", firstErr(a.runPiped(ctx, forgetScript, calls)))
}

// The scripts for a next place that was restored to an older state. No daemon works while these scripts run.
var (
	//go:embed renew.lua
	renewSource string
	//go:embed discard.lua
	discardSource string

	renewScript   = guarded(renewSource)
	discardScript = guarded(discardSource)
)

// Renew makes all tickets dirty and due. renewed counts those that were clean before, parts those that Redis holds in part: a
// part of a ticket makes no row. writable are the fields that are NULL in a whole ticket without them, computed the fields that
// the next place fills in itself. Dead letters stay dead.
func (a *Admin) Renew(ctx context.Context, now time.Time, writable, computed []string) (renewed, parts int, err error) {
	first := []any{millis(now)}
	for _, names := range [][]string{writable, computed} {
		first = append(first, len(names))
		for _, name := range names {
			first = append(first, name)
		}
	}
	err = a.TicketIDs(ctx, func(ids []ticket.ID) error {
		return link.Wrap("renew", a.runEach(ctx, renewScript, false, first, ids, func(reply *goredis.Cmd) error {
			counts, err := reply.Int64Slice()
			if err == nil {
				renewed, parts = renewed+int(counts[0]), parts+int(counts[1])
			}
			return err
		}))
	})
	return renewed, parts, err
}

// Discard forgets all tickets. lost receives the pending changes before Discard drops the tickets; an error of lost ends Discard.
// forgotten counts the tickets.
func (a *Admin) Discard(ctx context.Context, lost func([]store.Claim) error) (forgotten int, err error) {
	err = a.TicketIDs(ctx, func(ids []ticket.ID) error {
		for part := range slices.Chunk(ids, maxClaim) {
			if err := a.tellLost(ctx, part, lost); err != nil {
				return err
			}
			n, err := a.countEach(ctx, discardScript, true, nil, part)
			if err != nil {
				return link.Wrap("discard", err)
			}
			forgotten += n
		}
		return nil
	})
	return forgotten, err
}

func (a *Admin) tellLost(ctx context.Context, ids []ticket.ID, lost func([]store.Claim) error) error {
	hashes, err := a.hashes(ctx, ids)
	if err != nil {
		return link.Wrap("discard", err)
	}
	var claims []store.Claim
	for i, hash := range hashes {
		if c := claim(ids[i], hash, 0); len(c.Fields) > 0 || c.Deleted {
			claims = append(claims, c)
		}
	}
	if len(claims) == 0 {
		return nil
	}
	return lost(claims)
}
