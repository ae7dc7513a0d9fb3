package daemon

import (
	"sync"

	"github.com/ticketd/ticketd/protocol"
)

const (
	// reservedConnections are for root and the daemon's own user, so that an operator always gets an answer; at most a quarter
	// of all connections.
	reservedConnections = 8
	// floorConnections stay free for each user that may use a site, whatever other users hold; fewer if all floors together
	// would take more than half of all connections.
	floorConnections = 8
)

// Connections counts the daemon's open connections, in total and per user, against their limits. Only users of sites get
// connections. A user with many connections leaves a share to other users, and a user without connections finds some free.
type Connections struct {
	limit    int
	reserved int

	mu      sync.Mutex
	open    int
	byUser  map[uint32]int
	owners  map[uint32]bool // may use the reserved connections, too
	users   map[uint32]bool // may use a site
	refused int64
}

// NewConnections allows limit connections at a time, at least 1. The owners are root and the daemon's user.
func NewConnections(limit int, owners ...uint32) *Connections {
	c := &Connections{
		limit: limit, reserved: min(reservedConnections, limit/4), byUser: map[uint32]int{}, owners: map[uint32]bool{},
	}
	for _, user := range owners {
		c.owners[user] = true
	}
	return c
}

// SetUsers sets the users that may use a site, as far as known before they connect.
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

// Open returns the number of open connections.
func (c *Connections) Open() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.open)
}

// Limit returns the highest number of open connections.
func (c *Connections) Limit() int64 { return int64(c.limit) }

// Refused returns the number of connections refused so far.
func (c *Connections) Refused() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// acquire counts a new connection of a user, or returns the refusal.
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

// refusal returns why a user may have no further connection. The caller holds mu.
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
		known++ // may use a site through its group
	}
	floor := max(1, min(floorConnections, forUsers/(2*known)))
	held := c.byUser[user]
	if held < floor {
		return nil // the floor is kept free for this user
	}
	// A share is left for the next user, if there may be a next user.
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

// connected counts the users with a connection, and the asking user.
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

// release counts the end of a connection.
func (c *Connections) release(user uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.byUser[user]--; c.byUser[user] == 0 {
		delete(c.byUser, user)
	}
}
