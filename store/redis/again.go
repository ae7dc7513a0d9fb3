package redis

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

// recall applies again the latest acknowledged changes of this daemon, where a fail-over has lost the changes.
type recall struct {
	*site

	fences *fences
	kept   []*kept // per partition
}

func newRecall(s *site, f *fences) *recall {
	r := &recall{site: s, fences: f, kept: make([]*kept, s.keys.partitions)}
	for p := range r.kept {
		r.kept[p] = &kept{
			tickets: make(map[ticket.ID]*keptTicket), order: list.New(), flushed: list.New(), limit: keepBytes / len(r.kept),
			owed:  true, // a daemon that starts tells Redis so
			doubt: true,
		}
	}
	s.filled, f.kept = r.meet, r.kept
	return r
}

// Replication is asynchronous: a fail-over, or a restart without every write on disk, loses changes that a daemon has just
// acknowledged. The daemon keeps its latest acknowledged changes (kept.go) and applies the changes again to the process that
// serves the partition then (again.lua), before any other command: [link.Watch] holds the first connection back until then.
// Revisions decide which changes are missing, so that each of several daemons can do so on its own, and other daemons write
// meanwhile; only flushing waits for all daemons (hosts.go).

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

// errNoRoom means that Redis has no room for some of the owed changes. A change is owed until the daemon has applied the change
// again.
var errNoRoom = fmt.Errorf("redis apply again: %w", store.ErrFull)

// Replaced says that partitions are served by another process than before, to which on leads, and applies the latest acknowledged
// changes of this store again. run is the process' run_id, empty where unknown. An error means that the process takes no writes
// now: the caller must send no other command to the process, and must repeat the call. Changes that fail for another reason
// (Redis is out of memory, or was emptied) are still owed, and are applied before the partition's next claim.
func (r *recall) Replaced(ctx context.Context, on goredis.Scripter, run string, partitions []int) error {
	for _, p := range partitions {
		k := r.kept[p]
		if k.replaced(run) {
			r.NewLine()
		}
		epoch := r.knownEpoch(p)
		if _, owed := k.sending(); run == "" || epoch == "" || !owed {
			continue // a partition without a write of this store owes no change
		}
		err := r.again(ctx, on, p, epoch, true)
		switch {
		case err == nil, isOtherEpoch(err), hasNoRoom(err):
		case link.HasMoved(err), link.IsAway(err):
			return err
		default:
			r.opts.Log.Error().Err(err).Msg("acknowledged changes from before a fail-over cannot be applied again yet; ticketd retries")
		}
	}
	return nil
}

// hasNoRoom recognises that Redis has no room for owed changes.
func hasNoRoom(err error) bool { return errors.Is(err, store.ErrFull) || link.IsFull(err) }

// ready applies the owed changes of a partition again. The error wraps [store.ErrFull] where Redis has no room for the changes.
func (r *recall) ready(ctx context.Context, p int) error {
	if _, owed := r.kept[p].sending(); !owed {
		return nil
	}
	epoch, err := r.epoch(ctx, p)
	if err == nil {
		err = r.again(ctx, r.client, p, epoch, true)
	}
	if isOtherEpoch(err) {
		_, err = r.reseed(ctx, p, epoch)
	}
	return link.Wrap("apply again", err)
}

// again applies the owed changes of a partition; forced even where this daemon has done so before on this process. Several calls
// at once do no harm: the call that finds no change left tells Redis.
func (r *recall) again(ctx context.Context, on goredis.Scripter, p int, epoch string, forced bool) error {
	if r.fences.host() == "" {
		generation, _ := r.kept[p].sending()
		r.kept[p].paid(generation)
		return nil
	}
	if err := r.reserveAgain(ctx, on, p, epoch); err != nil {
		return err
	}
	found := &againFound{}
	defer r.tellAgain(found)
	for {
		tickets, generation := r.kept[p].owing(found.owed, maxAgain, againBytes)
		last := len(tickets) < maxAgain && sizeOf(tickets) < againBytes
		names, args := r.againCall(p, tickets)
		args = append([]any{epoch, r.fences.host(), millis(time.Now()), last && found.owed == 0, forced}, args...)
		reply, err := againScript.Run(ctx, on, names, args...).Slice()
		if err != nil {
			return err
		}
		r.count(found, tickets, reply)
		r.kept[p].applied(tickets, generation)
		switch {
		case last && found.owed > 0:
			return errNoRoom
		case last:
			r.kept[p].paid(generation)
			return nil
		}
	}
}

// meet is [site.filled].
func (r *recall) meet(ctx context.Context, p int, epoch string, other bool) error {
	if other && r.kept[p].replaced("") {
		r.NewLine()
	}
	if err := r.again(ctx, r.client, p, epoch, false); err != nil && !hasNoRoom(err) {
		return err
	}
	return nil
}

func sizeOf(tickets []keptTicket) (bytes int) {
	for i := range tickets {
		bytes += tickets[i].bytes
	}
	return bytes
}

