package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Replay makes mutations that were accepted by the journal of [Options.Journal], in their order, passing over those whose
// sequence number has been seen, and returns one outcome for each. The same call may be repeated after an error. At most
// one Replay runs at a time.
func (s *Store) Replay(ctx context.Context, entries []store.Entry) ([]store.Outcome, error) {
	s.askFloor(ctx, entries)
	outcomes := make([]store.Outcome, len(entries))
	for p, indexes := range s.split(len(entries), func(i int) ticket.ID { return entries[i].Mutation.ID }) {
		b := &batch{}
		for _, at := range indexes {
			b.mutations = append(b.mutations, entries[at].Mutation)
			b.entries = append(b.entries, entries[at])
		}
		if err := s.recordReserved(ctx, b.mutations); err != nil {
			return nil, err
		}
		done, err := s.send(ctx, p, b)
		if ofOneChange(err) && link.Works(ctx, s.client, p, s.keys.partitions, s.keys.prefix) {
			done, err = s.oneByOne(ctx, p, b)
		}
		if err != nil {
			return nil, err
		}
		for i, at := range indexes {
			outcomes[at] = done[i]
			if errors.Is(done[i].Err, errStray) { // the caller sends the change again
				if err := s.makeWay(ctx, entries[at].Mutation.ID); err != nil {
					outcomes[at].Err = err
				}
			}
		}
	}
	return outcomes, nil
}

// ofOneChange says that an answer may be about one of the changes that were sent together.
func ofOneChange(err error) bool {
	answer, answered := errors.AsType[goredis.Error](err)
	return answered && (link.IsForeign(answer) || link.IsRefusal(answer))
}

// endsReplay says that a replay has come to a create whose id is taken, or may be, so that nothing behind it is made.
func endsReplay(err error) bool {
	return errors.Is(err, store.ErrTaken) || errors.Is(err, store.ErrUnsure) || errors.Is(err, errBehindTaken)
}

// oneByOne replays what Redis refuses though it works: it does not take one of the changes, which must not hold up the others.
// What has arrived is passed over when the same call is repeated.
func (s *Store) oneByOne(ctx context.Context, p int, b *batch) ([]store.Outcome, error) {
	outcomes := make([]store.Outcome, 0, len(b.mutations))
	for i := range b.mutations {
		if i > 0 && endsReplay(outcomes[i-1].Err) {
			outcomes = append(outcomes, store.Outcome{ID: b.mutations[i].ID, Err: errBehindTaken})
			continue
		}
		done, err := s.send(ctx, p, &batch{mutations: b.mutations[i : i+1], entries: b.entries[i : i+1]})
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

// proposed is the revision that a batch proposes for one of its mutations. One that a journal acknowledged before this process of
// Redis served, as far as this store knows, arrives last wherever Redis may have gone back to: the sink may be ahead of the
// acknowledged revision, by changes that Redis has lost and that concern other fields.
func (s *Store) proposed(b *batch, i int) ticket.Revision {
	if b.entries != nil && int64(b.entries[i].Revision) <= s.former.Load() {
		return s.opts.Clock.Propose()
	}
	return b.mutations[i].Proposed
}

// askFloor has the clock know the sink's highest revision before such entries are replayed, once for each process of Redis:
// another host's clock may be ahead. Where the sink does not answer, the clocks decide.
func (s *Store) askFloor(ctx context.Context, entries []store.Entry) {
	former := s.former.Load()
	late := slices.ContainsFunc(entries, func(e store.Entry) bool { return int64(e.Revision) <= former })
	if late && s.asked.Swap(former) != former {
		_, _ = s.floor(ctx)
	}
}

// Fence sees to it that no write to a partition that was sent before is made from now on: it gives this journal's writes
// another mark to carry, and Redis refuses those that carry the old one. Writes of the living are sent again with the new mark;
// those whose caller gave up, because Redis was stopped or the network held them up, are the ones that it stops.
func (s *Store) Fence(ctx context.Context, partition int) error { return s.raiseFence(ctx, partition) }

func (s *Store) raiseFence(ctx context.Context, p int) error {
	s.fencing.Lock() // who finds the fence raised must find its mark, too, and not raise it once more
	defer s.fencing.Unlock()
	return s.raiseFenceLocked(ctx, p)
}

func (s *Store) raiseFenceLocked(ctx context.Context, p int) error {
	if s.knownFence(p) != "" { // else it is a process' before this one
		if err := s.meetTwin(ctx, p); err != nil {
			return err
		}
	}
	mark := s.names.raiser + rand.Text() // never one that was used before, so that a late raise lets no late write pass
	if err := s.run(ctx, noteScript, p, []string{s.keys.meta(p)}, "fence:"+s.journal(), mark).Err(); err != nil {
		return link.Wrap("fence", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fences[p] = mark
	return nil
}

// fenceFor returns the mark that writes carry. Those that are replayed are protected by their sequence numbers, as long as no
// other daemon has the same name.
func (s *Store) fenceFor(ctx context.Context, p int) (string, error) {
	if s.opts.Journal == "" {
		return "", nil
	}
	if mark := s.knownFence(p); mark != "" {
		return mark, nil
	}
	err := s.raiseFence(ctx, p)
	return s.knownFence(p), err
}

func (s *Store) knownFence(p int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fences[p]
}

// refence is called when Redis did not know the mark that a write carried: another goroutine has raised the fence since, or
// another daemon under this one's name, or Redis has lost it.
func (s *Store) refence(ctx context.Context, p int, carried string) error {
	s.fencing.Lock()
	defer s.fencing.Unlock()
	if s.knownFence(p) != carried {
		return nil
	}
	return s.raiseFenceLocked(ctx, p)
}

// isFenced recognises the script's answer that a write carried an old mark, so that nothing was done.
func isFenced(err error) bool { return strings.HasPrefix(err.Error(), "FENCE ") }
