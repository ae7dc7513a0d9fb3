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

// redisKind is the kind of Redis behind the daemons.
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
	number int // makes a plan different from the neighbours' plan
	hosts  int
	redis  redisKind
	// adopted says that the table belongs to another plugin, with its own ids by AUTO_INCREMENT.
	adopted bool
	// neighbours says that another site has the same Redis, and that daemons start before tables of other sites; see
	// neighbours_test.go.
	neighbours bool
}

// topologies share a run's time.
//
// Redis writes each change to disk before answering (appendfsync always), so a kill loses nothing. Behind sentinels and in a
// cluster a fail-over loses changes that the master acknowledged but had not yet sent to a replica, by the nature of Redis'
// replication. So a master is killed only when its replicas are in step (data sent to replicas and clients in the same round
// survives a SIGKILL in the kernel's buffers), and started again after its replacement; a master is paused for less than a
// replacement takes; and network faults, which would make two masters, are left to the other topologies. The rules are then
// the same everywhere: no acknowledged change is lost. Clocks differ there by less than a fail-over takes.
var topologies = []topology{
	{name: "one", number: 1, hosts: 1, redis: alone},
	{name: "three", number: 2, hosts: 3, redis: alone},
	{name: "journal", number: 3, hosts: 1, redis: none},
	{name: "sentinel", number: 4, hosts: 1, redis: sentinels},
	{name: "cluster", number: 5, hosts: 1, redis: cluster},
	{name: "neighbours", number: 6, hosts: 1, redis: alone, adopted: true, neighbours: true},
}

// The daemons' user in the database, with no more rights than docs/install.md gives.
const dbUser = "ticketd"

