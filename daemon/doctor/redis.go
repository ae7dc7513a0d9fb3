package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/store/redis/link"
)

// The bounds of a Redis that is fit.
const (
	slowPing = 5 * time.Millisecond // a request waits for two of these at least
	pings    = 5
	nearFull = 0.85
	full     = 0.97
	allSlots = 16384
	skewedBy = 2 * time.Second
)

// redis looks at Redis.
func (e *exam) redis(ctx context.Context) {
	if !e.Config.HasRedis() {
		e.ok("redis", "reach", "", "none is configured: the journal of this host keeps pending changes")
		return
	}
	ctx, cancel := context.WithTimeout(link.Probing(ctx), checkTimeout)
	defer cancel()
	client, err := boot.OpenRedis(e.Config)
	if err != nil {
		e.fail("redis", "reach", "", short(err), "correct what it names in [redis]")
		return
	}
	defer func() { _ = client.Close() }()
	e.redisSocket()
	if err := client.Ping(ctx).Err(); err != nil {
		e.unreachable(err)
		return
	}
	e.latency(ctx, client)
	e.rights(ctx, client)
	if nameless, err := link.Nameless(ctx, client); err == nil && nameless != "" {
		e.warn("redis", "fail-over", "", nameless, "ACL SETUSER NAME +info; where INFO is renamed, take that back")
	} else if err == nil {
		e.ok("redis", "fail-over", "", "Redis says which process it is, so that what a fail-over loses is applied again")
	}
	info, err := link.Info(ctx, client)
	if err != nil {
		e.warn("redis", "info", "", "INFO is refused, so that nothing more can be said: "+short(err),
			"ACL SETUSER for ticketd's user: +info")
		return
	}
	e.ok("redis", "reach", "", "Redis "+info["redis_version"]+" answers")
	e.redisServer(info)
	e.memory(info)
	e.persistence(info)
	if info["cluster_enabled"] == "1" {
		e.slots(ctx, client)
	}
	for _, name := range e.Config.SiteNames() {
		e.strays(ctx, name)
	}
}

// strays counts the hashes that another program wrote under a site's names.
func (e *exam) strays(ctx context.Context, name string) {
	site := e.Config.Sites[name]
	places, err := boot.OpenPlaces(e.Config, site)
	if err != nil {
		return // the database's part says so
	}
	defer func() { _ = places.Close() }()
	n, err := boot.CountStrays(ctx, places.Store.Store)
	switch {
	case err != nil:
		e.warn("redis", "hashes", name, "the keys cannot be counted: "+short(err), "ACL SETUSER for ticketd's user: +scan +hexists")
	case n.Aside > 0:
		e.warn("redis", "hashes", name, boot.AsideText(n.Aside, site.KeyPrefix), fmt.Sprintf(
			"redis-cli --scan --pattern '%sticket:aside:*', then HGETALL and UNLINK", site.KeyPrefix))
	}
	switch {
	case err != nil:
	case n.Waiting > 0:
		e.warn("redis", "hashes", name, fmt.Sprintf("%d hashes of another program have names of tickets (%sticket:…): the list does "+
			"not show them, and MySQL does not have them", n.Waiting, site.KeyPrefix), "ticketd import redis --site "+name)
	case n.Aside == 0:
		e.ok("redis", "hashes", name, "every hash under the names of tickets is ticketd's")
	}
}

// redisSocket looks whether the daemon's user may open Redis' socket, which root always may.
func (e *exam) redisSocket() {
	network, path := e.Config.Redis.Network()
	if network != "unix" {
		return
	}
	info, err := os.Stat(path)
	if err != nil || mayReach(path, info, e.uid, 2) {
		return // that it is missing shows when it is used
	}
	if gid := strconv.FormatUint(uint64(groupOf(info)), 10); slices.Contains(e.groups, gid) && info.Mode().Perm()&0o020 != 0 {
		return
	}
	group, name := groupName(groupOf(info)), userName(e.uid)
	e.fail("redis", "socket", "", fmt.Sprintf("%s may not open %s (%04o, group %s)", name, path, info.Mode().Perm(), group),
		fmt.Sprintf("usermod -aG %s %s && systemctl restart ticketd; unixsocketperm 770 in redis.conf where the mode is 0700 or 0755",
			group, name))
}

