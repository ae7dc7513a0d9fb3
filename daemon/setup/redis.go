package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/wpconfig"
	"github.com/ticketd/ticketd/store/redis/link"
)

// lookTimeout bounds the questions to one Redis.
const lookTimeout = time.Second

// foundRedis is a Redis that answers.
type foundRedis struct {
	Addr, Password string
	// Database and Prefix are where the site's keys are, once they are chosen.
	Database int
	Prefix   string
	// Notes are what should be changed about it.
	Notes []string

	info    map[string]string // what Redis says of itself
	open    func(database int) *goredis.Client
	trouble error // the last that was met
}

// findRedis takes the Redis that was named, or the first that answers; nil is none.
func findRedis(ctx context.Context, o *Options, wp *wpconfig.Config) (*foundRedis, error) {
	if o.Redis == "none" {
		o.Say("Redis: none, as you asked; the journal keeps pending changes")
		return nil, nil //nolint:nilnil // none is an answer
	}
	cache := cacheAddr(&wp.Redis)
	places := o.Places.Redis
	if cache != "" {
		places = append([]string{cache}, places...)
	}
	if o.Redis != "" {
		places = []string{o.Redis}
	}
	for _, addr := range places {
		if path, unix := strings.CutPrefix(addr, "unix://"); unix && o.Redis == "" {
			if _, err := os.Stat(path); err != nil {
				continue
			}
		}
		password := ""
		if addr == cache {
			password = wp.Redis.Password
		}
		found, err := lookAt(ctx, addr, password)
		if err == nil {
			for _, note := range found.Notes {
				o.Say("note: %s", note)
			}
			return found, nil
		}
		if o.Redis != "" {
			return nil, fmt.Errorf("--redis %s: %w", addr, err)
		}
		o.Say("Redis at %s is not used: %v", addr, err)
	}
	o.Say("Redis: none was found; the journal keeps pending changes, which is all that one host needs")
	return nil, nil //nolint:nilnil // none is an answer
}

// formerDatabase is the database of the same Redis in the configuration that is replaced: what waits in it would be left behind,
// and other hosts that use it would be on their own.
func formerDatabase(file, addr string) (database int, named bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	var former struct {
		Redis struct {
			Addr string `toml:"addr"`
			DB   int    `toml:"db"`
		} `toml:"redis"`
	}
	if toml.Unmarshal(text, &former) != nil || former.Redis.Addr != addr {
		return 0, false
	}
	return former.Redis.DB, true
}

// cacheAddr is where an object cache has its Redis; empty where none is configured.
func cacheAddr(r *wpconfig.Redis) string {
	switch {
	case r.Path != "":
		return "unix://" + r.Path
	case strings.HasPrefix(r.Host, "/"):
		return "unix://" + r.Host
	case r.Host != "" && r.Port != "":
		return net.JoinHostPort(r.Host, r.Port)
	case r.Host != "":
		return net.JoinHostPort(r.Host, "6379")
	default:
		return ""
	}
}

// lookAt asks a Redis whether it is fit.
func lookAt(ctx context.Context, addr, password string) (*foundRedis, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	network, address := (&config.Redis{Addr: addr}).Network()
	open := func(database int) *goredis.Client {
		return goredis.NewClient(&goredis.Options{
			Network: network, Addr: address, Password: password, DB: database, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: lookTimeout, ReadTimeout: lookTimeout, ContextTimeoutEnabled: true,
		})
	}
	client := open(0)
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, err
	}
	info, err := link.Info(ctx, client)
	if err != nil {
		return nil, err
	}
	switch {
	case info["role"] != "master":
		return nil, fmt.Errorf("it is a %s, which takes no writes; name its master with --redis", info["role"])
	case strings.HasPrefix(info["maxmemory_policy"], "allkeys-"):
		return nil, fmt.Errorf("its maxmemory-policy is %s, which throws away tickets that MySQL does not have yet; set volatile-lru",
			info["maxmemory_policy"])
	case info["cluster_enabled"] == "1":
		return nil, errors.New("it is a node of a Redis Cluster; write the configuration by hand, see docs/configure.md")
	}
	if err := link.Probe(ctx, client, false); err != nil {
		return nil, fmt.Errorf("it is a Redis %s that refuses what ticketd needs (Redis %s or later, with all commands that scripts "+
			"write and read with): %w", info["redis_version"], link.Least, err)
	}
	notes, err := link.Inspect(ctx, client)
	if err != nil {
		return nil, err
	}
	return &foundRedis{Addr: addr, Password: password, Notes: notes, info: info, open: open}, nil
}
