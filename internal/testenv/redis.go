package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisOptions are the options of a private Redis. The zero value is a Redis without persistence and password.
type RedisOptions struct {
	// Config are further lines of redis.conf, e.g. "maxmemory 10mb" or "appendonly yes".
	Config []string
	// Password is required of clients (requirepass) unless empty.
	Password string
	// TCP makes the server also listen on a free port of 127.0.0.1.
	TCP bool
	// Certificates make that port a TLS port, for clients that show a certificate of the same CA.
	Certificates *Certificates
	// bus says that the port 10,000 above is needed too, for the bus of a Redis Cluster.
	bus bool
}

// Redis is a private Redis server.
type Redis struct {
	process

	socket   string
	port     int
	password string
}

// StartRedis starts a Redis with data and socket in dir.
func StartRedis(ctx context.Context, dir string, o RedisOptions) (*Redis, error) {
	path, err := redisServer()
	if err != nil {
		return nil, err
	}
	socket, err := socketIn(dir, "redis.sock")
	if err != nil {
		return nil, err
	}
	r := &Redis{socket: socket, password: o.Password}
	if o.TCP || o.Certificates != nil {
		if r.port, err = freePort(ctx, o.bus); err != nil {
			return nil, err
		}
	}
	lines := []string{
		"unixsocket " + socket, "unixsocketperm 700", "bind 127.0.0.1",
		"dir " + filepath.Dir(socket), "save \"\"", "daemonize no", "databases 16",
	}
	if c := o.Certificates; c != nil {
		lines = append(lines, "port 0", "tls-port "+strconv.Itoa(r.port), "tls-auth-clients yes", "tls-ca-cert-file "+c.CA,
			"tls-cert-file "+c.ServerCert, "tls-key-file "+c.ServerKey)
	} else {
		lines = append(lines, "port "+strconv.Itoa(r.port))
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

// NewRedis starts a Redis for a test and ends the server with the test.
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

// Options are go-redis options for the server's Unix socket.
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
		return err // dialling a missing socket makes the client log and retry
	}
	text, err := r.info(ctx, "persistence")
	if err == nil && !strings.Contains(text, "\nloading:0") {
		err = errors.New("redis loads its data")
	}
	return err
}

// info reads a section of the server's INFO.
func (r *Redis) info(ctx context.Context, section string) (string, error) {
	return r.ask(ctx, func(ctx context.Context, client *redis.Client) *redis.StringCmd { return client.Info(ctx, section) })
}

// ask sends a command on a new connection.
func (r *Redis) ask(ctx context.Context, send func(context.Context, *redis.Client) *redis.StringCmd) (string, error) {
	if r.PID() == 0 {
		return "", fmt.Errorf("asking redis: %w", errEnded)
	}
	options := r.Options()
	options.MaxRetries, options.DialerRetries, options.PoolSize, options.ContextTimeoutEnabled = -1, 1, 1, true
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	text, err := send(ctx, client).Result()
	if err != nil {
		return "", fmt.Errorf("asking redis: %w", err)
	}
	return text, nil
}

// redisServer finds the server: the program in TICKETD_TEST_REDIS, or the installed program.
func redisServer() (string, error) {
	if path := os.Getenv("TICKETD_TEST_REDIS"); path != "" {
		if !executable(path) {
			return "", fmt.Errorf("TICKETD_TEST_REDIS=%s is no program", path)
		}
		return path, nil
	}
	return program("redis-server", "redis-server", "valkey-server")
}

// The ports of the tests' servers begin at lowestPort, below the kernel's ports for outgoing connections, or such a
// connection could take the port before the server. The bus of a Redis Cluster's node is on the port busAbove above the
// node's.
const lowestPort, busAbove = 10_000, 10_000

// freePort returns a free TCP port of 127.0.0.1; with bus, the port of the bus is free, too. Another test may take the port
// first; the start then fails with an error.
func freePort(ctx context.Context, bus bool) (int, error) {
	const tries = 100
	var config net.ListenConfig
	free := func(port int) error {
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return err
		}
		return listener.Close()
	}
	var last error
	for range tries {
		port := lowestPort + rand.IntN(busAbove)
		if last = free(port); last == nil && bus {
			last = free(port + busAbove)
		}
		if last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a free port: none in %d tries: %w", tries, last)
}

func writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("writing a server's configuration: %w", err)
	}
	return nil
}
