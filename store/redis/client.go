package redis

import (
	"context"
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

// quiet swallows what go-redis prints by itself: all of it is in the errors that it returns.
type quiet struct{}

// Printf implements go-redis' logger.
func (quiet) Printf(context.Context, string, ...any) {}

func init() { //nolint:gochecknoinits // go-redis has one logger for the process, to be set before any client
	goredis.SetLogger(quiet{})
}

// newClient makes a client over a pool of connections. It dials at the first command and calls connected for each new
// connection.
//
// Commands are not repeated after a lost reply: a change may have been made, and only a request id makes repeating it safe.
func newClient(o ClientOptions, connected func(context.Context, *goredis.Conn) error) *goredis.Client {
	return goredis.NewClient(&goredis.Options{
		Network: o.Network, Addr: o.Address, Username: o.Username, Password: o.Password, DB: o.Database,
		PoolSize: o.PoolSize, MinIdleConns: 1, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
		OnConnect: connected,
	})
}
