package redis

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Prepare learns which filling of Redis this is, or marks an empty one, so that the next write need not. Called again
// it notices that Redis was emptied, also where nobody writes.
func (s *Store) Prepare(ctx context.Context) error {
	for p := range s.keys.partitions {
		known, err := s.epoch(ctx, p)
		if err != nil {
			return err
		}
		meta, err := s.client.HMGet(ctx, s.keys.meta(p), "epoch", "floorless").Result()
		if err != nil {
			return wrap("prepare", err)
		}
		if meta[1] != nil { // another daemon found Redis empty, and may be gone
			s.floorless.Store(true)
		}
		if stands, _ := meta[0].(string); stands != known {
			if _, err := s.reseed(ctx, p, known, stands); err != nil {
				return err
			}
		}
	}
	return nil
}

// epoch returns the filling of Redis that writes to a partition expect, asking Redis at the first write.
func (s *Store) epoch(ctx context.Context, p int) (string, error) {
	s.mu.Lock()
	known := s.epochs[p]
	s.mu.Unlock()
	if known != "" {
		return known, nil
	}
	return s.seed(ctx, p, false)
}

// reseed is called when a write met another epoch than it expected: another daemon's (have), or none.
func (s *Store) reseed(ctx context.Context, p int, expected, have string) (string, error) {
	s.mu.Lock()
	if s.epochs[p] == expected {
		s.epochs[p] = have
	}
	known := s.epochs[p]
	s.mu.Unlock()
	if known != "" {
		return known, nil
	}
	return s.seed(ctx, p, true)
}

// seed marks an empty partition as filled from now on, with revisions above the sink's highest, or learns the mark that is
// there.
func (s *Store) seed(ctx context.Context, p int, emptied bool) (string, error) {
	key := s.keys.meta(p)
	marked, err := s.client.HExists(ctx, key, "epoch").Result()
	if err != nil {
		return "", wrap("seed", err)
	}
	floor, floorKnown := ticket.Revision(0), true
	fresh := rand.Text()
	if !marked {
		floor, floorKnown = s.floor(ctx)
	}
	stands, err := seedScript.Run(ctx, s.client, []string{key}, fresh, int64(floor), s.opts.Owner, !floorKnown).StringSlice()
	if err != nil {
		return "", wrap("seed", err)
	}
	if stands[2] != "" {
		s.floorless.Store(true)
	}
	if stands[1] != s.opts.Owner {
		return "", fmt.Errorf("redis seed: %w: keys %q belong to %q, this site is %q: give one of them another key_prefix",
			errOwner, s.keys.base(p)+"*", stands[1], s.opts.Owner)
	}
	s.mu.Lock()
	s.epochs[p] = stands[0]
	s.mu.Unlock()
	if stands[0] == fresh && s.opts.OnSeed != nil {
		s.opts.OnSeed(floor, emptied)
	}
	return stands[0], nil
}
