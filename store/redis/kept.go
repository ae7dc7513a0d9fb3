package redis

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// The bounds of the acknowledged changes that a daemon keeps of a site for a fail-over; see [Store.Replaced].
const (
	// keepFor is by how much a kept change may be older than the newest kept change of its partition. A replica lags by
	// milliseconds, a replica that is being copied anew by seconds. While Redis is unreachable no change is acknowledged, so no
	// kept change grows too old.
	keepFor = 30 * time.Second
	// keepBytes bounds the kept changes of a site; in a cluster each partition has its share. Beyond this bound the daemon drops
	// first the tickets that the next place has, then the tickets with the oldest changes.
	keepBytes = 16 << 20
	// keepRequests bounds the kept request ids of a ticket.
	keepRequests = 1024
	// The size of a kept ticket, field and request id without their text, in bytes, measured roughly and rounded up.
	ticketBytes, fieldBytes, requestBytes = 320, 80, 96
)

// kept is the latest acknowledged values of a daemon in one partition, by ticket. A daemon also keeps values that the next place
// has: a Redis that went back to an earlier state shows older values, and a client that increases such a value undoes an
// acknowledged change.
type kept struct {
	mu      sync.Mutex
	tickets map[ticket.ID]*keptTicket
	order   *list.List // tickets of which the next place may lack a change, by their latest change
	flushed *list.List // the other tickets, by when the next place had all of the ticket
	bytes   int
	limit   int

	// reserved are request ids that are tied to a ticket in this partition, see reserve.go; by age.
	reserved []keptReservation

	run        string          // of the process that the partition was on last; empty before the first change of process
	generation int             // counts the changes of process, and the fillings of an empty Redis
	owed       bool            // a kept change has not been applied to the process that serves the partition now
	doubt      bool            // that process may not have been reconciled, see doubt.go
	base       ticket.Revision // with which that process began
	settled    int             // the generation, plus one, in which all hosts are known to have applied their changes
	// since when claims wait for other daemons, and in which generation
	waiting   time.Time
	waitingIn int
}

// keptTicket is a ticket's merged changes, with a revision for each field.
type keptTicket struct {
	id      ticket.ID
	at      time.Time
	element *list.Element
	flushed bool            // the next place has all of the ticket: the element is in that list
	arrived ticket.Revision // the next place has the ticket up to this revision
	bytes   int
	// generation is the oldest generation in which one of the changes was sent, or up to which all changes have been applied
	// again.
	generation int
	version    int   // counts the changes
	whole      int   // a generation, plus one, in which only request ids are missing
	status     int64 // of again.lua, in a copy
	late       int   // the version of the newest change that was sent under an earlier generation than the partition's

	gone    ticket.Revision // of a deletion; 0 without a deletion
	created ticket.Revision // of a create, kept or not, that the next place did not have, as its mark _d:_new; 0 without a create
	born    ticket.Revision // when the oldest kept change was accepted, by the clocks
	made    bool            // a create made the ticket
	full    bool            // made by a create of the whole ticket
	// replayed says that one of the changes came from the journal, so that its revision may be below the revision of an earlier
	// change.
	replayed bool
	fields   []keptField
	// requests are request ids under which the ticket was changed, by age.
	requests []keptRequest
}

type keptField struct {
	ticket.Field

	revision ticket.Revision
}

// keptRequest is a request as apply.lua remembers the request.
type keptRequest struct {
	id, digest string
	revision   ticket.Revision
	expires    time.Time
	at         time.Time
}

// keptReservation is a reservation as reserve.lua remembers the reservation.
type keptReservation struct {
	id, digest string
	ticket     ticket.ID
	expires    time.Time
	at         time.Time
}

// sending returns the generation under which changes are sent, and whether a change is owed before.
func (k *kept) sending() (generation int, owed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.generation, k.owed
}

