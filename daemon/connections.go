package daemon

import (
	"sync"

	"github.com/ticketd/ticketd/protocol"
)

const (
	// reservedConnections are root's and the daemon's own user's, so that an operator can always ask what is going on; a quarter of
	// all where those are few.
	reservedConnections = 8
	// floorConnections are kept free for each user that may use a site, whatever the others hold; less where half of all
	// connections would not do for that.
	floorConnections = 8
)

// Connections counts a daemon's open connections, each user's and all, against their limits. Only users of sites get any. A user
// who holds many leaves a share to the others that may come, and one who comes finds some free.
type Connections struct {
	limit    int
	reserved int

	mu      sync.Mutex
	open    int
	byUser  map[uint32]int
	owners  map[uint32]bool // they may have the reserved ones, too
	users   map[uint32]bool // those that may use a site
	refused int64
}

// NewConnections allows limit connections at a time, at least one. The owners are root and the daemon's user.
func NewConnections(limit int, owners ...uint32) *Connections {
	c := &Connections{
		limit: limit, reserved: min(reservedConnections, limit/4), byUser: map[uint32]int{}, owners: map[uint32]bool{},
	}
	for _, user := range owners {
		c.owners[user] = true
	}
	return c
}

// SetUsers says which users may use a site, as far as that is known before they come.
func (c *Connections) SetUsers(users []uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = make(map[uint32]bool, len(users))
	for _, user := range users {
		if !c.owners[user] {
			c.users[user] = true
		}
	}
}

// Open returns how many are open now.
func (c *Connections) Open() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.open)
}

// Limit returns how many may be open at a time.
func (c *Connections) Limit() int64 { return int64(c.limit) }

// Refused returns how many were one too many.
func (c *Connections) Refused() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// acquire counts one more connection of a user, or says why there may be none.
func (c *Connections) acquire(user uint32) *protocol.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if refusal := c.refusal(user); refusal != nil {
		c.refused++
		return refusal
	}
	c.open++
	c.byUser[user]++
	return nil
}

// refusal says why a user may have no further connection. It is called with mu held.
func (c *Connections) refusal(user uint32) *protocol.Error {
	if c.owners[user] {
		if c.open >= c.limit {
			return protocol.Closing(protocol.CodeOverloaded,
				"all of daemon.max_connections (%d) are open: try again later", c.limit)
		}
		return nil
	}
	forUsers := c.limit - c.reserved
	if c.open >= forUsers {
		return protocol.Closing(protocol.CodeOverloaded,
			"%d of daemon.max_connections (%d) are open, and the rest is root's and the daemon's: try again later", c.open, c.limit)
	}
	known := len(c.users)
	if !c.users[user] {
		known++ // it is one by its group
	}
	floor := max(1, min(floorConnections, forUsers/(2*known)))
	held := c.byUser[user]
	if held < floor {
		return nil // what is kept free is kept free for this
	}
	// One share is left to the next user, where there is one that may come.
	if share := max(floor, forUsers/min(c.connected(user)+1, known)); held >= share {
		return protocol.Closing(protocol.CodeOverloaded, "%d connections of user %d are open, its share of daemon.max_connections "+
			"(%d): try again later", held, user, c.limit)
	}
	if kept := c.kept(user, floor); c.open+kept >= forUsers {
		return protocol.Closing(protocol.CodeOverloaded, "%d of daemon.max_connections (%d) are open, and %d are kept free for other "+
			"users: try again later", c.open, c.limit, kept)
	}
	return nil
}

// connected counts the users that have a connection, with the one who asks for one.
func (c *Connections) connected(user uint32) int {
	n := 0
	for other := range c.byUser {
		if other != user && !c.owners[other] {
			n++
		}
	}
	return n + 1
}

// kept counts the connections that other users may still open below their floor.
func (c *Connections) kept(user uint32, floor int) int {
	n := 0
	for other := range c.users {
		if other != user {
			n += max(0, floor-c.byUser[other])
		}
	}
	return n
}

// release counts one connection less.
func (c *Connections) release(user uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.byUser[user]--; c.byUser[user] == 0 {
		delete(c.byUser, user)
	}
}
