package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/store/redis/link"
)

// The bounds of a healthy Redis.
const (
	slowPing = 5 * time.Millisecond // a request waits for two round trips at least
	pings    = 5
	nearFull = 0.85
	full     = 0.97
	allSlots = 16384
	skewedBy = 2 * time.Second
	// connections are how many further connections to Redis are compared.
	connections = 6
)

func checkRedis(ctx context.Context, e *exam) {
	if !e.Config.HasRedis() {
		e.ok("redis", "reach", "", "no Redis is configured: this host's journal keeps pending changes")
		return
	}
	ctx, cancel := context.WithTimeout(link.Probing(ctx), checkTimeout)
	defer cancel()
	client, err := boot.OpenRedis(e.Config)
	if err != nil {
		e.fail("redis", "reach", "", short(err), "correct the key in [redis]")
		return
	}
	defer func() { _ = client.Close() }()
	checkRedisSocket(e)
	if err := client.Ping(ctx).Err(); err != nil {
		reportUnreachable(ctx, e, err)
		return
	}
	checkLatency(ctx, e, client)
	checkRights(ctx, e, client)
	if nameless, err := link.Nameless(ctx, client); err == nil && nameless != "" {
		e.warn("redis", "fail-over", "", nameless, "ACL SETUSER NAME +info; if INFO is renamed, restore the name")
	} else if err == nil {
		e.ok("redis", "fail-over", "", "Redis reports its process, so changes lost in a fail-over are applied again")
	}
	info, err := link.Info(ctx, client)
	if err != nil {
		e.warn("redis", "info", "", "INFO is refused, so no further checks are possible: "+short(err),
			"ACL SETUSER for ticketd's user: +info")
		return
	}
	e.ok("redis", "reach", "", "Redis "+info["redis_version"]+" answers")
	checkOneProcess(ctx, e, client, info["run_id"])
	checkRedisServer(e, info)
	checkMemory(e, info)
	checkPersistence(e, info)
	if info["cluster_enabled"] == "1" {
		checkSlots(ctx, e, client)
	}
	for _, name := range e.Config.SiteNames() {
		checkStrays(ctx, e, name)
	}
}

// checkOneProcess connects several times more and looks whether the address leads to processes with different data: a name or a
// balancer that goes round. run is the process behind client. Every second call would fail there, as if Redis were emptied.
func checkOneProcess(ctx context.Context, e *exam, client goredis.UniversalClient, run string) {
	_, address := e.Config.Redis.Network()
	if address == "" || run == "" {
		return // sentinels or the cluster's nodes name the processes
	}
	runs := map[string]bool{run: true}
	for range connections {
		another, err := boot.OpenRedis(e.Config)
		if err != nil {
			return
		}
		info, err := link.Info(ctx, another)
		_ = another.Close()
		if err != nil {
			return // the other checks show the error
		}
		runs[info["run_id"]] = true
	}
	if info, err := link.Info(ctx, client); err != nil || info["run_id"] != run {
		return // Redis was restarted just now
	}
	if len(runs) > 1 {
		e.fail("redis", "processes", "", fmt.Sprintf("%d Redis processes answer at %s, each with data of its own", len(runs), address),
			"set redis.addr to one of them; for fail-overs, name sentinels or a cluster's nodes")
		return
	}
	e.ok("redis", "processes", "", "one Redis process answers at the address")
}

