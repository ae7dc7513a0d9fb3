package redis

import (
	"cmp"

	"github.com/ticketd/ticketd/store/redis/link"

	"context"
	"crypto/rand"
	"fmt"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Prepare learns which filling of Redis this is, or marks an empty one, so that the next write need not. Called again
// it notices that Redis was emptied, also where nobody writes.
func (s *Store) Prepare(ctx context.Context) error {
	s.seeding.Lock()
	err := s.lookForEpochs(ctx)
	s.seeding.Unlock()
	for p := range s.keys.partitions {
		if err == nil { // before the first write, so that a twin is told from the process before this one
			_, err = s.fenceFor(ctx, p)
		}
	}
	return err
}

// epoch returns the filling of Redis that writes to a partition expect, asking Redis at the first write.
func (s *Store) epoch(ctx context.Context, p int) (string, error) {
	if known := s.knownEpoch(p); known != "" {
		return known, nil
	}
	return s.seed(ctx, p)
}

// Filling tells the filling that this store works with; of the first partition in a cluster. Empty before it is known.
func (s *Store) Filling() string { return s.knownEpoch(0) }

func (s *Store) knownEpoch(p int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epochs[p]
}

// reseed is called when something met another epoch than it expected: the keys may belong to another table now.
func (s *Store) reseed(ctx context.Context, p int, expected string) (string, error) {
	s.seeding.Lock()
	defer s.seeding.Unlock()
	if known := s.knownEpoch(p); known != expected && known != "" {
		return known, nil
	}
	err := s.lookForEpochs(ctx)
	return s.found(p, err)
}

// seed learns a partition's epoch, or marks it as filled from now on.
func (s *Store) seed(ctx context.Context, p int) (string, error) {
	s.seeding.Lock()
	defer s.seeding.Unlock()
	if known := s.knownEpoch(p); known != "" {
		return known, nil
	}
	err := s.lookForEpochs(ctx)
	return s.found(p, err)
}

// found returns a partition's epoch after a look. Other partitions' errors are of no interest then.
func (s *Store) found(p int, err error) (string, error) {
	if known := s.knownEpoch(p); known != "" {
		return known, nil
	}
	return "", err
}

// lookForEpochs looks at all partitions that answer, and marks the empty ones as filled from now on, with revisions above the
// sink's highest: whoever has lost one partition has likely lost others, and should be told once. The caller holds seeding.
func (s *Store) lookForEpochs(ctx context.Context) error {
	metas := make([]*goredis.SliceCmd, s.keys.partitions)
	_, err := s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for p := range metas {
			metas[p] = pipe.HMGet(ctx, s.keys.meta(p), "epoch", "floorless", "rev")
		}
		return nil
	})
	err = link.Wrap("prepare", err)
	defer s.mendHighest(ctx, metas)
	unknown, emptied, floorNeeded := s.unknownFillings(metas)
	if len(unknown) == 0 {
		return err
	}
	owner, unowned := s.owner(ctx)
	if unowned != nil {
		for p := range unknown {
			s.forgetEpoch(p)
		}
		return fmt.Errorf("redis seed: %w", unowned)
	}
	floor, floorKnown := ticket.Revision(0), true
	if floorNeeded {
		floor, floorKnown = s.floor(ctx)
	}
	fresh := make([]bool, s.keys.partitions)
	failed := s.each(unknown, func(p int, _ []int) (err error) {
		fresh[p], err = s.mark(ctx, p, owner, floor, floorKnown)
		return err
	})
	s.tellOwner(failed)
	if slices.Contains(fresh, true) && s.opts.OnSeed != nil {
		s.opts.OnSeed(floor, emptied)
	}
	return cmp.Or(failed, err)
}

// unknownFillings returns the partitions that answered and hold another filling than is known, whether one of them was filled
// before and is empty now, and whether any is empty.
func (s *Store) unknownFillings(metas []*goredis.SliceCmd) (unknown map[int][]int, emptied, empty bool) {
	unknown = make(map[int][]int)
	for p, command := range metas {
		meta, err := command.Result()
		if err != nil || len(meta) == 0 {
			continue // the first of these is what is returned
		}
		if meta[1] != nil && s.knownEpoch(p) != "" { // another daemon found Redis empty, and may be gone
			s.floorless.Store(true)
		}
		stands, _ := meta[0].(string)
		known := s.knownEpoch(p)
		emptied = emptied || stands == "" && (known != "" || s.opts.Filled)
		empty = empty || stands == ""
		if stands == "" || stands != known {
			unknown[p] = nil
		}
	}
	return unknown, emptied, empty
}

// forgetEpoch forgets what is known of a partition whose keys are not this site's any more.
func (s *Store) forgetEpoch(p int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[p] = ""
}

// mark marks an empty partition, or learns the mark that is there, and says which of them it was.
func (s *Store) mark(ctx context.Context, p int, owner Owner, floor ticket.Revision, floorKnown bool) (fresh bool, err error) {
	epoch := rand.Text()
	names := []string{s.keys.meta(p)}
	stands, err := seedScript.Run(ctx, s.client, names, epoch, int64(floor), owner.Identity, !floorKnown, owner.Former).StringSlice()
	if err != nil {
		return false, link.Wrap("seed", err)
	}
	if stands[1] != owner.Identity {
		s.forgetEpoch(p)
		return false, s.foreignOwner(p, stands[1], owner)
	}
	if stands[2] != "" {
		s.floorless.Store(true)
	}
	if known := s.knownEpoch(p); known != "" && known != stands[0] && s.kept[p].replaced("") {
		s.NewLine()
	}
	if err := s.again(ctx, s.client, p, stands[0], false); err != nil && !hasNoRoom(err) {
		return false, link.Wrap("seed", err)
	}
	s.mu.Lock()
	s.epochs[p] = stands[0]
	s.mu.Unlock()
	return stands[0] == epoch, nil
}
