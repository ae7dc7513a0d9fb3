package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

// journaled are changes of tickets 1 to 3 that a journal has acknowledged a minute ago: a set, a deletion, and a create.
func journaled() []store.Entry {
	at := time.Now().Add(-time.Minute)
	acknowledged := ticket.Revision(at.UnixMicro())
	entries := make([]store.Entry, 3)
	for i, kind := range []store.Kind{store.Set, store.Delete, store.Begin} {
		entries[i] = store.Entry{Sequence: uint64(i + 1), Revision: acknowledged, Mutation: store.Mutation{
			Kind: kind, ID: ticket.ID(i + 1), Proposed: acknowledged, Due: at,
			Fields: ticket.Fields{{Name: "subject", Value: ticket.Text("from the journal")}},
		}}
	}
	return entries
}

// wantAbove claims the tickets and fails for each claim that a sink at a revision would refuse as older.
func wantAbove(t *testing.T, s *redis.Store, sink ticket.Revision, n int) {
	t.Helper()
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(1, 2, 3)[:n], leaseTime)
	if err != nil || len(claims) != n {
		t.Fatalf("claims %+v (%v), want %d", claims, err, n)
	}
	for _, c := range claims {
		if c.Revision <= sink {
			t.Errorf("ticket %d is claimed at revision %d and MySQL is at %d: the change is lost", c.ID, c.Revision, sink)
		}
		if c.ID == 3 && c.Created >= sink {
			t.Errorf("the create does not join its own row of revision %d, as it counts from %d on", sink, c.Created)
		}
	}
}

// replayed replays entries and fails unless all are made.
func replayed(t *testing.T, s *redis.Store, entries []store.Entry) []store.Outcome {
	t.Helper()
	outcomes, err := s.Replay(t.Context(), entries)
	for i := range outcomes {
		err = errors.Join(err, outcomes[i].Err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

// Redis is emptied while MySQL is away, and a journal replays changes that were acknowledged before. Meanwhile other hosts have
// flushed other fields of these tickets under newer revisions, by a clock that is ahead: the journal's changes arrive last and
// count, and the create joins its ticket. That holds whichever daemon learns MySQL's revision first, and whenever the daemon has
// noticed the new process.
func TestReplayIntoAnEmptiedRedisIsAboveMySQL(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"raised by the same daemon": true, "raised by another": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := testenv.NewRedis(t, testenv.RedisOptions{}).Client(t)
			sink, away := ticket.Revision(time.Now().Add(time.Hour).UnixMicro()), errors.New("MySQL is away")
			o := redis.Options{Journal: "a", Floor: func(context.Context) (ticket.Revision, error) { return sink, away }}
			s, other := open(t, client, o), open(t, client, o)
			mustSet(t, s, 9, "subject", "before")
			entries := journaled()
			if err := client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			s.NewLine()
			replayed(t, s, entries)
			other.NewLine() // the other daemon comes to Redis later
			if err := other.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			away = nil
			if own {
				wantAbove(t, s, sink, 3)
			} else {
				wantAbove(t, other, sink, 3)
			}
		})
	}
}

// A create that no other client can know keeps away from the rows of other tickets, even after raise.lua has raised the create.
func TestRaisedCreateKeepsAwayFromRows(t *testing.T) {
	t.Parallel()
	client := testenv.NewRedis(t, testenv.RedisOptions{}).Client(t)
	sink, away := ticket.Revision(time.Now().Add(time.Hour).UnixMicro()), errors.New("MySQL is away")
	s := open(t, client, redis.Options{Floor: func(context.Context) (ticket.Revision, error) { return sink, away }})
	m := journaled()[2].Mutation
	m.Kind = store.Create
	if outcomes, err := s.Apply(t.Context(), []store.Mutation{m}); err != nil || outcomes[0].Err != nil {
		t.Fatal(outcomes, err)
	}
	away = nil
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(3), leaseTime)
	if err != nil || len(claims) != 1 || claims[0].Created <= sink {
		t.Errorf("claims %+v (%v), want a create that no row up to %d belongs to", claims, err, sink)
	}
}

// Redis went back in time: Redis holds a ticket at a revision below the revision of the journal's change, and MySQL has a newer
// change of another field. The journal's change arrives last and counts: under its acknowledged revision MySQL would refuse the
// change, and the ack would forget the change.
func TestReplayIntoARedisOfBeforeIsAboveMySQL(t *testing.T) {
	t.Parallel()
	for name, restarts := range map[string]bool{"the daemon sees the new process": false, "the daemon has started since": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, prefix := testenv.SharedRedis(t)
			sink := ticket.Revision(0)
			reopen := func() *redis.Store {
				return open(t, server.Client(t), redis.Options{
					Prefix: prefix, Journal: "a", Floor: func(context.Context) (ticket.Revision, error) { return sink, nil },
				})
			}
			s := reopen()
			entries := journaled()[:2]
			for i := range entries {
				held := entries[i].Mutation
				held.Kind, held.Proposed = store.Set, entries[i].Revision-1000
				if outcomes, err := s.Apply(t.Context(), []store.Mutation{held}); err != nil || outcomes[0].Err != nil {
					t.Fatal(outcomes, err)
				}
				if err := s.Ack(t.Context(), []store.Receipt{{ID: held.ID, Revision: held.Proposed}}); err != nil {
					t.Fatal(err)
				}
			}
			sink = ticket.Revision(time.Now().Add(time.Hour).UnixMicro())
			if restarts {
				s = reopen()
			} else {
				s.NewLine()
			}
			replayed(t, s, entries)
			wantAbove(t, s, sink, 2)
		})
	}
}

// A request arrives in Redis after its client was answered by the journal, under a lower revision, and is flushed and forgotten
// before the journal replays it. The change is not made again, as newer ones may have followed, but the acknowledged revision
// stands: MySQL's row gets it.
func TestReplayedRepetitionOfAForgottenTicketRaisesTheRow(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix, Journal: "a"})
	m := store.Mutation{
		Kind: store.Set, ID: 1, Due: time.Now(), RequestID: "asked", Remember: time.Minute,
		Fields: ticket.Fields{{Name: "subject", Value: ticket.Text("from the journal")}},
	}
	outcomes, err := s.Apply(t.Context(), []store.Mutation{m})
	if err = errors.Join(err, outcomes[0].Err); err != nil {
		t.Fatal(err)
	}
	direct := outcomes[0].Revision
	flushed := []store.Receipt{{ID: 1, Revision: direct}}
	if err := errors.Join(s.Ack(t.Context(), flushed), client.Del(t.Context(), prefix+"ticket:1").Err()); err != nil {
		t.Fatal(err)
	}
	acknowledged := direct + 1000
	m.Proposed = acknowledged
	if o := replayed(t, s, []store.Entry{{Sequence: 1, Revision: acknowledged, Mutation: m}}); o[0].Revision != acknowledged {
		t.Errorf("the replay answers revision %d, want %d", o[0].Revision, acknowledged)
	}
	claims, err := s.ClaimIDs(t.Context(), soon(), ids(1), leaseTime)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %+v (%v)", claims, err)
	}
	if c := &claims[0]; !c.RevisionOnly() || c.Revision != acknowledged || c.Newest != acknowledged {
		t.Errorf("claim %+v, want the revision %d alone", *c, acknowledged)
	}
	if err := s.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: acknowledged, Ahead: true}}); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Exists(t.Context(), prefix+"ticket:1").Result(); err != nil || n != 0 {
		t.Errorf("the ticket is still held (%v)", err)
	}
}
