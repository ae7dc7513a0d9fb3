package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinels are three sentinels over a master and two replicas, all on free ports of 127.0.0.1.
type Sentinels struct {
	redisNodes

	sentinels []*sentinel
}

// sentinel is a Redis Sentinel process.
type sentinel struct {
	process

	addr     string
	password string
}

// SentinelMaster is the name of the master that [Sentinels] watch; SentinelDownAfter is how long the master may be silent
// before its replacement.
const (
	SentinelMaster    = "tickets"
	SentinelDownAfter = 2 * time.Second // with less, sentinels on a busy machine replace running masters
)

// SentinelOptions are the options of the servers.
type SentinelOptions struct {
	// Redis are the options of the master and the replicas.
	Redis RedisOptions
	// Password is required of the sentinels' clients unless empty.
	Password string
}

// The shape of [Sentinels].
const (
	sentinelReplicas = 2
	sentinelCount    = 3
	sentinelQuorum   = 2
)

// StartSentinels starts a master, its replicas and the sentinels in dir.
func StartSentinels(ctx context.Context, dir string, o SentinelOptions) (*Sentinels, error) {
	s := &Sentinels{}
	if err := s.start(ctx, dir, o); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func (s *Sentinels) start(ctx context.Context, dir string, o SentinelOptions) error {
	o.Redis.TCP = true
	o.Redis.Config = append([]string{"repl-diskless-sync-delay 0"}, o.Redis.Config...)
	if o.Redis.Password != "" {
		o.Redis.Config = append(o.Redis.Config, "masterauth "+strconv.Quote(o.Redis.Password))
	}
	if err := s.redisNodes.start(ctx, dir, 1, o.Redis); err != nil {
		return err
	}
	replica := o.Redis
	replica.Config = append(slices.Clip(replica.Config),
		"replicaof "+strings.Replace(s.nodes[0].Addr(), ":", " ", 1))
	if err := s.redisNodes.start(ctx, dir, sentinelReplicas, replica); err != nil {
		return err
	}
	for i := range sentinelCount {
		one, err := startSentinel(ctx, filepath.Join(dir, "sentinel"+strconv.Itoa(i)), s.nodes[0], o)
		if err != nil {
			return err
		}
		s.sentinels = append(s.sentinels, one)
	}
	return settled(ctx, "the sentinels", s.Whole)
}

// startSentinel starts a sentinel. A running sentinel rewrites its configuration.
func startSentinel(ctx context.Context, dir string, master *Redis, o SentinelOptions) (*sentinel, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("starting a sentinel: %w", err)
	}
	path, err := redisServer()
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx, false)
	if err != nil {
		return nil, err
	}
	s := &sentinel{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), password: o.Password}
	host, masterPort, _ := strings.Cut(master.Addr(), ":")
	lines := []string{
		"bind 127.0.0.1", "port " + strconv.Itoa(port), "dir " + dir, "daemonize no", "protected-mode no",
		fmt.Sprintf("sentinel monitor %s %s %s %d", SentinelMaster, host, masterPort, sentinelQuorum),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", SentinelMaster, SentinelDownAfter.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s 5000", SentinelMaster),
	}
	if o.Redis.Password != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %s", SentinelMaster, strconv.Quote(o.Redis.Password)))
	}
	if o.Password != "" {
		lines = append(lines, "requirepass "+strconv.Quote(o.Password), "sentinel sentinel-pass "+strconv.Quote(o.Password))
	}
	config := filepath.Join(dir, "sentinel.conf")
	if err := writeFile(config, strings.Join(lines, "\n")+"\n"); err != nil {
		return nil, err
	}
	s.command = command{
		name: "sentinel", path: path, args: []string{config, "--sentinel"}, dir: dir, orphan: syscall.SIGKILL,
		ready: func(ctx context.Context) error {
			_, err := s.master(ctx)
			return err
		},
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// master asks the sentinel for the state of the master.
func (s *sentinel) master(ctx context.Context) (map[string]string, error) {
	client := redis.NewSentinelClient(&redis.Options{
		Addr: s.addr, Password: s.password, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
	})
	defer func() { _ = client.Close() }()
	return client.Master(ctx, SentinelMaster).Result()
}

// NewSentinels starts sentinels for a test and ends all servers with the test.
func NewSentinels(t testing.TB, o SentinelOptions) *Sentinels {
	t.Helper()
	return newServer(t, "sentinels", func(ctx context.Context, dir string) (*Sentinels, error) {
		return StartSentinels(ctx, dir, o)
	})
}

// SentinelAddrs are the TCP addresses of the sentinels.
func (s *Sentinels) SentinelAddrs() []string {
	var addrs []string
	for _, one := range s.sentinels {
		addrs = append(addrs, one.addr)
	}
	return addrs
}

// InSync returns nil if both replicas are connected to the master. The sentinels may notice ten seconds later.
func (s *Sentinels) InSync(ctx context.Context) error { return s.inSync(ctx, sentinelReplicas) }

// Linked returns nil if both replicas are connected to the master, so that a replica can replace the master.
func (s *Sentinels) Linked(ctx context.Context) error { return s.linked(ctx, sentinelReplicas) }

// Whole returns nil if the master has its replicas in step, and every sentinel knows all servers.
func (s *Sentinels) Whole(ctx context.Context) error {
	if err := s.inSync(ctx, sentinelReplicas); err != nil {
		return err
	}
	for _, one := range s.sentinels {
		state, err := one.master(ctx)
		if err != nil {
			return err
		}
		if state["flags"] != "master" || state["num-slaves"] != strconv.Itoa(sentinelReplicas) ||
			state["num-other-sentinels"] != strconv.Itoa(sentinelCount-1) {
			return fmt.Errorf("sentinel %s knows %s, %s replicas, %s other sentinels",
				one.addr, state["flags"], state["num-slaves"], state["num-other-sentinels"])
		}
	}
	return nil
}

// Stop ends all servers.
func (s *Sentinels) Stop() error {
	var errs []error
	for _, one := range s.sentinels {
		errs = append(errs, one.Stop())
	}
	return errors.Join(append(errs, s.redisNodes.Stop())...)
}

// Kill ends all servers at once.
func (s *Sentinels) Kill() {
	for _, one := range s.sentinels {
		one.Kill()
	}
	s.redisNodes.Kill()
}

// Log returns the logs of all servers.
func (s *Sentinels) Log() string {
	var text strings.Builder
	text.WriteString(s.redisNodes.Log())
	for _, one := range s.sentinels {
		text.WriteString("--- sentinel " + one.addr + "\n" + one.Log() + "\n")
	}
	return text.String()
}
