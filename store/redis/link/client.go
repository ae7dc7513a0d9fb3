package link

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// ClientOptions say how to reach Redis. Sites with the same options share one client.
type ClientOptions struct {
	// Network is "tcp" or "unix", Address host:port or the socket's path; both for a Redis of a fixed address.
	Network, Address string
	// Sentinels (host:port) say where the master called MasterName is. They have a user and password of their own.
	Sentinels                          []string
	MasterName                         string
	SentinelUsername, SentinelPassword string
	// Cluster are nodes (host:port) of a Redis Cluster; the others are learned from them.
	Cluster []string

	// Prefixes are those of the sites' keys, one of which this user may write at least; none stands for an empty one.
	Prefixes []string
	// Unproved says that the server need not do what the store's scripts need: it is only looked at.
	Unproved bool

	Username, Password string
	Database           int // always 0 in a cluster
	// TLS, where it is set, is what connections to Redis and to the sentinels are made with.
	TLS *tls.Config
	// PoolSize is the most connections, to each node of a cluster; zero sizes it for this machine.
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

// Connect makes a client with a watch in it. Redis counts as up until a command fails.
func Connect(o ClientOptions, log zerolog.Logger) (goredis.UniversalClient, *Watch) {
	n := Partitions(len(o.Cluster) > 0)
	w := &Watch{
		log: log, down: make(chan struct{}, 1), since: time.Now(), reasons: make([]error, n), leads: make([]*process, n),
		damped: make([]damping, n), undialled: true, taking: make(chan struct{}, 1),
		prefixes: o.Prefixes, unproved: o.Unproved,
	}
	w.client = newClient(&o, w)
	w.client.AddHook(w)
	return w.client, w
}

// newClient makes a client over a pool of connections, with a watch in it. It dials at the first command and tells the watch of
// each new connection.
//
// Commands are not repeated after a lost reply: a change may have been made, and only a request id makes repeating it safe.
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

// newCluster makes a client of a cluster. MaxRedirects is for the answers that say that a slot has moved; go-redis takes it for
// lost replies too, and would send a change again: the hook in each node's client does not let that through.
func newCluster(o *ClientOptions, w *Watch, dial dialFunc) *goredis.ClusterClient {
	const redirects, pause = 3, 10 * time.Millisecond
	return goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs: o.Cluster, Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		PoolSize: o.PoolSize, MaxRedirects: redirects, MaxRetries: -1, DialerRetries: 1,
		MinRetryBackoff: pause, MaxRetryBackoff: pause,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
		Dialer:                 dial,
		DisableRoutingPolicies: true, // none of them is for a command that is used here
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

// dialer makes connections whose replies are bounded.
func dialer(o *goredis.Options) dialFunc {
	dial := goredis.NewDialer(o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		bounded := &replies{Conn: conn}
		if raw, ok := conn.(syscall.Conn); ok { // with which go-redis sees that the server has closed it
			return &rawReplies{bounded, raw}, nil
		}
		return bounded, nil
	}
}
