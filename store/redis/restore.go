package redis

import (
	"context"
	_ "embed"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// The scripts for a next place that was put back to an older state. No daemon works while they run.
var (
	//go:embed renew.lua
	renewSource string
	//go:embed discard.lua
	discardSource string

	renewScript   = guarded(renewSource)
	discardScript = guarded(discardSource)
)

// Renew makes all tickets that are held dirty and due, and returns how many were clean before. writable are the fields that the
// next place can be given, computed those that it fills in itself. Dead letters stay dead.
func (s *Store) Renew(ctx context.Context, now time.Time, writable, computed []string) (renewed int, err error) {
	first := []any{millis(now)}
	for _, names := range [][]string{writable, computed} {
		first = append(first, len(names))
		for _, name := range names {
			first = append(first, name)
		}
	}
	err = s.TicketIDs(ctx, func(ids []ticket.ID) error {
		n, err := s.countEach(ctx, renewScript, false, first, ids)
		renewed += n
		return link.Wrap("renew", err)
	})
	return renewed, err
}

// Discard forgets all tickets that are held. What waits for the next place is told to lost before it goes; an error of lost
// ends it. It returns how many tickets were forgotten.
func (s *Store) Discard(ctx context.Context, lost func([]store.Claim) error) (forgotten int, err error) {
	err = s.TicketIDs(ctx, func(ids []ticket.ID) error {
		for part := range slices.Chunk(ids, maxClaim) {
			if err := s.tellLost(ctx, part, lost); err != nil {
				return err
			}
			n, err := s.countEach(ctx, discardScript, true, nil, part)
			if err != nil {
				return link.Wrap("discard", err)
			}
			forgotten += n
		}
		return nil
	})
	return forgotten, err
}

func (s *Store) tellLost(ctx context.Context, ids []ticket.ID, lost func([]store.Claim) error) error {
	hashes, err := s.hashes(ctx, ids)
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
