package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Replication is asynchronous: a fail-over, or a restart without every write on disk, loses changes that a daemon has just
// acknowledged. The daemon still knows them. It keeps what it acknowledged lately (kept.go) and applies it again to the process
// that serves the partition then (again.lua), before it sends anything else there: [Watch] holds the first connection back until
// that is done. Revisions decide what is missing, so that several daemons can do so each for itself, and others write meanwhile;
// only flushing waits until all have (hosts.go).

const (
	// maxAgain and againBytes bound the tickets of one call of again.lua.
	maxAgain   = 128
	againBytes = 1 << 20
)

// The statuses that again.lua returns.
const (
	againBack    = 1
	againForeign = 3
	againTaken   = 4
	againStray   = 8
	againNoRoom  = 9
	againRequest = 10
)

// errNoRoom means that Redis has no room for some of what is owed.
var errNoRoom = fmt.Errorf("redis apply again: %w", store.ErrFull)

// Replaced says that partitions are served by another process than before, which on leads to, and applies again there what this
// store has acknowledged lately. run is the process' run_id, empty where it is unknown. An error means that the process takes
// no writes now, so that nothing else may be sent to it: the same call is to be made again. What cannot be applied for another
// reason (Redis is out of memory, or was emptied) is still owed, and is applied before the partition's next claim.
func (s *Store) Replaced(ctx context.Context, on goredis.Scripter, run string, partitions []int) error {
	for _, p := range partitions {
		k := s.kept[p]
		if k.replaced(run) {
			s.NewLine()
		}
		epoch := s.knownEpoch(p)
		if _, owed := k.sending(); run == "" || epoch == "" || !owed {
			continue // a partition that this store has not used yet owes nothing
		}
		err := s.again(ctx, on, p, epoch, true)
		switch {
		case err == nil, isOtherEpoch(err), hasNoRoom(err):
		case link.HasMoved(err), link.IsAway(err):
			return err
		default:
			s.opts.Log.Error().Err(err).Msg("changes that were acknowledged before a fail-over cannot be applied again; it is tried again")
		}
	}
	return nil
}

// hasNoRoom recognises that Redis has no room for what is owed.
func hasNoRoom(err error) bool { return errors.Is(err, store.ErrFull) || link.IsFull(err) }

// ready applies again what is owed of a partition. The error wraps [store.ErrFull] where Redis has no room for it.
func (s *Store) ready(ctx context.Context, p int) error {
	if _, owed := s.kept[p].sending(); !owed {
		return nil
	}
	epoch, err := s.epoch(ctx, p)
	if err == nil {
		err = s.again(ctx, s.client, p, epoch, true)
	}
	if isOtherEpoch(err) {
		_, err = s.reseed(ctx, p, epoch)
	}
	return link.Wrap("apply again", err)
}

// again applies what is owed of a partition; forced even where this daemon has done so before on this process. Several calls at
// once do no harm: who finds that nothing is left says so to Redis.
func (s *Store) again(ctx context.Context, on goredis.Scripter, p int, epoch string, forced bool) error {
	if s.host() == "" {
		generation, _ := s.kept[p].sending()
		s.kept[p].paid(generation)
		return nil
	}
	if err := s.reserveAgain(ctx, on, p, epoch); err != nil {
		return err
	}
	found := &againFound{}
	defer s.tellAgain(found)
	for {
		tickets, generation := s.kept[p].owing(found.owed, maxAgain, againBytes)
		last := len(tickets) < maxAgain && sizeOf(tickets) < againBytes
		names, args := s.againCall(p, tickets)
		args = append([]any{epoch, s.host(), millis(time.Now()), last && found.owed == 0, forced}, args...)
		reply, err := againScript.Run(ctx, on, names, args...).Slice()
		if err != nil {
			return err
		}
		s.count(found, tickets, reply)
		s.kept[p].applied(tickets, generation)
		switch {
		case last && found.owed > 0:
			return errNoRoom
		case last:
			s.kept[p].paid(generation)
			return nil
		}
	}
}

func sizeOf(tickets []keptTicket) (bytes int) {
	for i := range tickets {
		bytes += tickets[i].bytes
	}
	return bytes
}

// reserveAgain ties request ids to their tickets again, where that was lost.
func (s *Store) reserveAgain(ctx context.Context, on goredis.Scripter, p int, epoch string) error {
	now := time.Now()
	for _, r := range s.kept[p].reservations() {
		left := r.expires.Sub(now)
		if left <= 0 {
			continue
		}
		_, names := s.keys.reservation(r.id)
		err := reserveScript.Run(ctx, on, guardedKeys(s, p, names), int64(r.ticket), left.Milliseconds()+1, r.digest, epoch).Err()
		if err != nil {
			return err
		}
	}
	return nil
}

