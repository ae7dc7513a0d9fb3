package journal

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Reads, and claims, which end with a restart, concern the index alone: the log has no records of reads and claims.

// Get implements [store.Tickets].
func (s *Store) Get(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	return s.index.Get(ctx, ids)
}

// Fill implements [store.Tickets].
func (s *Store) Fill(ctx context.Context, rows []store.Record, bases []ticket.Revision) error {
	return s.index.Fill(ctx, rows, bases)
}

// Claim implements [store.Queue].
func (s *Store) Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	return s.index.Claim(ctx, now, limit, lease)
}

// ClaimIDs implements [store.Queue].
func (s *Store) ClaimIDs(ctx context.Context, now time.Time, ids []ticket.ID, lease time.Duration) ([]store.Claim, error) {
	return s.index.ClaimIDs(ctx, now, ids, lease)
}

// Release implements [store.Queue].
func (s *Store) Release(ctx context.Context, claims []store.Claim) error {
	return s.index.Release(ctx, claims)
}

// DirtyIDs implements [store.Queue].
func (s *Store) DirtyIDs(ctx context.Context) ([]ticket.ID, error) { return s.index.DirtyIDs(ctx) }

// NextDue implements [store.Queue].
func (s *Store) NextDue(ctx context.Context) (time.Time, error) { return s.index.NextDue(ctx) }

// Backlog implements [store.Queue].
func (s *Store) Backlog(ctx context.Context) (store.Backlog, error) { return s.index.Backlog(ctx) }

// Letters implements [store.DeadLetters].
func (s *Store) Letters(ctx context.Context, after ticket.ID, limit int) ([]ticket.Letter, error) {
	return s.index.Letters(ctx, after, limit)
}