// site is a running topology.
type site struct {
	topology

	mariadb   *testenv.MariaDB
	database  string
	table     string
	identity  string // of the table
	keyPrefix string
	db        *sql.DB // as root, past all proxies
	single    *testenv.Redis
	nodes     nodes  // sentinels' or cluster's
	place     string // TOML of [redis], with %q for the address of a single Redis
	hosts     []*host
	web       *web
	rec       *recorder
	beside    *neighbours // nil without nodes
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

// newSite starts a topology's servers for a test.
func newSite(t *testing.T, top topology) *site {
	t.Helper()
	s := &site{topology: top, rec: newRecorder(), database: "chaos", table: "wp_support_tickets"}
	if top.adopted {
		s.table = "desk"
	}
	s.mariadb = testenv.NewMariaDB(t, testenv.MariaDBOptions{TCP: true})
	s.startRedis(t)
	s.statementOf(t, s.mariadb, "CREATE USER "+dbUser+"@'127.0.0.1'")
	s.migrate(t)
	if top.neighbours {
		s.beside = newNeighbours(t, s)
	}
	for n := range top.hosts {
		s.hosts = append(s.hosts, newHost(t, s, n))
	}
	s.web = newWeb(t, s)
	s.identity = s.readIdentity(t)
	return s
}

// ownTable is the table's name if a client that cannot reach the daemon may take ids from the table's sequence.
func (s *site) ownTable() string {
	if s.adopted {
		return ""
	}
	return s.table
}

// column is the table's name of a field.
func (s *site) column(field string) string {
	if s.adopted && field == "subject" {
		return "title"
	}
	return field
}

// pools begins [redis]: small pools, so that their idle connections are not taken for a leak. (A cluster has a pool for each
// of six nodes.)
const pools = "[redis]\npool_size = 5\n"

// startRedis starts the topology's Redis servers.
func (s *site) startRedis(t *testing.T) {
	t.Helper()
	switch s.redis {
	case alone:
		s.single = testenv.NewRedis(t, durable)
		s.place = pools + "addr = %q\n"
	case sentinels:
		some := testenv.NewSentinels(t, testenv.SentinelOptions{Redis: durable})
		s.nodes = some
		s.place = fmt.Sprintf(pools+"sentinels = [%s]\nmaster_name = %q\n", quoted(some.SentinelAddrs()), testenv.SentinelMaster)
	case cluster:
		some := testenv.NewCluster(t, durable)
		s.nodes = some
		s.place = fmt.Sprintf(pools+"cluster = [%s]\n", quoted(some.Addrs()))
	case none:
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

// desk is a table as made by another plugin.
const desk = `CREATE TABLE desk (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, title varchar(200) NOT NULL DEFAULT '',
	status varchar(64) NOT NULL DEFAULT 'open', category varchar(64) DEFAULT NULL, priority varchar(64) DEFAULT NULL,
	assigned_to bigint DEFAULT NULL, note text, KEY status (status))`

// migrate makes the database with its tables, and gives the daemons' user access.
func (s *site) migrate(t *testing.T) {
	t.Helper()
	if err := s.mariadb.CreateDatabase(t.Context(), s.database); err != nil {
		t.Fatal(err)
	}
	s.db = s.mariadb.DB(t, s.database)
	s.db.SetMaxIdleConns(-1) // closing a connection to a server that was killed meanwhile fails
	if s.adopted {
		s.must(t, desk)
	}
	dir := testenv.Folder(t)
	file := filepath.Join(dir, "migrate.toml")
	config := fmt.Sprintf("[daemon]\nstate_dir = %q\nspool_dir = \"\"\n[sites.main]\n%s%s", dir,
		s.shape(s.mariadb.DSN(s.database)), feedConfig)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), ticketdBinary(t), "migrate", "--config", file).CombinedOutput(); err != nil {
		t.Fatalf("ticketd migrate: %v\n%s", err, out)
	}
	s.must(t, "ALTER TABLE "+s.table+" ADD CONSTRAINT chaos_refuses CHECK (category NOT LIKE '"+poison+"%')")
	if err := s.grantTo(t.Context(), s.db); err != nil {
		t.Fatal(err)
	}
}

// shape is TOML of a site with the same table, in the database of a DSN.
func (s *site) shape(dsn string) string {
	text := fmt.Sprintf("dsn = %q\n", dsn)
	if s.adopted {
		text += "table = \"desk\"\nkey_column = \"id\"\ncolumns = { subject = \"title\" }\n"
	}
	if s.keyPrefix != "" {
		text += fmt.Sprintf("key_prefix = %q\n", s.keyPrefix)
	}
	return text
}

// must runs SQL as root.
func (s *site) must(t *testing.T, text string) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// statementOf runs SQL as root on a server, without a database.
func (s *site) statementOf(t *testing.T, server *testenv.MariaDB, text string) {
	t.Helper()
	db := server.DB(t, "")
	db.SetMaxIdleConns(-1)
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// grantTo lets the daemons' user use all tables of a copy of the site's database.
func (s *site) grantTo(ctx context.Context, db *sql.DB) error {
	found, err := db.QueryContext(ctx, "SHOW TABLES")
	if err != nil {
		return err
	}
	defer found.Close()
	var tables []string
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			return err
		}
		tables = append(tables, name)
	}
	if err := found.Err(); err != nil {
		return err
	}
	for _, name := range tables {
		if _, err := db.ExecContext(ctx, grant(s.database, name)); err != nil {
			return err
		}
	}
	return nil
}

func grant(database, name string) string {
	return fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON `%s`.`%s` TO %s@'127.0.0.1'", database, name, dbUser)
}

// dsn is the daemon's DSN of MariaDB, through a proxy or direct.
func (s *site) dsn(addr string) string {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = dbUser, "tcp", addr, s.database
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

// key is the table's name of a ticket's id.
func (s *site) key() string {
	if s.adopted {
		return "id"
	}
	return "ticket_id"
}

// readIdentity reads the table's identity, which clients write into the spool.
func (s *site) readIdentity(t *testing.T) (identity string) {
	t.Helper()
	row := s.db.QueryRowContext(t.Context(), "SELECT identity FROM "+s.table+"_identity WHERE id = 1")
	if err := row.Scan(&identity); err != nil {
		t.Fatal(err)
	}
	return identity
}