// againCall returns what again.lua is told of tickets.
func (s *Store) againCall(p int, tickets []keptTicket) (names []string, args []any) {
	names = append(names, s.keys.dirty(p), s.keys.dead(p), s.keys.meta(p))
	args = append(args, len(tickets))
	now := time.Now()
	for i := range tickets {
		t := &tickets[i]
		names = append(names, s.keys.ticket(t.id), s.keys.graves(t.id))
		args = append(args, int64(t.id), int64(t.gone), int64(t.created), int64(t.born), t.made, t.full, t.replayed)
		args = append(args, t.flushed, int64(t.arrived), len(t.fields))
		for j := range t.fields {
			f := &t.fields[j]
			args = append(args, f.Name, int64(f.revision), f.Value.IsNull(), f.Value.Text())
		}
		at := len(args)
		args = append(args, 0)
		for j := range t.requests {
			r := &t.requests[j]
			if left := r.expires.Sub(now); left > 0 {
				names = append(names, s.keys.request(p, r.id))
				args = append(args, t.id.String()+" "+r.revision.String()+" "+r.digest, left.Milliseconds()+1)
			}
		}
		args[at] = (len(args) - at - 1) / 2
	}
	return names, args
}

// againFound is what applying again has come to.
type againFound struct {
	back int // tickets
	owed int // what there was no room for
	lost []lostTicket
}

// lostTicket is one whose changes cannot be applied again, as something else has its id. why is nil where that is no ticket.
type lostTicket struct {
	id  ticket.ID
	why error
}

// count takes up the reply of again.lua.
func (s *Store) count(found *againFound, tickets []keptTicket, reply []any) {
	if len(reply) > 0 && reply[0] == "full" {
		found.owed++
	}
	for i := range tickets {
		older := ticket.Revision(0)
		tickets[i].status = 0 // this daemon had applied it before, where the reply has none
		if i+1 < len(reply) {
			tickets[i].status, older = againStatus(reply[i+1])
		}
		if older > 0 {
			if err := s.setAside(&tickets[i], older); err != nil {
				found.lost = append(found.lost, lostTicket{tickets[i].id, err})
			}
		}
		switch tickets[i].status {
		case againNoRoom, againRequest:
			found.owed++
		case againBack:
			found.back++
		case againForeign:
			_ = s.foreign(tickets[i].id) // reported
			found.lost = append(found.lost, lostTicket{id: tickets[i].id})
		case againTaken:
			if older == 0 { // a create, whose id another ticket has
				found.lost = append(found.lost, lostTicket{id: tickets[i].id})
			}
		case againStray:
			found.lost = append(found.lost, lostTicket{id: tickets[i].id})
		}
	}
}

var errNoAside = errors.New("there is no other place for them")

// setAside keeps what was acknowledged of a ticket before the one that has its id was created. What was merged stays so.
func (s *Store) setAside(t *keptTicket, created ticket.Revision) error {
	if s.opts.Aside == nil {
		return errNoAside
	}
	m := store.Mutation{Kind: store.Set, ID: t.id}
	at := ticket.Revision(0)
	if t.gone > t.arrived && t.gone < created {
		m.Kind, at = store.Delete, t.gone
	}
	for i := range t.fields {
		if f := &t.fields[i]; f.revision > t.arrived && f.revision < created {
			m.Fields = append(m.Fields, f.Field)
			at = max(at, f.revision)
		}
	}
	return s.opts.Aside(&m, time.UnixMicro(int64(at)))
}

// againStatus reads what again.lua says of one ticket.
func againStatus(reply any) (status int64, older ticket.Revision) {
	text, is := reply.(string)
	if !is {
		status, _ = reply.(int64)
		return status, 0
	}
	_, _ = fmt.Sscan(text, &status, &older)
	return status, older
}

// tellAgain says what applying again has come to, where that was more than nothing.
func (s *Store) tellAgain(found *againFound) {
	if found.back > 0 {
		s.opts.Log.Warn().Int("tickets", found.back).
			Msg("Redis lost changes that had just been acknowledged, in a fail-over or a restart: they are applied again")
	}
	for _, l := range found.lost {
		s.opts.Log.Error().Err(l.why).Int64("ticket", int64(l.id)).
			Msg("Redis lost changes of a ticket that had just been acknowledged, and something else has its id now: they are lost")
	}
}

// keep keeps what was acknowledged of a batch that was sent under a generation. Where the partition was replaced meanwhile, the
// former process may have made it: it is applied again before anybody is told.
func (s *Store) keep(ctx context.Context, p, generation int, b *batch, outcomes []store.Outcome) error {
	if s.host() == "" || !s.kept[p].add(time.Now(), generation, b, outcomes) {
		return nil
	}
	if err := s.ready(ctx, p); err != nil && !hasNoRoom(err) {
		return err
	}
	return nil
}
