package requests

import (
	"math"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Table remembers requests. The zero value is empty. It is not safe for concurrent use.
type Table struct {
	pages [][]slot // slot n is pages[n/pageSlots][n%pageSlots]; slot 0 is never used: 0 means no slot
	used  int32    // the highest slot that was ever used
	free  int32    // the first free slot up to used, linked by next
	count int

	heads    []int32 // by the key's first bits: the first slot of a list linked by next
	byExpiry []int32 // a heap: the first request to forget comes first
	first    int32   // the slot whose Put or Moved is the oldest
	last     int32
}

// slot is a request: 64 bytes.
type slot struct {
	key           Key
	ticket        ticket.ID
	revision      ticket.Revision
	digest        Digest
	expires       uint32 // in s since 1970
	segment       uint32 // of a log; segment numbers stay below 2^32
	place         int32  // in byExpiry, or isFree
	next          int32
	before, after int32 // in the order of Put and Moved
}

const (
	// pageSlots is how many slots are made at a time.
	pageSlots = 1024
	// isFree is the place of a slot that is not used.
	isFree = -1
)

func (t *Table) at(n int32) *slot { return &t.pages[n/pageSlots][n%pageSlots] }

// Len counts the requests, including expired requests that the table has not forgotten yet.
func (t *Table) Len() int { return t.count }

// Find returns a request that has not expired.
func (t *Table) Find(now time.Time, key Key) (Request, bool) {
	n := t.find(key)
	if n == 0 || over(t.at(n).expires, now) {
		return Request{}, false
	}
	return t.request(n), true
}

// Put remembers a request, replacing an older request of the same id, and forgets expired requests. The request's record is in
// the given segment of a log; segments only grow.
func (t *Table) Put(now time.Time, r Request, segment uint64) {
	if old := t.find(r.Key); old != 0 {
		t.forget(old)
	}
	t.Expire(now)
	n := t.take()
	*t.at(n) = slot{
		key: r.Key, ticket: r.Ticket, revision: r.Revision, digest: r.Digest, expires: seconds(r.Expires),
		segment: uint32(segment), //nolint:gosec // see slot
	}
	t.count++
	if t.count > len(t.heads) {
		t.rehash()
	} else {
		t.link(n)
	}
	t.byExpiry = append(t.byExpiry, n)
	t.up(len(t.byExpiry) - 1)
	t.push(n)
}

// Expire forgets expired requests.
func (t *Table) Expire(now time.Time) {
	for len(t.byExpiry) > 0 && over(t.at(t.byExpiry[0]).expires, now) {
		t.forget(t.byExpiry[0])
	}
}

// ForgetFirst forgets the request whose Put is the oldest.
func (t *Table) ForgetFirst() {
	if t.first != 0 {
		t.forget(t.first)
	}
}

// Needed returns the first segment of the log that holds a request; false if the table is empty.
func (t *Table) Needed() (segment uint64, some bool) {
	if t.first == 0 {
		return 0, false
	}
	return uint64(t.at(t.first).segment), true
}

// In returns up to limit requests of the segment, if [Table.Needed] names that segment.
func (t *Table) In(segment uint64, limit int) (requests []Request) {
	for n := t.first; n != 0 && uint64(t.at(n).segment) == segment && len(requests) < limit; n = t.at(n).after {
		requests = append(requests, t.request(n))
	}
	return requests
}

// Moved notes that the requests are now in the newest segment.
func (t *Table) Moved(requests []Request, segment uint64) {
	for i := range requests {
		if n := t.find(requests[i].Key); n != 0 {
			t.unchain(n)
			t.at(n).segment = uint32(segment) //nolint:gosec // see slot
			t.push(n)
		}
	}
}

// seconds converts a time to a slot's form.
func seconds(at time.Time) uint32 {
	s := at.Unix()
	if at.Nanosecond() > 0 {
		s++
	}
	return uint32(min(max(s, 0), math.MaxUint32))
}

func over(expires uint32, now time.Time) bool { return int64(expires) <= now.Unix() }

func (t *Table) request(n int32) Request {
	s := t.at(n)
	return Request{
		Key: s.key, Ticket: s.ticket, Revision: s.revision, Digest: s.digest, Expires: time.Unix(int64(s.expires), 0),
	}
}

// take returns an unused slot.
func (t *Table) take() int32 {
	if n := t.free; n != 0 {
		t.free = t.at(n).next
		return n
	}
	t.used++
	if int(t.used/pageSlots) >= len(t.pages) {
		t.pages = append(t.pages, make([]slot, pageSlots))
	}
	return t.used
}

// forget frees a slot.
func (t *Table) forget(n int32) {
	t.unlink(n)
	t.unheap(n)
	t.unchain(n)
	*t.at(n) = slot{next: t.free, place: isFree}
	t.free = n
	t.count--
}

// head returns the beginning of the list for a key. Keys are hashes.
func (t *Table) head(key *Key) *int32 {
	bits := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
	return &t.heads[bits%uint32(len(t.heads))] //nolint:gosec // fewer than 2^31
}

func (t *Table) find(key Key) int32 {
	if len(t.heads) == 0 {
		return 0
	}
	n := *t.head(&key)
	for n != 0 && t.at(n).key != key {
		n = t.at(n).next
	}
	return n
}

func (t *Table) link(n int32) {
	head := t.head(&t.at(n).key)
	t.at(n).next, *head = *head, n
}

func (t *Table) unlink(n int32) {
	at := t.head(&t.at(n).key)
	for *at != n {
		at = &t.at(*at).next
	}
	*at = t.at(n).next
}

// rehash doubles the lists. A million requests take about 10 ms.
func (t *Table) rehash() {
	t.heads = make([]int32, max(2*len(t.heads), 64))
	for n := int32(1); n <= t.used; n++ {
		if t.at(n).place != isFree {
			t.link(n)
		}
	}
}

// push appends a slot to the order.
func (t *Table) push(n int32) {
	t.at(n).before, t.at(n).after = t.last, 0
	if t.last == 0 {
		t.first = n
	} else {
		t.at(t.last).after = n
	}
	t.last = n
}

func (t *Table) unchain(n int32) {
	before, after := t.at(n).before, t.at(n).after
	if before == 0 {
		t.first = after
	} else {
		t.at(before).after = after
	}
	if after == 0 {
		t.last = before
	} else {
		t.at(after).before = before
	}
}

// unheap removes a slot from the heap.
func (t *Table) unheap(n int32) {
	at, end := int(t.at(n).place), len(t.byExpiry)-1
	t.byExpiry[at] = t.byExpiry[end]
	t.byExpiry = t.byExpiry[:end]
	if at < end {
		t.at(t.byExpiry[at]).place = int32(at) //nolint:gosec // fewer than 2^31
		t.up(at)
		t.down(at)
	}
}

func (t *Table) earlier(a, b int) bool {
	return t.at(t.byExpiry[a]).expires < t.at(t.byExpiry[b]).expires
}

func (t *Table) swap(a, b int) {
	t.byExpiry[a], t.byExpiry[b] = t.byExpiry[b], t.byExpiry[a]
	t.at(t.byExpiry[a]).place, t.at(t.byExpiry[b]).place = int32(a), int32(b) //nolint:gosec // fewer than 2^31
}

// up moves an element of the heap towards the front until the order holds; down, towards the end.
func (t *Table) up(at int) {
	t.at(t.byExpiry[at]).place = int32(at) //nolint:gosec // fewer than 2^31
	for at > 0 && t.earlier(at, (at-1)/2) {
		t.swap(at, (at-1)/2)
		at = (at - 1) / 2
	}
}

func (t *Table) down(at int) {
	for {
		child := 2*at + 1
		if child >= len(t.byExpiry) {
			return
		}
		if child+1 < len(t.byExpiry) && t.earlier(child+1, child) {
			child++
		}
		if !t.earlier(child, at) {
			return
		}
		t.swap(child, at)
		at = child
	}
}