func (e *exam) unreachable(err error) {
	text := short(err)
	switch {
	case strings.Contains(text, "NOAUTH"):
		e.fail("redis", "password", "", "Redis asks for a password", "set redis.password_file, and redis.username where it has ACL "+
			"users")
	case strings.Contains(text, "WRONGPASS"):
		e.fail("redis", "password", "", "Redis does not take the user or the password", "correct redis.username or "+
			"redis.password_file; "+
			"ACL LIST in redis-cli shows the users")
	default:
		e.fail("redis", "reach", "", "Redis does not answer: "+text, "start it (systemctl start redis-server), or correct redis.addr")
	}
}

func (e *exam) latency(ctx context.Context, client goredis.UniversalClient) {
	took := make([]time.Duration, 0, pings)
	for range pings {
		start := time.Now()
		if client.Ping(ctx).Err() != nil {
			return // what is the matter shows in the next question
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	median := took[len(took)/2].Round(time.Microsecond)
	if median > slowPing {
		e.warn("redis", "latency", "", fmt.Sprintf("a PING takes %v, and every write takes at least as long", median),
			"put Redis nearer, or set ack = \"journal\" for the site: this host's disk answers then, and Redis follows")
		return
	}
	e.ok("redis", "latency", "", fmt.Sprintf("a PING takes %v", median))
	if now, err := client.Time(ctx).Result(); err == nil {
		e.skew("redis", "", "Redis", time.Until(now))
	}
}

// skew judges the clock of a server that is ahead of this host's by so much.
func (e *exam) skew(area, site, server string, by time.Duration) {
	if by.Abs() > skewedBy {
		e.warn(area, "clock", site, fmt.Sprintf("the clock of %s differs from this host's by %v", server, by.Round(time.Millisecond)),
			"let both be set by NTP (systemctl enable --now systemd-timesyncd): after a fail-over clocks decide what is newer")
		return
	}
	e.ok(area, "clock", site, "this host's clock and that of "+server+" agree")
}

// rights tries everything that the daemon's scripts do.
func (e *exam) rights(ctx context.Context, client goredis.UniversalClient) {
	err := link.Probe(ctx, client, len(e.Config.Redis.Cluster) > 0, boot.Prefixes(e.Config)...)
	switch {
	case err == nil:
		e.ok("redis", "rights", "", "it does everything that ticketd's scripts need")
	case strings.HasPrefix(err.Error(), "READONLY"):
		e.fail("redis", "role", "", "this Redis is a replica and takes no writes", "set redis.addr to the master's")
	case strings.Contains(err.Error(), "NOPERM"), strings.Contains(err.Error(), "can't run this command"):
		e.fail("redis", "rights", "", "Redis' user may not do what ticketd does: "+short(err),
			"ACL SETUSER NAME ~* +@read +@write +@scripting +@connection +@transaction +info +cluster")
	case strings.Contains(err.Error(), "CLUSTERDOWN"):
		e.fail("redis", "cluster", "", "the cluster does not serve all slots: "+short(err),
			"redis-cli --cluster check HOST:PORT, then --cluster fix")
	default:
		e.fail("redis", "rights", "", "Redis refuses what ticketd needs: "+short(err),
			"take back the rename-command of what it names, or install Redis "+link.Least+" or later, or Valkey")
	}
}

func (e *exam) redisServer(info map[string]string) {
	v := info["redis_version"]
	if below, known := versionBelow(v, link.LeastMajor, link.LeastMinor); !known {
		e.unsaid("version", "redis_version")
	} else if below {
		e.fail("redis", "version", "", "Redis "+v+" lacks commands that ticketd uses", "install "+link.Least+" or later, or Valkey")
	}
	if role := info["role"]; role == "" {
		e.unsaid("role", "role")
	} else if role != "master" {
		e.fail("redis", "role", "", "this Redis is a "+role+": it takes no writes, or loses them", "set redis.addr to the master's")
	} else {
		e.ok("redis", "role", "", "it is a master with "+info["connected_slaves"]+" replicas")
	}
	if info["loading"] == "1" {
		e.warn("redis", "loading", "", "Redis is loading its data and answers nothing until it is done", "wait")
	}
}

// unsaid says that INFO lacks a fact, as that of some managed servers does.
func (e *exam) unsaid(check, fact string) {
	e.warn("redis", check, "", "Redis does not say it: its INFO has no "+fact,
		"ask whoever runs this Redis, or look at its configuration")
}

func (e *exam) memory(info map[string]string) {
	policy := info["maxmemory_policy"]
	switch {
	case policy == "":
		e.unsaid("maxmemory-policy", "maxmemory_policy")
	case strings.HasPrefix(policy, "allkeys-"):
		e.fail("redis", "maxmemory-policy", "", policy+" lets Redis throw away tickets that MySQL does not have yet",
			"redis-cli CONFIG SET maxmemory-policy volatile-lru, and the same in redis.conf")
	default:
		e.ok("redis", "maxmemory-policy", "", policy+" throws away nothing that is dirty")
	}
	used, noUse := strconv.ParseFloat(info["used_memory"], 64)
	limit, noLimit := strconv.ParseFloat(info["maxmemory"], 64)
	if noUse != nil || noLimit != nil {
		e.unsaid("memory", "used_memory and maxmemory")
		return
	}
	switch share := used / limit; {
	case limit <= 0:
		e.ok("redis", "memory", "", info["used_memory_human"]+" are used, without a limit")
	case share > full && policy == "noeviction":
		e.fail("redis", "memory", "", fmt.Sprintf("%.0f %% of maxmemory are used, and nothing is evicted: writes go to the journal",
			100*share), "raise maxmemory in redis.conf, or set maxmemory-policy volatile-lru")
	case share > nearFull && policy == "noeviction":
		e.warn("redis", "memory", "", fmt.Sprintf("%.0f %% of maxmemory are used, and nothing is evicted", 100*share),
			"raise maxmemory in redis.conf, or set maxmemory-policy volatile-lru")
	default:
		e.ok("redis", "memory", "", fmt.Sprintf("%.0f %% of maxmemory are used", 100*share))
	}
}

func (e *exam) persistence(info map[string]string) {
	switch {
	case info["aof_enabled"] == "":
		e.unsaid("persistence", "aof_enabled")
	case info["aof_enabled"] == "1" && info["aof_last_write_status"] == "err":
		e.fail("redis", "persistence", "", "Redis cannot write its append-only file", "look at its log and its disk")
	case info["aof_enabled"] == "1":
		e.ok("redis", "persistence", "", "the append-only file is on")
	case info["rdb_last_bgsave_status"] == "err":
		e.fail("redis", "persistence", "", "Redis' last snapshot failed, and it refuses writes then unless told otherwise",
			"look at its log and its disk; set appendonly yes")
	default:
		e.warn("redis", "persistence", "", "the append-only file is off: a crash of Redis loses what MySQL does not have yet",
			"redis-cli CONFIG SET appendonly yes, and appendonly yes in redis.conf")
	}
}

func (e *exam) slots(ctx context.Context, client goredis.UniversalClient) {
	text, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		e.warn("redis", "cluster", "", "CLUSTER INFO is refused: "+short(err), "ACL SETUSER for ticketd's user: +cluster")
		return
	}
	state, slots := "", 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "cluster_state":
			state = value
		case "cluster_slots_ok":
			slots, _ = strconv.Atoi(value)
		}
	}
	if state != "ok" || slots != allSlots {
		e.fail("redis", "cluster", "", fmt.Sprintf("the cluster is %s, %d of its %d slots are served", state, slots, allSlots),
			"redis-cli --cluster check HOST:PORT, then --cluster fix")
		return
	}
	e.ok("redis", "cluster", "", "all slots are served")
}
