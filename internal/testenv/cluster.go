package testenv

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// ClusterNodeTimeout is how long a node of a [Cluster] may be silent before the other nodes vote the node out.
const ClusterNodeTimeout = time.Second

// The shape of a [Cluster].
const (
	clusterMasters = 3
	clusterNodes   = 2 * clusterMasters
)

// Cluster is a private Redis Cluster on free ports of 127.0.0.1: three masters with a replica each.
type Cluster struct {
	redisNodes

	password string
}

// StartCluster starts a Redis Cluster in dir. The options Config and Password apply to every node.
func StartCluster(ctx context.Context, dir string, o RedisOptions) (*Cluster, error) {
	cli, err := program("redis-tools", "redis-cli", "valkey-cli")
	if err != nil {
		return nil, err
	}
	c := &Cluster{password: o.Password}
	o.TCP, o.bus = true, true
	o.Config = append([]string{
		"cluster-enabled yes", "cluster-config-file nodes.conf", "repl-diskless-sync-delay 0",
		"cluster-node-timeout " + strconv.FormatInt(ClusterNodeTimeout.Milliseconds(), 10),
	}, o.Config...)
	if o.Password != "" {
		o.Config = append(o.Config, "masterauth "+strconv.Quote(o.Password))
	}
	if err := c.start(ctx, dir, clusterNodes, o); err != nil {
		c.Kill()
		return nil, err
	}
	args := append([]string{"--cluster", "create"}, c.Addrs()...)
	args = append(args, "--cluster-replicas", "1", "--cluster-yes")
	create := exec.CommandContext(ctx, cli, args...)
	if o.Password != "" {
		create.Env = append(create.Environ(), "REDISCLI_AUTH="+o.Password)
	}
	if out, err := create.CombinedOutput(); err != nil {
		c.Kill()
		return nil, fmt.Errorf("redis-cli --cluster create: %w\n%s", err, out)
	}
	if err := settled(ctx, "the cluster", c.Whole); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// NewCluster starts a Redis Cluster for a test and ends the cluster with the test.
func NewCluster(t testing.TB, o RedisOptions) *Cluster {
	t.Helper()
	return newServer(t, "cluster", func(ctx context.Context, dir string) (*Cluster, error) { return StartCluster(ctx, dir, o) })
}

// Client returns a client that is closed with the test.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs(), Password: c.password})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("closing the cluster's client: %v", err)
		}
	})
	return client
}

// Whole returns nil if every node runs, knows of all slots, and has its replicas in step.
func (c *Cluster) Whole(ctx context.Context) error {
	if err := c.agreed(ctx); err != nil {
		return err
	}
	return c.inSync(ctx, clusterNodes-clusterMasters)
}

// agreed says whether every node runs and knows of all slots.
func (c *Cluster) agreed(ctx context.Context) error {
	for _, node := range c.nodes {
		text, err := node.ask(ctx, func(ctx context.Context, r *redis.Client) *redis.StringCmd { return r.ClusterInfo(ctx) })
		if err != nil {
			return err
		}
		if !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_known_nodes:6") {
			return fmt.Errorf("node %s says: %.200s", node.Addr(), text)
		}
	}
	return nil
}

// Linked returns nil if every node runs and knows of all slots, and each master has a replica that can replace the master.
func (c *Cluster) Linked(ctx context.Context) error {
	if err := c.agreed(ctx); err != nil {
		return err
	}
	return c.linked(ctx, clusterNodes-clusterMasters)
}

// ReplicaOf returns a running replica of a master, or nil.
func (c *Cluster) ReplicaOf(ctx context.Context, master *Redis) *Redis {
	for _, node := range c.nodes {
		text, err := node.info(ctx, "replication")
		if err == nil && strings.Contains(text, "master_port:"+strconv.Itoa(master.port)+"\r") {
			return node
		}
	}
	return nil
}

// SharedCluster returns the Redis Cluster of this test process and a unique key prefix. The package must have [Main] as
// TestMain, and the test must not kill, pause or empty a node.
func SharedCluster(t testing.TB) (server *Cluster, prefix string) {
	t.Helper()
	server, n := sharedCluster.get(t)
	return server, fmt.Sprintf("t%d:", n)
}

var sharedCluster = shared[*Cluster]{name: "cluster", begin: func(ctx context.Context, dir string) (*Cluster, error) {
	return StartCluster(ctx, dir, RedisOptions{})
}}
