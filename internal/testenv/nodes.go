package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisNodes are several Redis servers that belong together.
type redisNodes struct{ nodes []*Redis }

// start starts n more servers, each in its own folder.
func (r *redisNodes) start(ctx context.Context, dir string, n int, o RedisOptions) error {
	for range n {
		folder := filepath.Join(dir, strconv.Itoa(len(r.nodes)))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("starting Redis nodes: %w", err)
		}
		node, err := StartRedis(ctx, folder, o)
		if err != nil {
			return err
		}
		r.nodes = append(r.nodes, node)
	}
	return nil
}

// Nodes are all the servers, running or not.
func (r *redisNodes) Nodes() []*Redis { return r.nodes }

// Addrs are the TCP addresses of the nodes.
func (r *redisNodes) Addrs() []string {
	addrs := make([]string, len(r.nodes))
	for i, node := range r.nodes {
		addrs[i] = node.Addr()
	}
	return addrs
}

// Masters are the running nodes that call themselves masters.
func (r *redisNodes) Masters(ctx context.Context) []*Redis {
	var masters []*Redis
	for _, node := range r.nodes {
		if text, err := node.info(ctx, "replication"); err == nil && strings.Contains(text, "role:master") {
			masters = append(masters, node)
		}
	}
	return masters
}

// inSync returns nil if n nodes are replicas with all data that their masters had at the call. Being connected is not enough:
// after a full copy a replica counts as connected before it has the writes made meanwhile.
func (r *redisNodes) inSync(ctx context.Context, n int) error {
	states := make([]map[string]string, len(r.nodes))
	offsets := make(map[string]int64) // of the masters, by port; asked first
	for _, masters := range []bool{true, false} {
		for i, node := range r.nodes {
			if states[i]["role"] == "master" {
				continue
			}
			text, err := node.info(ctx, "replication")
			if err != nil {
				return err
			}
			states[i] = infoFields(text)
			if masters && states[i]["role"] == "master" {
				offsets[strconv.Itoa(node.port)] = number(states[i]["master_repl_offset"])
			}
		}
	}
	replicas := 0
	for _, state := range states {
		offset, known := offsets[state["master_port"]]
		if known && state["master_link_status"] == "up" && number(state["slave_repl_offset"]) >= offset {
			replicas++
		}
	}
	if replicas != n {
		return fmt.Errorf("%d of %d replicas have all data of their masters", replicas, n)
	}
	return nil
}

// linked returns nil if n nodes are connected replicas, so that a dead master can be replaced. The replicas may lack the
// latest writes.
func (r *redisNodes) linked(ctx context.Context, n int) error {
	linked := 0
	for _, node := range r.nodes {
		text, err := node.info(ctx, "replication")
		if err != nil {
			return err
		}
		if infoFields(text)["master_link_status"] == "up" {
			linked++
		}
	}
	if linked != n {
		return fmt.Errorf("%d of %d replicas are connected to their masters", linked, n)
	}
	return nil
}

// Cut stops the replication from a master until mend is called: the replicas authenticate with a password, and a master
// without a password refuses that.
func (r *redisNodes) Cut(ctx context.Context, master *Redis) (mend func(ctx context.Context) error, err error) {
	var replicas []*Redis
	mend = func(ctx context.Context) error { return configure(ctx, replicas, "masterauth", "") }
	for _, node := range r.nodes {
		text, err := node.info(ctx, "replication")
		if err == nil && infoFields(text)["master_port"] == strconv.Itoa(master.port) {
			replicas = append(replicas, node)
		}
	}
	if err := configure(ctx, replicas, "masterauth", "none"); err != nil {
		return mend, err
	}
	for _, node := range replicas {
		if _, err := node.ask(ctx, func(ctx context.Context, client *redis.Client) *redis.StringCmd {
			return redis.NewStringResult("", client.Do(ctx, "client", "kill", "type", "master").Err())
		}); err != nil {
			return mend, err
		}
	}
	return mend, nil
}

func configure(ctx context.Context, nodes []*Redis, name, value string) error {
	for _, node := range nodes {
		if _, err := node.ask(ctx, func(ctx context.Context, client *redis.Client) *redis.StringCmd {
			return redis.NewStringResult(client.ConfigSet(ctx, name, value).Result())
		}); err != nil {
			return err
		}
	}
	return nil
}

// infoFields takes the answer to INFO apart.
func infoFields(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			fields[name] = value
		}
	}
	return fields
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Stop ends all nodes.
func (r *redisNodes) Stop() error {
	var errs []error
	for _, node := range r.nodes {
		errs = append(errs, node.Stop())
	}
	return errors.Join(errs...)
}

// Kill ends all nodes at once.
func (r *redisNodes) Kill() {
	for _, node := range r.nodes {
		node.Kill()
	}
}

// Log returns the logs of all nodes.
func (r *redisNodes) Log() string {
	var text strings.Builder
	for i, node := range r.nodes {
		fmt.Fprintf(&text, "--- node %d, %s\n%s\n", i, node.Addr(), node.Log())
	}
	return text.String()
}

// settled asks until check is content or ctx ends.
func settled(ctx context.Context, what string, check func(context.Context) error) error {
	const pause = 20 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}