// checkStrays counts the hashes of other programs under a site's names.
func checkStrays(ctx context.Context, e *exam, name string) {
	site := e.Config.Sites[name]
	places, err := boot.OpenPlaces(e.Config, site)
	if err != nil {
		return // the check of the database reports the error
	}
	defer func() { _ = places.Close() }()
	n, err := boot.CountStrays(ctx, places.Store.Store)
	switch {
	case err != nil:
		e.warn("redis", "hashes", name, "cannot count the keys: "+short(err), "ACL SETUSER for ticketd's user: +scan +hexists")
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

// checkRedisSocket checks that the daemon's user may open Redis' socket; root always may.
func checkRedisSocket(e *exam) {
	network, path := e.Config.Redis.Network()
	if network != "unix" {
		return
	}
	info, err := os.Stat(path)
	if err != nil || mayReach(path, info, e.uid, 2) {
		return // a missing socket shows in the connection
	}
	if gid := strconv.FormatUint(uint64(groupOf(info)), 10); slices.Contains(e.groups, gid) && info.Mode().Perm()&0o020 != 0 {
		return
	}
	group, name := groupName(groupOf(info)), userName(e.uid)
	e.fail("redis", "socket", "", fmt.Sprintf("%s may not open %s (%04o, group %s)", name, path, info.Mode().Perm(), group),
		joinRedis(group, name)+"; if the mode is 0700 or 0755, unixsocketperm 770 in redis.conf")
}

// joinRedis is the remedy for a daemon that is not in the group of Redis' socket. A group of the system opens more than that
// socket.
func joinRedis(group, user string) string {
	if strings.Contains(group, "redis") || strings.Contains(group, "valkey") {
		return fmt.Sprintf("usermod -aG %s %s && systemctl restart ticketd", group, user)
	}
	return "give the socket the group redis (Group=redis in Redis' unit), then usermod -aG redis " + user +
		" && systemctl restart ticketd"
}

// reportUnreachable reports why the connection failed.
func reportUnreachable(ctx context.Context, e *exam, err error) {
	r, err := redisRemedy(ctx, e, err)
	e.fail("redis", r.check, "", r.meaning+short(err), r.fix)
}

func checkLatency(ctx context.Context, e *exam, client goredis.UniversalClient) {
	took := make([]time.Duration, 0, pings)
	for range pings {
		start := time.Now()
		if client.Ping(ctx).Err() != nil {
			return // the next query shows the error
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	median := took[len(took)/2].Round(time.Microsecond)
	if median > slowPing {
		e.warn("redis", "latency", "", fmt.Sprintf("a PING takes %v, and every write takes at least as long", median),
			"move Redis nearer, or set ack = \"journal\" for the site: then this host's disk acknowledges, and Redis follows")
		return
	}
	e.ok("redis", "latency", "", fmt.Sprintf("a PING takes %v", median))
	if now, err := client.Time(ctx).Result(); err == nil {
		checkSkew(e, "redis", "", "Redis", time.Until(now))
	}
}

// checkSkew judges the clock of a server by its lead over this host's clock.
func checkSkew(e *exam, area, site, server string, by time.Duration) {
	if by.Abs() > skewedBy {
		e.warn(area, "clock", site, fmt.Sprintf("the clock of %s differs from this host's by %v", server, by.Round(time.Millisecond)),
			"set the two clocks by NTP (systemctl enable --now systemd-timesyncd): after a fail-over clocks decide which change is newer")
		return
	}
	e.ok(area, "clock", site, "the clocks of this host and "+server+" agree")
}

// checkRights tries every command of the daemon's scripts.
func checkRights(ctx context.Context, e *exam, client goredis.UniversalClient) {
	err := link.Probe(ctx, client, len(e.Config.Redis.Cluster) > 0, boot.Prefixes(e.Config)...)
	switch {
	case err == nil:
		e.ok("redis", "rights", "", "Redis permits every command of ticketd's scripts")
	case strings.HasPrefix(err.Error(), "READONLY"):
		e.fail("redis", "role", "", "this Redis is a replica and refuses writes", "set redis.addr to the master's")
	case strings.Contains(err.Error(), "NOPERM"), strings.Contains(err.Error(), "can't run this command"):
		e.fail("redis", "rights", "", "Redis' user lacks rights that ticketd needs: "+short(err),
			"ACL SETUSER NAME ~* +@read +@write +@scripting +@connection +@transaction +info +cluster")
	case strings.Contains(err.Error(), "CLUSTERDOWN"):
		e.fail("redis", "cluster", "", "the cluster does not serve all slots: "+short(err),
			"redis-cli --cluster check HOST:PORT, then --cluster fix")
	default:
		e.fail("redis", "rights", "", "Redis refuses a command that ticketd needs: "+short(err),
			"remove the rename-command of this command, or install Redis "+link.Least+" or later, or Valkey")
	}
}

func checkRedisServer(e *exam, info map[string]string) {
	v := info["redis_version"]
	if below, known := versionBelow(v, link.LeastMajor, link.LeastMinor); !known {
		reportUnsaid(e, "version", "redis_version")
	} else if below {
		e.fail("redis", "version", "", "Redis "+v+" lacks commands that ticketd uses", "install "+link.Least+" or later, or Valkey")
	}
	if role := info["role"]; role == "" {
		reportUnsaid(e, "role", "role")
	} else if role != "master" {
		e.fail("redis", "role", "", "this Redis is a "+role+", which refuses or loses writes", "set redis.addr to the master's")
	} else {
		e.ok("redis", "role", "", "Redis is a master with "+info["connected_slaves"]+" replicas")
	}
	if info["loading"] == "1" {
		e.warn("redis", "loading", "", "Redis is loading its data and answers no command until the end", "wait")
	}
}

// reportUnsaid reports a fact that is missing from INFO, as on some managed servers.
func reportUnsaid(e *exam, check, fact string) {
	e.warn("redis", check, "", "cannot check: Redis' INFO has no "+fact,
		"ask the operator of this Redis, or read its configuration")
}

func checkMemory(e *exam, info map[string]string) {
	policy := info["maxmemory_policy"]
	switch {
	case policy == "":
		reportUnsaid(e, "maxmemory-policy", "maxmemory_policy")
	case strings.HasPrefix(policy, "allkeys-"):
		e.fail("redis", "maxmemory-policy", "", policy+" lets Redis evict tickets that MySQL does not have yet",
			"redis-cli CONFIG SET maxmemory-policy volatile-lru, and the same in redis.conf")
	default:
		e.ok("redis", "maxmemory-policy", "", policy+" evicts no dirty ticket")
	}
	used, noUse := strconv.ParseFloat(info["used_memory"], 64)
	limit, noLimit := strconv.ParseFloat(info["maxmemory"], 64)
	if noUse != nil || noLimit != nil {
		reportUnsaid(e, "memory", "used_memory and maxmemory")
		return
	}
	switch share := used / limit; {
	case limit <= 0:
		e.ok("redis", "memory", "", info["used_memory_human"]+" of memory in use, without a limit")
	case share > full && policy == "noeviction":
		e.fail("redis", "memory", "", fmt.Sprintf("%.0f %% of maxmemory are used, and Redis evicts no keys: writes go to the journal",
			100*share), "raise maxmemory in redis.conf, or set maxmemory-policy volatile-lru")
	case share > nearFull && policy == "noeviction":
		e.warn("redis", "memory", "", fmt.Sprintf("%.0f %% of maxmemory are used, and Redis evicts no keys", 100*share),
			"raise maxmemory in redis.conf, or set maxmemory-policy volatile-lru")
	default:
		e.ok("redis", "memory", "", fmt.Sprintf("%.0f %% of maxmemory are used", 100*share))
	}
}

func checkPersistence(e *exam, info map[string]string) {
	switch {
	case info["aof_enabled"] == "":
		reportUnsaid(e, "persistence", "aof_enabled")
	case info["aof_enabled"] == "1" && info["aof_last_write_status"] == "err":
		e.fail("redis", "persistence", "", "Redis cannot write its append-only file", "check Redis' log and disk")
	case info["aof_enabled"] == "1":
		e.ok("redis", "persistence", "", "the append-only file is on")
	case info["rdb_last_bgsave_status"] == "err":
		e.fail("redis", "persistence", "", "Redis' last snapshot failed, and by default Redis then refuses writes",
			"check Redis' log and disk; set appendonly yes")
	default:
		e.warn("redis", "persistence", "", "the append-only file is off: a crash of Redis loses changes that MySQL does not have yet",
			"redis-cli CONFIG SET appendonly yes, and appendonly yes in redis.conf")
	}
}

func checkSlots(ctx context.Context, e *exam, client goredis.UniversalClient) {
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
		e.fail("redis", "cluster", "", fmt.Sprintf("the cluster is %s and serves %d of its %d slots", state, slots, allSlots),
			"redis-cli --cluster check HOST:PORT, then --cluster fix")
		return
	}
	e.ok("redis", "cluster", "", "the cluster serves all slots")
}

// redisRemedy finds the remedy of an error of a connection to Redis. Redis closes a connection that it does not want, often
// before the client has read why, so redisRemedy asks again for Redis' own words.
func redisRemedy(ctx context.Context, e *exam, err error) (remedy, error) {
	network, address := e.Config.Redis.Network()
	secure := e.Config.Redis.TLS
	if address != "" { // otherwise the sentinels or the cluster's nodes name it
		if _, again := pingAgain(ctx, e, secure); again != nil && !strings.Contains(err.Error(), again.Error()) {
			err = errors.Join(err, again)
		}
	}
	for _, known := range redisRemedies {
		if strings.Contains(err.Error(), known.part) {
			return known.remedy, err
		}
	}
	const ca, host = "the CA of Redis' certificate in redis.tls_ca", "redis.addr, or set redis.tls_server_name"
	if r, is := certificateRemedy(err, ca, host); is {
		return r, err
	}
	switch {
	case secure && speaksPlainly(ctx, e):
		return remedy{
			"tls", "redis.tls is true, and this port does not speak TLS: ",
			"give redis.addr the port that redis.conf calls tls-port, or remove redis.tls",
		}, err
	case !secure && network == "tcp" && address != "" && speaksTLS(ctx, address):
		return remedy{
			"tls", "this port speaks TLS, and redis.tls is not set: ", "set redis.tls = true, and redis.tls_ca for a CA of your own",
		}, err
	}
	return remedy{
		"reach", "Redis does not answer: ", "start Redis (systemctl start redis-server), or correct redis.addr",
	}, err
}

// pingAgain connects anew and sends a PING, over TLS if secure. err is what Redis answers instead of a PONG, or why it does not
// answer; answered tells the two apart.
func pingAgain(ctx context.Context, e *exam, secure bool) (answered bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), againTimeout)
	defer cancel()
	network, address := e.Config.Redis.Network()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	if secure {
		if conn, err = encrypt(ctx, e, conn, address); err != nil {
			return false, err
		}
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	_, _ = io.WriteString(conn, "PING\r\n") // Redis may have answered and closed already
	line, err := bufio.NewReader(conn).ReadString('\n')
	line = strings.TrimSpace(line)
	switch {
	case err != nil:
		return false, err
	case strings.HasPrefix(line, "+"):
		return true, nil
	case strings.HasPrefix(line, "-"):
		return true, errors.New(line[1:])
	default:
		return false, errors.New("what answers there is no Redis")
	}
}

// encrypt makes the TLS handshake with the configured certificates.
func encrypt(ctx context.Context, e *exam, conn net.Conn, address string) (net.Conn, error) {
	settings, err := e.Config.Redis.TLSConfig()
	if err != nil {
		return conn, err
	}
	if settings.ServerName == "" {
		settings.ServerName, _, _ = net.SplitHostPort(address)
	}
	encrypted := tls.Client(conn, settings)
	return encrypted, encrypted.HandshakeContext(ctx)
}

// againTimeout bounds a further look at a server that has failed already.
const againTimeout = time.Second

// speaksPlainly says that Redis answers without TLS.
func speaksPlainly(ctx context.Context, e *exam) bool {
	answered, _ := pingAgain(ctx, e, false)
	return answered
}

// redisRemedies by a part of Redis' answer to the first commands of a connection; the first that fits.
var redisRemedies = []struct {
	part string
	remedy
}{
	{"NOAUTH", remedy{
		"password", "Redis requires a password: ", "set redis.password_file, and redis.username if Redis has ACL users",
	}},
	{"WRONGPASS", remedy{
		"password", "Redis rejects the user or the password: ",
		"correct redis.username or redis.password_file; ACL LIST in redis-cli shows the users",
	}},
	{"protected mode", remedy{
		"protected-mode", "Redis takes no connections from other hosts, because it has no password: ",
		"requirepass in redis.conf and redis.password_file here; where Redis is on this host, connect to 127.0.0.1 or its socket",
	}},
	{"DB index is out of range", remedy{
		"database", "", "lower redis.db, or raise databases in redis.conf",
	}},
	{"SELECT is not allowed in cluster mode", remedy{
		"database", "a Redis Cluster has no numbered databases: ", "remove redis.db, and name the nodes in redis.cluster",
	}},
	{"'select'", remedy{ // NOPERM, or an unknown command
		"database", "Redis refuses the numbered database redis.db: ",
		"remove redis.db and tell sites apart by key_prefix, or ACL SETUSER for ticketd's user: +select",
	}},
	{"max number of clients", remedy{
		"clients", "", "raise maxclients in redis.conf; CLIENT LIST shows who holds the connections",
	}},
	{"LOADING", remedy{
		"loading", "Redis reads its data from the disk: ", "wait until it has; Redis' log shows how far it is",
	}},
	{"certificate required", remedy{
		"tls", "Redis wants a certificate of its clients: ",
		"set redis.tls_cert and redis.tls_key, or tls-auth-clients no in redis.conf",
	}},
}

// speaksTLS says that a server answers a TLS handshake. Nothing is sent over the connection, so any certificate will do.
func speaksTLS(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), againTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil //nolint:gosec // see above
}
