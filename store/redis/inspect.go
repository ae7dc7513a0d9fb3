package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// Inspect returns what somebody should change about this Redis, each with the reason and the fix; nothing where it is
// fit to keep what MySQL does not have yet. It needs no more than INFO, so it works where CONFIG is forbidden.
func Inspect(ctx context.Context, client goredis.UniversalClient) ([]string, error) {
	cluster, several := client.(*goredis.ClusterClient)
	if !several {
		text, err := client.Info(ctx).Result()
		if err != nil {
			return nil, wrap("inspect", err)
		}
		info := parseInfo(text)
		found := warnings(info)
		if info["cluster_enabled"] == "1" {
			found = append(found, "Redis is a node of a cluster, which refuses what lies on its other nodes; name the nodes in "+
				"redis.cluster instead of redis.addr")
		}
		return found, nil
	}
	var mu sync.Mutex
	var found []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		text, err := master.Info(ctx).Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, warning := range warnings(parseInfo(text)) {
			found = append(found, warning+" (on "+master.Options().Addr+")")
		}
		return nil
	})
	slices.Sort(found)
	return found, wrap("inspect", err)
}

func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			info[name] = value
		}
	}
	return info
}

func warnings(info map[string]string) []string {
	var found []string
	if policy := info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		found = append(found, fmt.Sprintf("Redis' maxmemory-policy is %s: it may throw away tickets that MySQL does not have "+
			"yet; set maxmemory-policy to volatile-lru or noeviction", policy))
	}
	if info["aof_enabled"] == "0" {
		found = append(found, "Redis' append-only file is off: a crash of Redis loses what MySQL does not have yet; "+
			"set appendonly yes")
	}
	if role := info["role"]; role != "" && role != "master" {
		found = append(found, fmt.Sprintf("Redis is a %s: it takes no writes, or loses them; connect to the master", role))
	}
	if info["loading"] == "1" {
		found = append(found, "Redis is loading its data and answers nothing until it is done")
	}
	if info["aof_last_write_status"] == "err" {
		found = append(found, "Redis cannot write its append-only file: look at its log and its disk")
	}
	return found
}
