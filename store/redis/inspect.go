package redis

import (
	"context"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Inspect returns what somebody should change about this Redis, each with the reason and the fix; nothing where it is
// fit to keep what MySQL does not have yet. It needs no more than INFO, so it works where CONFIG is forbidden.
func Inspect(ctx context.Context, client goredis.UniversalClient) ([]string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, wrap("inspect", err)
	}
	return warnings(parseInfo(text)), nil
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
