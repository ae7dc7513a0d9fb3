package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// epoch returns the filling of Redis that writes to a partition expect. The first write asks Redis.
func (s *site) epoch(ctx context.Context, p int) (string, error) {
	if known := s.knownEpoch(p); known != "" {
		return known, nil
	}
	return s.reseed(ctx, p, "")
}

// Filling returns the filling that this store works with, in a cluster the filling of the first partition. Empty before the first
// write.
func (s *site) Filling() string { return s.knownEpoch(0) }

func (s *site) knownEpoch(p int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epochs[p]
}

// reseed looks at the fillings again after a command met another epoch than expected: the keys may belong to another table now.
func (s *site) reseed(ctx context.Context, p int, expected string) (string, error) {
	s.seeding.Lock()
	defer s.seeding.Unlock()
	if known := s.knownEpoch(p); known != expected && known != "" {
		return known, nil
	}
	err := s.lookForEpochs(ctx)
	if known := s.knownEpoch(p); known != "" {
		return known, nil // errors of other partitions do not matter
	}
	return "", err
}

// lookForEpochs looks at all partitions that answer, and marks empty partitions as filled from now on, with revisions above the
// sink's highest. A Redis that has lost one partition has likely lost others, and the operator should hear once. The caller holds
// seeding.
func (s *site) lookForEpochs(ctx context.Context) error {
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
		fresh[p], err = s.mark(ctx, p, owner, seed{floor, floorKnown, emptied || floor > 0})
		return err
	})
	s.tellOwner(failed)
	if slices.Contains(fresh, true) && s.opts.OnSeed != nil {
		s.opts.OnSeed(floor, emptied)
	}
	return cmp.Or(failed, err)
}

// unknownFillings returns the partitions that answered and hold another filling than the store knows, whether a partition was
// filled before and is empty now, and whether any partition is empty.
func (s *site) unknownFillings(metas []*goredis.SliceCmd) (unknown map[int][]int, emptied, empty bool) {
	unknown = make(map[int][]int)
	for p, command := range metas {
		meta, err := command.Result()
		if err != nil || len(meta) == 0 {
			continue // the caller returns the first such error
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

// forgetEpoch forgets the filling of a partition whose keys are not this site's any more.
func (s *site) forgetEpoch(p int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[p] = ""
}

// seed is what an empty partition begins with.
type seed struct {
	floor      ticket.Revision // the sink's highest revision
	floorKnown bool
	again      bool // an earlier filling is lost: a store has seen the filling, or the sink holds changes of the filling
}

// mark marks an empty partition, or learns the mark of a filled partition; fresh says that the partition was empty.
func (s *site) mark(ctx context.Context, p int, owner Owner, of seed) (fresh bool, err error) {
	epoch := rand.Text()
	names := []string{s.keys.meta(p), s.keys.feed(p)}
	args := []any{epoch, int64(of.floor), owner.Identity, !of.floorKnown, owner.Former, of.again}
	args = append(args, s.feedKeep.Load(), time.Now().UnixMicro())
	stands, err := seedScript.Run(ctx, s.client, names, args...).StringSlice()
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
	known := s.knownEpoch(p)
	if err := s.filled(ctx, p, stands[0], known != "" && known != stands[0]); err != nil {
		return false, link.Wrap("seed", err)
	}
	s.mu.Lock()
	s.epochs[p] = stands[0]
	s.mu.Unlock()
	return stands[0] == epoch, nil
}

// floorTimeout bounds the question for the sink's highest revision: a write may be waiting for the answer.
const floorTimeout = 250 * time.Millisecond

// floor asks the sink for the sink's highest revision and raises the clock above that revision.
func (s *site) floor(ctx context.Context) (floor ticket.Revision, known bool) {
	if s.opts.Floor == nil {
		return 0, true
	}
	ctx, cancel := context.WithTimeout(ctx, floorTimeout)
	defer cancel()
	floor, err := s.opts.Floor(ctx)
	if err != nil {
		return 0, false
	}
	s.opts.Clock.Observe(floor)
	return floor, true
}

// mendHighest replaces, in partitions whose filling is known, an impossible highest revision by the sink's highest, as when Redis
// was found empty.
func (s *site) mendHighest(ctx context.Context, metas []*goredis.SliceCmd) {
	for p, command := range metas {
		meta, err := command.Result()
		if err != nil || len(meta) == 0 || meta[0] == nil || meta[0] != s.knownEpoch(p) {
			continue
		}
		text, is := meta[2].(string)
		if _, err := ticket.ParseRevision(text); !is || err == nil {
			continue
		}
		if s.opts.OnOdd != nil {
			s.opts.OnOdd(s.keys.meta(p))
		}
		names := s.guardedKeys(p, []string{s.keys.meta(p)}) // not by run: the caller holds seeding
		if unsureScript.Run(ctx, s.client, names, meta[0]).Err() == nil {
			s.floorless.Store(true)
		}
	}
}

// owner asks to which table the keys must belong.
func (s *site) owner(ctx context.Context) (Owner, error) {
	if s.opts.Owner == nil {
		return Owner{}, nil
	}
	return s.opts.Owner(ctx)
}

// tellOwner tells whether the keys belong to the site's table, after a look.
func (s *site) tellOwner(err error) {
	if s.opts.OnOwner != nil && (err == nil || errors.Is(err, store.ErrOwner)) {
		s.opts.OnOwner(err)
	}
}

// foreignOwner returns the error for a partition whose keys belong to another table.
func (s *site) foreignOwner(p int, owner string, ours Owner) error {
	return fmt.Errorf("redis: %w: the keys %q belong to %s, this site's table is %s: give this site another key_prefix or "+
		"redis.db; "+
		"where its table has moved here, run 'ticketd identity move'", store.ErrOwner, s.keys.base(p)+"*", owner, ours.Identity)
}