// add keeps the outcomes of a batch's mutations that were sent under a generation. late says that a process that does not serve
// the partition any more may have made the mutations.
func (k *kept) add(now time.Time, generation int, b *batch, outcomes []store.Outcome) (late bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range b.mutations {
		if outcomes[i].Err == nil && outcomes[i].Revision != 0 {
			k.change(now, generation, &b.mutations[i], &outcomes[i], b.entries != nil).follow(b.creates[i])
		}
	}
	k.trim(now)
	late = generation != k.generation
	k.owed = k.owed || late
	return late
}

// change keeps a mutation. The caller holds the lock.
func (k *kept) change(now time.Time, generation int, m *store.Mutation, o *store.Outcome, replayed bool) *keptTicket {
	t := k.tickets[o.ID]
	if t == nil {
		t = &keptTicket{id: o.ID, born: min(m.Dated(), o.Revision), generation: generation, bytes: ticketBytes}
		k.tickets[o.ID] = t
		k.bytes += t.bytes
	}
	k.move(t, false)
	t.at = now
	t.version++
	if generation < k.generation {
		t.generation, t.late = min(t.generation, generation), t.version
	}
	before := t.bytes
	t.merge(m, o.Revision, replayed)
	t.replayed = t.replayed || replayed
	if m.RequestID != "" {
		t.ask(keptRequest{
			id: m.RequestID, digest: m.Digest, revision: o.Revision, at: now,
			expires: now.Add(time.Duration(memory(m)) * time.Millisecond),
		})
	}
	k.bytes += t.bytes - before
	return t
}

// ask keeps a request id. A request id that is kept twice counts from the first time.
func (t *keptTicket) ask(r keptRequest) {
	for len(t.requests) > 0 && (len(t.requests) >= keepRequests || r.at.Sub(t.requests[0].at) > keepFor) {
		t.bytes -= t.requests[0].size()
		t.requests[0] = keptRequest{}
		t.requests = t.requests[1:]
	}
	t.requests = append(t.requests, r)
	t.bytes += r.size()
}

func (r *keptRequest) size() int { return requestBytes + len(r.id) + len(r.digest) }

// merge puts a mutation over the ticket's earlier mutations, as apply.lua does.
func (t *keptTicket) merge(m *store.Mutation, revision ticket.Revision, replayed bool) {
	if m.Kind.Creates() {
		t.born, t.made = min(t.born, m.Dated()), true
		t.created = revision
		if since := m.Since(replayed); since > 0 && m.Accepted != store.Unreceived {
			t.created = min(since, t.born)
		}
		t.full = m.Kind == store.Create
	}
	if m.Kind == store.Delete {
		t.gone = revision
		t.drop(func(f *keptField) bool { return f.revision <= revision })
	}
	for _, f := range m.Fields {
		t.put(f, revision)
	}
}

// follow notes a change of a ticket whose create has not arrived. If the create is lost with the daemon that keeps the create,
// the change without this mark would go to the row of another ticket with the same id.
func (t *keptTicket) follow(create ticket.Revision) {
	if create != 0 && t.created == 0 {
		t.created, t.born, t.made = create, min(t.born, create), true
	}
}

func (t *keptTicket) put(f ticket.Field, revision ticket.Revision) {
	for i := range t.fields {
		if have := &t.fields[i]; have.Name == f.Name {
			if have.revision < revision {
				t.bytes += len(f.Value.Text()) - len(have.Value.Text())
				have.Value, have.revision = f.Value.Clone(), revision
			}
			return
		}
	}
	t.fields = append(t.fields, keptField{ticket.Field{Name: f.Name, Value: f.Value.Clone()}, revision})
	t.bytes += fieldBytes + len(f.Name) + len(f.Value.Text())
}

func (t *keptTicket) drop(which func(*keptField) bool) {
	t.fields = slices.DeleteFunc(t.fields, func(f keptField) bool {
		gone := which(&f)
		if gone {
			t.bytes -= fieldBytes + len(f.Name) + len(f.Value.Text())
		}
		return gone
	})
}