// reserveAgain ties request ids to their tickets again, where Redis has lost the reservation.
func (r *recall) reserveAgain(ctx context.Context, on goredis.Scripter, p int, epoch string) error {
	now := time.Now()
	for _, held := range r.kept[p].reservations() {
		left := held.expires.Sub(now)
		if left <= 0 {
			continue
		}
		_, names := r.keys.reservation(held.id)
		args := []any{int64(held.ticket), left.Milliseconds() + 1, held.digest, epoch}
		if err := reserveScript.Run(ctx, on, r.guardedKeys(p, names), args...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// againCall returns the keys and arguments of again.lua for tickets.
func (r *recall) againCall(p int, tickets []keptTicket) (names []string, args []any) {
	names = append(names, r.keys.dirty(p), r.keys.dead(p), r.keys.meta(p), r.keys.feed(p))
	args = append(args, len(tickets))
	now := time.Now()
	for i := range tickets {
		t := &tickets[i]
		names = append(names, r.keys.ticket(t.id), r.keys.graves(t.id))
		args = append(args, int64(t.id), int64(t.gone), int64(t.created), int64(t.born), t.made, t.full, t.replayed)
		args = append(args, t.flushed, int64(t.arrived), len(t.fields))
		for j := range t.fields {
			f := &t.fields[j]
			args = append(args, f.Name, int64(f.revision), f.Value.IsNull(), f.Value.Text())
		}
		at := len(args)
		args = append(args, 0)
		for j := range t.requests {
			request := &t.requests[j]
			if left := request.expires.Sub(now); left > 0 {
				names = append(names, r.keys.request(p, request.id))
				args = append(args, t.id.String()+" "+request.revision.String()+" "+request.digest, left.Milliseconds()+1)
			}
		}
		args[at] = (len(args) - at - 1) / 2
	}
	return names, args
}

// againFound counts the outcomes of applying again.
type againFound struct {
	back int // tickets
	owed int // tickets without room
	lost []lostTicket
}

// lostTicket is a ticket whose changes cannot be applied again, as the key or the id is in use. why is nil where no ticket has
// the id.
type lostTicket struct {
	id  ticket.ID
	why error
}

// count takes up the reply of again.lua.
func (r *recall) count(found *againFound, tickets []keptTicket, reply []any) {
	if len(reply) > 0 && reply[0] == "full" {
		found.owed++
	}
	for i := range tickets {
		older := ticket.Revision(0)
		tickets[i].status = 0 // without a status in the reply: this daemon had applied the changes before
		if i+1 < len(reply) {
			tickets[i].status, older = againStatus(reply[i+1])
		}
		if older > 0 {
			if err := r.setAside(&tickets[i], older); err != nil {
				found.lost = append(found.lost, lostTicket{tickets[i].id, err})
			}
		}
		switch tickets[i].status {
		case againNoRoom, againRequest:
			found.owed++
		case againBack:
			found.back++
		case againForeign:
			_ = r.foreign(tickets[i].id) // reported
			found.lost = append(found.lost, lostTicket{id: tickets[i].id})
		case againTaken:
			if older == 0 { // a create whose id belongs to another ticket
				found.lost = append(found.lost, lostTicket{id: tickets[i].id})
			}
		case againStray:
			found.lost = append(found.lost, lostTicket{id: tickets[i].id})
		}
	}
}

var errNoAside = errors.New("the store has no place for changes that cannot be applied again")

// setAside keeps the acknowledged changes of a ticket from before the ticket with the same id was created. Merged changes stay
// merged.
func (r *recall) setAside(t *keptTicket, created ticket.Revision) error {
	if r.opts.Aside == nil {
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
	return r.opts.Aside(&m, time.UnixMicro(int64(at)))
}

// againStatus reads the status of one ticket in a reply of again.lua.
func againStatus(reply any) (status int64, older ticket.Revision) {
	text, is := reply.(string)
	if !is {
		status, _ = reply.(int64)
		return status, 0
	}
	_, _ = fmt.Sscan(text, &status, &older)
	return status, older
}

// tellAgain logs the outcomes of applying again, except where no change was missing.
func (r *recall) tellAgain(found *againFound) {
	if found.back > 0 {
		r.opts.Log.Warn().Int("tickets", found.back).
			Msg("Redis lost acknowledged changes in a fail-over or a restart: the changes are applied again")
	}
	for _, l := range found.lost {
		r.opts.Log.Error().Err(l.why).Int64("ticket", int64(l.id)).
			Msg("Redis lost acknowledged changes of a ticket, and another ticket or program uses the id now: the changes are lost")
	}
}

// owing returns copies of up to n tickets of about so many bytes that have not been applied again, without the first few, in the
// order of their ids, and the generation to which the tickets are to be applied.
func (k *kept) owing(but, n, bytes int) (tickets []keptTicket, generation int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, of := range []*list.List{k.order, k.flushed} {
		for front := of.Front(); front != nil && len(tickets) < n && bytes > 0; front = front.Next() {
			if t, _ := front.Value.(*keptTicket); t.generation >= k.generation {
				continue
			} else if but > 0 {
				but--
			} else {
				c := *t
				c.fields, c.requests = slices.Clone(t.fields), slices.Clone(t.requests)
				tickets = append(tickets, c)
				bytes -= t.bytes
			}
		}
	}
	slices.SortFunc(tickets, func(a, b keptTicket) int { return cmp.Compare(a.id, b.id) })
	return tickets, k.generation
}

// applied notes which copies of tickets have been applied again under a generation.
func (k *kept) applied(tickets []keptTicket, generation int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range tickets {
		c := &tickets[i]
		switch t := k.tickets[c.id]; {
		case t == nil, t.late > c.version, c.status == againNoRoom:
		case c.status == againRequest:
			t.whole = generation + 1
		default:
			t.generation = generation
		}
	}
}

// paid notes that no change is owed any more, unless the partition was replaced meanwhile.
func (k *kept) paid(generation int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.generation == generation {
		k.owed = false
	}
}

// forget drops all kept changes of tickets.
func (k *kept) forget(ids []ticket.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		if t := k.tickets[id]; t != nil {
			k.remove(t)
		}
	}
}
