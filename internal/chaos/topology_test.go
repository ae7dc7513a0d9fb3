package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
)

// redisKind is what stands behind the daemons.
type redisKind int

const (
	alone redisKind = iota
	sentinels
	cluster
	none // the journal is the store
)

// topology is a way to run ticketd.
type topology struct {
	name   string
	number int // makes its plan another than its neighbours'
	hosts  int
	redis  redisKind
}

// topologies share a run's time.
//
// Redis writes each change to its disk before it answers (appendfsync always), so a kill loses nothing. Behind sentinels and in a
// cluster a fail-over loses what the master had acknowledged and not sent on yet, by the nature of Redis' replication. So a
// master is killed only when its replicas are in step (what it sends them and its clients in one round survives a SIGKILL in the
// kernel's buffers), and started again when another has taken over; it is paused for less than the others need to replace
// it; and the faults of the network, which would make two masters, are left to the other topologies. The rules are then the same
// everywhere: nothing that was acknowledged is lost. Clocks differ there by less than a fail-over takes.
var topologies = []topology{
	{name: "one", number: 1, hosts: 1, redis: alone},
	{name: "three", number: 2, hosts: 3, redis: alone},
	{name: "journal", number: 3, hosts: 1, redis: none},
	{name: "sentinel", number: 4, hosts: 1, redis: sentinels},
	{name: "cluster", number: 5, hosts: 1, redis: cluster},
}

// The database and the daemons' user there, who has no more rights than docs/install.md gives.
const (
	database = "chaos"
	dbUser   = "ticketd"
	table    = "wp_support_tickets"
)

// site is a running topology.
type site struct {
	topology

	mariadb *testenv.MariaDB
	db      *sql.DB // as root, past all proxies
	single  *testenv.Redis
	nodes   nodes // sentinels' or cluster's
	hosts   []*host
	web     *web
}

// nodes are Redis servers that replace a dead master among themselves.
type nodes interface {
	Masters(ctx context.Context) []*testenv.Redis
	Nodes() []*testenv.Redis
	Whole(ctx context.Context) error
	Log() string
}

// unplanned counts the fail-overs that no fault explains.
func (s *site) unplanned(faults []history.Fault) int {
	if s.nodes == nil {
		return 0
	}
	log := s.nodes.Log()
	n := strings.Count(log, "+promoted-slave") + strings.Count(log, "Failover election won")
	for _, f := range faults {
		if f.Kind == "master-kill" {
			n--
		}
	}
	return max(n, 0)
}

var durable = testenv.RedisOptions{TCP: true, Config: []string{"appendonly yes", "appendfsync always"}}

// newSite starts a topology's servers for one test.
func newSite(t *testing.T, top topology) *site {
	t.Helper()
	s := &site{topology: top}
	s.mariadb = testenv.NewMariaDB(t, testenv.MariaDBOptions{TCP: true})
	if err := s.mariadb.CreateDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	s.db = s.mariadb.DB(t, database)
	place := s.startRedis(t)
	s.migrate(t)
	for n := range top.hosts {
		s.hosts = append(s.hosts, newHost(t, s, n, place))
	}
	s.web = newWeb(t, s)
	return s
}

// pools begins [redis]: small ones, so that what they keep is not taken for a leak. (A cluster has one for each of six nodes.)
const pools = "[redis]\npool_size = 5\n"

// startRedis starts what the topology has, and returns TOML of [redis]; %s in it is the address of a host's own proxy.
func (s *site) startRedis(t *testing.T) string {
	t.Helper()
	switch s.redis {
	case alone:
		s.single = testenv.NewRedis(t, durable)
		return pools + "addr = %q\n"
	case sentinels:
		some := testenv.NewSentinels(t, testenv.SentinelOptions{Redis: durable})
		s.nodes = some
		return fmt.Sprintf(pools+"sentinels = [%s]\nmaster_name = %q\n", quoted(some.SentinelAddrs()), testenv.SentinelMaster)
	case cluster:
		some := testenv.NewCluster(t, durable)
		s.nodes = some
		return fmt.Sprintf(pools+"cluster = [%s]\n", quoted(some.Addrs()))
	default:
		return ""
	}
}

// quoted lists strings as TOML does.
func quoted(list []string) string {
	var quoted []string
	for _, one := range list {
		quoted = append(quoted, fmt.Sprintf("%q", one))
	}
	return strings.Join(quoted, ", ")
}

// migrate makes the tables, and the user.
func (s *site) migrate(t *testing.T) {
	t.Helper()
	dir := testenv.Folder(t)
	file := filepath.Join(dir, "migrate.toml")
	config := fmt.Sprintf("[daemon]\nstate_dir = %q\nspool_dir = \"\"\n[sites.main]\ndsn = %q\n", dir, s.mariadb.DSN(database))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), ticketdBinary(t), "migrate", "--config", file).CombinedOutput(); err != nil {
		t.Fatalf("ticketd migrate: %v\n%s", err, out)
	}
	statements := []string{
		"CREATE USER " + dbUser + "@'127.0.0.1'",
		"ALTER TABLE " + table + " ADD CONSTRAINT chaos_refuses CHECK (category NOT LIKE '" + poison + "%')",
	}
	for _, name := range []string{table, table + "_seq"} {
		statements = append(statements, grant(name))
	}
	for _, statement := range statements {
		if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func grant(name string) string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON `%s`.`%s` TO %s@'127.0.0.1'", database, name, dbUser)
}

// dsn is what a daemon reaches MariaDB by, through a proxy.
func dsn(addr string) string {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = dbUser, "tcp", addr, database
	return config.FormatDSN()
}

// admin runs a command on a Redis server past all proxies.
func admin(ctx context.Context, server *testenv.Redis, args ...any) error {
	options := server.Options()
	options.MaxRetries, options.DialerRetries, options.PoolSize, options.ContextTimeoutEnabled = -1, 1, 1, true
	client := goredis.NewClient(options)
	defer func() { _ = client.Close() }()
	return client.Do(ctx, args...).Err()
}

// servers are all Redis servers of the site.
func (s *site) servers() []*testenv.Redis {
	switch {
	case s.single != nil:
		return []*testenv.Redis{s.single}
	case s.nodes != nil:
		return s.nodes.Nodes()
	default:
		return nil
	}
}