// of is the list of a ticket.
func (k *kept) of(t *keptTicket) *list.List {
	if t.flushed {
		return k.flushed
	}
	return k.order
}

// move puts a ticket at the end of a list.
func (k *kept) move(t *keptTicket, flushed bool) {
	if t.element != nil {
		k.of(t).Remove(t.element)
	}
	t.flushed = flushed
	t.element = k.of(t).PushBack(t)
}

// trim drops tickets and reservations beyond the bounds. The caller holds the lock.
func (k *kept) trim(now time.Time) {
	k.trimList(now, k.flushed)
	k.trimList(now, k.order)
	old := 0
	for old < len(k.reserved) && (now.Sub(k.reserved[old].at) > keepFor || len(k.reserved)-old > k.limit/requestBytes/4) {
		old++
	}
	k.reserved = slices.Delete(k.reserved, 0, old)
}

func (k *kept) trimList(now time.Time, of *list.List) {
	for front := of.Front(); front != nil; front = of.Front() {
		t, _ := front.Value.(*keptTicket)
		if now.Sub(t.at) <= keepFor && k.bytes <= k.limit {
			break
		}
		k.remove(t)
	}
}

func (k *kept) remove(t *keptTicket) {
	k.of(t).Remove(t.element)
	delete(k.tickets, t.id)
	k.bytes -= t.bytes
}

// reserve keeps a reservation.
func (k *kept) reserve(r *keptReservation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reserved = append(k.reserved, *r)
}

// arrived notes that the next place has a ticket up to a revision. replaced says that the next place was ahead of the flushed
// change: the kept values are not the newest values and are dropped. Request ids stay, as the next place knows no request id. A
// deletion stays, as the tombstone in Redis refuses later changes.
func (k *kept) arrived(now time.Time, id ticket.ID, revision ticket.Revision, replaced bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tickets[id]
	if t == nil {
		return
	}
	t.arrived = max(t.arrived, revision)
	before := t.bytes
	if replaced {
		t.drop(func(f *keptField) bool { return f.revision <= revision })
	}
	if t.created <= revision {
		t.created, t.full = 0, false
	}
	k.bytes += t.bytes - before
	switch {
	case len(t.requests) == 0 && !t.changes():
		k.remove(t)
	case t.newest() <= revision:
		k.move(t, true)
	}
	k.trimList(now, k.flushed)
}

// unflushed returns up to n tickets with changes that the next place may lack, the oldest first.
func (k *kept) unflushed(n int) []ticket.ID {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids := make([]ticket.ID, 0, n)
	for e := k.order.Front(); e != nil && len(ids) < n; e = e.Next() {
		if t, _ := e.Value.(*keptTicket); t.changes() {
			ids = append(ids, t.id)
		}
	}
	return ids
}

// newest is the highest revision of a ticket's kept changes.
func (t *keptTicket) newest() ticket.Revision {
	newest := max(t.gone, t.created)
	for i := range t.fields {
		newest = max(newest, t.fields[i].revision)
	}
	return newest
}

// changes says whether a ticket has kept changes besides request ids.
func (t *keptTicket) changes() bool { return len(t.fields) > 0 || t.gone != 0 || t.created != 0 }

// replaced notes that another process serves the partition, or that an empty Redis was filled anew; false where the process is
// known.
func (k *kept) replaced(run string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if run != "" && run == k.run {
		return false
	}
	if run != "" {
		k.run, k.doubt = run, true
	}
	k.generation++
	k.owed = true
	return true
}

// owes says whether a kept change of a ticket has not been applied again.
func (k *kept) owes(id ticket.ID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tickets[id]
	return t != nil && t.generation < k.generation && t.whole != k.generation+1
}

// reservations returns a copy of the kept reservations.
func (k *kept) reservations() []keptReservation {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.reserved)
}
