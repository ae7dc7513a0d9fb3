package daemon

import (
	"sync"

	"github.com/ticketd/ticketd/protocol"
)

// Connections counts a daemon's open connections, each user's and all, against their limits. One user has three quarters at most,
// so that a pool which keeps all of its own open shuts out neither the other sites' users nor the administrator.
type Connections struct {
	limit, userLimit int

	mu      sync.Mutex
	open    int
	byUser  map[uint32]int
	refused int64
}

// NewConnections allows limit connections at a time, at least one.
func NewConnections(limit int) *Connections {
	return &Connections{limit: limit, userLimit: limit - limit/4, byUser: map[uint32]int{}}
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
	switch {
	case c.open >= c.limit:
		c.refused++
		return protocol.Closing(protocol.CodeOverloaded, "%d connections are open, which is daemon.max_connections: try again later",
			c.limit)
	case c.byUser[user] >= c.userLimit:
		c.refused++
		return protocol.Closing(protocol.CodeOverloaded, "%d connections of one user are open, three quarters of "+
			"daemon.max_connections: try again later", c.userLimit)
	}
	c.open++
	c.byUser[user]++
	return nil
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
