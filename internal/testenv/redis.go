package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisOptions say what a private Redis is to be like. The zero value is a Redis without persistence and password.
type RedisOptions struct {
	// Config are further lines of redis.conf, e.g. "maxmemory 10mb" or "appendonly yes".
	Config []string
	// Password is asked of clients (requirepass) where it is not empty.
	Password string
	// TCP makes it listen on a free port of 127.0.0.1 besides its socket.
	TCP bool
}

// Redis is a private Redis server.
type Redis struct {
	process

	socket   string
	port     int
	password string
}

// StartRedis starts a Redis whose data and socket lie in dir.
func StartRedis(ctx context.Context, dir string, o RedisOptions) (*Redis, error) {
	path, err := program("redis-server", "redis-server", "valkey-server")
	if err != nil {
		return nil, err
	}
	socket, err := socketIn(dir, "redis.sock")
	if err != nil {
		return nil, err
	}
	r := &Redis{socket: socket, password: o.Password}
	if o.TCP {
		if r.port, err = freePort(ctx); err != nil {
			return nil, err
		}
	}
	lines := []string{
		"unixsocket " + socket, "unixsocketperm 700", "bind 127.0.0.1", "port " + strconv.Itoa(r.port),
		"dir " + filepath.Dir(socket), "save \"\"", "daemonize no", "databases 16",
	}
	if o.Password != "" {
		lines = append(lines, "requirepass "+strconv.Quote(o.Password))
	}
	config := filepath.Join(dir, "redis.conf")
	if err := writeFile(config, strings.Join(append(lines, o.Config...), "\n")+"\n"); err != nil {
		return nil, err
	}
	r.command = command{
		name: "redis", path: path, args: []string{config}, dir: dir, socket: socket,
		orphan: syscall.SIGKILL, ready: r.ping,
	}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// NewRedis starts a Redis for one test and ends it with the test.
func NewRedis(t testing.TB, o RedisOptions) *Redis {
	t.Helper()
	return newServer(t, "redis", func(ctx context.Context, dir string) (*Redis, error) { return StartRedis(ctx, dir, o) })
}

// Socket is the path of the server's Unix socket.
func (r *Redis) Socket() string { return r.socket }

// Addr is the server's TCP address, "127.0.0.1:port"; empty without [RedisOptions.TCP].
func (r *Redis) Addr() string {
	if r.port == 0 {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port))
}

// Options connect to the server over its Unix socket, as go-redis wants them.
func (r *Redis) Options() *redis.Options {
	return &redis.Options{Network: "unix", Addr: r.socket, Password: r.password}
}

// Client returns a client that is closed with the test.
func (r *Redis) Client(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(r.Options())
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("closing the redis client: %v", err)
		}
	})
	return client
}

func (r *Redis) ping(ctx context.Context) error {
	if _, err := os.Stat(r.socket); err != nil {
		return err // dialling a socket that is not there makes the client log and retry
	}
	options := r.Options()
	options.MaxRetries, options.PoolSize, options.ContextTimeoutEnabled = -1, 1, true
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis ping: %w", err)
	}
	return nil
}

// freePort returns a TCP port of 127.0.0.1 that nobody listens on. Somebody else may take it before the server does;
// the start then fails and says so.
func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	if err := listener.Close(); err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	return strconv.Atoi(port)
}

func writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("writing a server's configuration: %w", err)
	}
	return nil
}
