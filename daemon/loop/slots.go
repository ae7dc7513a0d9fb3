package loop

import "time"

// client is a connection that the loop serves.
type client[G any] struct {
	token token
	fd    int
	guest G
	// watched says that the poller knows the descriptor.
	watched bool
	// owed says that a reply is under way: the connection is not read before the reply is sent. more says that the connection was
	// readable meanwhile.
	owed, more bool
	// ended says that the client has finished sending.
	ended bool

	// idle clients are in a list, longest idle first.
	idleSince  time.Time
	prev, next *client[G]
}

// slots holds the clients by token. A slot that is used again has a new generation.
type slots[G any] struct {
	all  []slot[G]
	free []int
	live int
	// the list of idle clients
	first, last *client[G]
}

type slot[G any] struct {
	generation uint32
	client     *client[G]
}

// put gives a descriptor a slot.
func (s *slots[G]) put(fd int, guest G) *client[G] {
	at := len(s.all)
	if n := len(s.free); n > 0 {
		at, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.all = append(s.all, slot[G]{})
	}
	s.live++
	c := &client[G]{token: tokenOf(at, s.all[at].generation), fd: fd, guest: guest}
	s.all[at].client = c
	return c
}

func tokenOf(slot int, generation uint32) token {
	return token(generation)<<32 | token(uint32(slot)) //nolint:gosec // slots are few
}

// get returns the client of a token; nil if the client has gone.
func (s *slots[G]) get(t token) *client[G] {
	at := t.slot()
	if at >= len(s.all) || s.all[at].generation != t.generation() {
		return nil
	}
	return s.all[at].client
}

// remove frees the slot of a client.
func (s *slots[G]) remove(c *client[G]) {
	s.busy(c)
	at := c.token.slot()
	s.all[at] = slot[G]{generation: s.all[at].generation + 1}
	s.free = append(s.free, at)
	s.live--
}

// idle puts a client at the end of the list of idle clients.
func (s *slots[G]) idle(c *client[G], now time.Time) {
	s.busy(c)
	c.idleSince, c.prev = now, s.last
	if s.last != nil {
		s.last.next = c
	} else {
		s.first = c
	}
	s.last = c
}

// busy takes a client out of the list of idle clients, if the list has the client.
func (s *slots[G]) busy(c *client[G]) {
	if c.prev == nil && c.next == nil && s.first != c {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		s.last = c.prev
	}
	c.prev, c.next = nil, nil
}
