package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/store/redis/link"
)

// A journal's id names a daemon's fence, its sequence numbers and the daemon itself in Redis. A host that was cloned from an
// image has the journal of the first, and Redis would take the two for one: what one of them replays is passed over, as the
// other's sequence numbers are above. So a fence says which process has raised it, all writes of a journal carry the fence, and
// a daemon that meets another's under its own name takes a new name, before anything else of it is made.

// journal is the name under which Redis knows the journal: its id, or a new one after a twin was met; empty where there is
// none.
func (s *Store) journal() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names.journal
}

// host is the name under which Redis knows this daemon; empty where the store is no daemon's.
func (s *Store) host() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names.host
}

// names are what Redis knows a daemon by. raiser is this process alone: each fence that it raises begins with it.
type names struct{ journal, host, raiser string }

// meetTwin takes another name where a partition's fence is another process' than this one's. A process before this one on the
// same journal has no fence here any more, but for a raise that was held up, or a Redis that went back in time: a new name
// does no harm then. The caller holds fencing.
func (s *Store) meetTwin(ctx context.Context, p int) error {
	var fence *goredis.StringCmd
	name := s.journal()
	err := s.read(ctx, []int{p}, func(pipe goredis.Pipeliner) { fence = pipe.HGet(ctx, s.keys.meta(p), "fence:"+name) })
	if err != nil && !errors.Is(err, goredis.Nil) {
		return link.Wrap("fence", err)
	}
	if mark := fence.Val(); mark == "" || strings.HasPrefix(mark, s.names.raiser) {
		return nil // Redis has lost the fence, or another one of this process
	}
	fresh := s.opts.Journal + "-" + rand.Text()
	s.mu.Lock()
	s.names.journal, s.names.host = fresh, fresh
	clear(s.fences)
	s.mu.Unlock()
	for _, k := range s.kept {
		k.owe()
	}
	if s.opts.OnTwin != nil {
		s.opts.OnTwin(s.opts.Journal)
	}
	return nil
}

// owe has what is kept applied again, under the daemon's present name.
func (k *kept) owe() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owed = true
}
