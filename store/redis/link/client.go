package link

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/health"
)

// ClientOptions configure the connection to Redis. Sites with the same options share a client.
type ClientOptions struct {
	// Network is "tcp" or "unix", Address host:port or the socket's path, for a Redis at a fixed address.
	Network, Address string
	// Sentinels (host:port) know the master called MasterName. Sentinels have a user and password of their own.
	Sentinels                          []string
	MasterName                         string
	SentinelUsername, SentinelPassword string
	// Cluster are some nodes (host:port) of a Redis Cluster; the client learns the other nodes.
	Cluster []string

	// Prefixes are the prefixes of the sites' keys. The user must be allowed to write under at least one prefix. An empty list
	// stands for the empty prefix.
	Prefixes []string
	// Unproved says that the server need not do all that the store's scripts need: the client only reads.
	Unproved bool

	Username, Password string
	Database           int // always 0 in a cluster
	// TLS secures connections to Redis and to the sentinels. Optional.
	TLS *tls.Config
	// PoolSize is the most connections, to each node of a cluster; zero means a size that fits this machine.
	PoolSize                               int
	DialTimeout, ReadTimeout, WriteTimeout time.Duration
}

// quiet discards the lines that go-redis prints: the errors that go-redis returns say the same.
type quiet struct{}

// Printf implements go-redis' logger.
func (quiet) Printf(context.Context, string, ...any) {}

func init() { //nolint:gochecknoinits // go-redis has one logger for the process, to be set before any client
	goredis.SetLogger(quiet{})
}

// Connect makes a client with a watch. Redis counts as up until a command fails.
func Connect(o ClientOptions, log zerolog.Logger) (goredis.UniversalClient, *Watch) {
	n := Partitions(len(o.Cluster) > 0)
	w := &Watch{
		log: log, down: make(chan struct{}, 1), since: time.Now(), reasons: make([]error, n), leads: make([]*process, n),
		damped: make([]health.Damping, n), undialled: true, taking: make(chan struct{}, 1),
		prefixes: o.Prefixes, unproved: o.Unproved,
	}
	for p := range w.damped {
		w.damped[p].Longest = lastHold
	}
	w.client = newClient(&o, w)
	w.client.AddHook(w)
	return w.client, w
}

// newClient makes a client over a pool of connections, with a watch. The client dials at the first command and tells the watch of
// each new connection.
//
// The client repeats no command after a lost reply: Redis may have made the change, and only a request id makes a repetition
// safe.
func newClient(o *ClientOptions, w *Watch) goredis.UniversalClient {
	dial := dialer(&goredis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLS})
	switch {
	case len(o.Cluster) > 0:
		return newCluster(o, w, dial)
	case len(o.Sentinels) > 0:
		return goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: o.MasterName, SentinelAddrs: o.Sentinels,
			SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
			Username: o.Username, Password: o.Password, DB: o.Database, TLSConfig: o.TLS,
			PoolSize: o.PoolSize, MinIdleConns: 1, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
			OnConnect: w.Connected, Dialer: dial,
		})
	default:
		return goredis.NewClient(&goredis.Options{
			Network: o.Network, Addr: o.Address, Username: o.Username, Password: o.Password, DB: o.Database, TLSConfig: o.TLS,
			PoolSize: o.PoolSize, MinIdleConns: 1, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
			OnConnect: w.Connected, Dialer: dial,
		})
	}
}

// newCluster makes a client of a cluster. MaxRedirects is meant for the answer that a slot has moved; go-redis uses MaxRedirects
// for lost replies, too, and would send a change again: the hook in each node's client prevents a second send.
func newCluster(o *ClientOptions, w *Watch, dial dialFunc) *goredis.ClusterClient {
	const redirects, pause = 3, 10 * time.Millisecond
	return goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs: o.Cluster, Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		PoolSize: o.PoolSize, MaxRedirects: redirects, MaxRetries: -1, DialerRetries: 1,
		MinRetryBackoff: pause, MaxRetryBackoff: pause,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
		Dialer:                 dial,
		DisableRoutingPolicies: true, // no such policy concerns a command of the store
		NewClient: func(node *goredis.Options) *goredis.Client {
			hook := &nodeHook{watch: w}
			node.OnConnect = hook.connected
			client := goredis.NewClient(node)
			hook.client = client
			client.AddHook(hook)
			return client
		},
	})
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer makes connections whose replies are bounded, over sockets that block where there is no TLS.
func dialer(o *goredis.Options) dialFunc {
	dial := goredis.NewDialer(o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if conn, err = blocking(conn); err != nil {
			return nil, err
		}
		bounded := &replies{Conn: conn}
		if raw, ok := conn.(syscall.Conn); ok { // go-redis sees through a syscall.Conn that the server has closed the connection
			return &rawReplies{bounded, raw}, nil
		}
		return bounded, nil
	}
}
