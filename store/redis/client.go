package redis

import (
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// ClientOptions say how to reach Redis. Sites with the same options share one client.
type ClientOptions struct {
	// Network is "tcp" or "unix", Address host:port or the socket's path.
	Network, Address   string
	Username, Password string
	Database           int
	// PoolSize is the most connections; zero sizes it for this machine.
	PoolSize                               int
	DialTimeout, ReadTimeout, WriteTimeout time.Duration
}

// NewClient makes a client over a pool of connections. It dials at the first command.
//
// Commands are not repeated after a lost reply: a change may have been made, and only a request id makes repeating it safe.
func NewClient(o ClientOptions) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Network: o.Network, Addr: o.Address, Username: o.Username, Password: o.Password, DB: o.Database,
		PoolSize: o.PoolSize, MinIdleConns: 1, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
	})
}
