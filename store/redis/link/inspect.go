package link

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed process.lua
var processSource string

var processScript = goredis.NewScript(processSource)

// Inspect returns the settings of this Redis that an operator should change, each with the reason and the fix; an empty list
// where Redis can keep changes that MySQL does not have yet. Inspect needs INFO alone, so Inspect works where CONFIG is
// forbidden; a forbidden INFO is one of the findings. processes names the processes of all masters: another text says that a
// master was restarted or replaced. It is empty where INFO is forbidden.
func Inspect(ctx context.Context, client goredis.UniversalClient) (found []string, processes string, err error) {
	cluster, several := client.(*goredis.ClusterClient)
	if !several {
		info, found, err := inspect(ctx, client)
		if err != nil {
			return nil, "", Wrap("inspect", err)
		}
		if info["cluster_enabled"] == "1" {
			found = append(found, "Redis is a node of a cluster, which refuses keys of the other nodes; name the nodes in "+
				"redis.cluster instead of redis.addr")
		}
		return found, info["run_id"], nil
	}
	var mu sync.Mutex
	var runs []string
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		info, warnings, err := inspect(ctx, master)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		runs = append(runs, info["run_id"])
		for _, warning := range warnings {
			found = append(found, warning+" (on "+master.Options().Addr+")")
		}
		return nil
	})
	slices.Sort(found)
	slices.Sort(runs)
	if slices.Contains(runs, "") {
		runs = nil
	}
	return found, strings.Join(runs, " "), Wrap("inspect", err)
}

// inspect inspects one server.
func inspect(ctx context.Context, client interface {
	goredis.Cmdable
	goredis.Scripter
},
) (info map[string]string, found []string, err error) {
	nameless, err := Nameless(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	text, err := client.Info(ctx).Result()
	if err != nil && !IsRefusal(err) {
		return nil, nil, err
	}
	info = ParseInfo(text)
	found = warnings(info)
	if nameless != "" {
		found = append(found, nameless)
	}
	return info, found, nil
}

// Nameless says, with the reason and the fix, that scripts cannot tell a server's process from another process, so that no change
// is applied again after a fail-over; empty where scripts can.
func Nameless(ctx context.Context, client goredis.Scripter) (string, error) {
	run, err := processScript.Run(ctx, client, nil).Text()
	switch {
	case err != nil && !IsRefusal(err):
		return "", err
	case err != nil:
		return "Redis refuses INFO (" + err.Error() + "), " + namelessText, nil //nolint:nilerr // it is what the caller is told
	case run == "":
		return "Redis' INFO has no run_id, " + namelessText, nil
	}
	return "", nil
}

const namelessText = "so that ticketd cannot tell one Redis process from another: after a fail-over, acknowledged changes that " +
	"Redis lost are not applied again; ACL SETUSER for ticketd's user: +info"

// Info returns the values of INFO by their names.
func Info(ctx context.Context, client goredis.UniversalClient) (map[string]string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, Wrap("info", err)
	}
	return ParseInfo(text), nil
}

// ParseInfo makes a map of the text that INFO returns.
func ParseInfo(text string) map[string]string {
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
		found = append(found, fmt.Sprintf("Redis' maxmemory-policy is %s: Redis may evict tickets that MySQL does not have "+
			"yet; set maxmemory-policy to volatile-lru or noeviction", policy))
	}
	if info["aof_enabled"] == "0" {
		found = append(found, "Redis' append-only file is off: a crash of Redis loses changes that MySQL does not have yet; "+
			"set appendonly yes")
	}
	if role := info["role"]; role != "" && role != "master" {
		found = append(found, fmt.Sprintf("Redis is a %s, which takes no writes, or loses writes; connect to the master", role))
	}
	if info["loading"] == "1" {
		found = append(found, "Redis is loading its data and answers no command until the data is loaded")
	}
	if info["aof_last_write_status"] == "err" {
		found = append(found, "Redis cannot write its append-only file: check Redis' log and disk")
	}
	return found
}
