package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/charset"
)

const (
	maxSocketPath = 107 // sun_path without its final zero
	maxPrefix     = 200
	maxName       = 64 // characters of a site, a table or a column
)

// isSiteName says whether a site may have this name.
func isSiteName(name string) bool {
	return charset.Only(name, maxName, charset.Lower+"_-") && name[0] != '_' && name[0] != '-'
}

// SiteNames returns the sites' names in order.
func (c *Config) SiteNames() []string { return slices.Sorted(maps.Keys(c.Sites)) }

// checks collects mistakes. bounds, if set, receives the permitted values of each key, for docs/configure.md.
type checks struct {
	list   []error
	bounds func(key, may string)
}

func (c *checks) boundf(key, format string, args ...any) {
	if c.bounds != nil {
		c.bounds(key, fmt.Sprintf(format, args...))
	}
}

func (c *checks) failf(key, format string, args ...any) {
	c.list = append(c.list, mistake(key, format, args...))
}

func (c *checks) number(key string, n, low, high int) {
	c.boundf(key, "%d to %d", low, high)
	if n < low || n > high {
		c.failf(key, "%d is not between %d and %d", n, low, high)
	}
}

func (c *checks) duration(key string, d, low, high time.Duration) {
	c.boundf(key, "%s to %s", shortDuration(low), shortDuration(high))
	if d < low || d > high {
		c.failf(key, "%v is not between %v and %v", d, low, high)
	}
}

func (c *checks) oneOf(key, value string, allowed ...string) {
	c.boundf(key, "%s", strings.Join(allowed, ", "))
	if !slices.Contains(allowed, value) {
		c.failf(key, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

// shortDuration writes 1m where Go writes 1m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len("0s")]
		}
	}
	return text
}

func (c *checks) identifier(key, value string) {
	c.boundf(key, "1 to 64 letters, digits, _ or $")
	if !charset.Only(value, maxName, charset.Letters+"_$") {
		c.failf(key, "%q is not 1 to 64 letters, digits, _ or $", value)
	}
}

func (c *Config) validate() []error {
	var found checks
	c.check(&found)
	return found.list
}

func (c *Config) check(found *checks) {
	c.Daemon.validate(found)
	found.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	found.oneOf("log.format", c.Log.Format, "auto", "console", "json")
	if c.HasRedis() {
		c.Redis.validate(found)
	}
	found.number("mysql.max_connections", c.MySQL.MaxConnections, 2, 1000) // two: see mysql.NewServers
	c.validateJournal(found)
	c.Metrics.validate(found)
	if len(c.Sites)+len(c.templates) == 0 {
		found.failf("sites", "no site; add [sites.main] with its dsn")
	}
	for _, name := range c.Multisites() {
		site := c.templates[name]
		site.validateMultisite(found, name)
	}
	for _, name := range c.SiteNames() {
		site := c.Sites[name]
		if !isSiteName(name) {
			found.failf("sites."+name, "a site's name is 1 to 64 of a-z 0-9 _ -, beginning with a letter or digit")
		}
		site.validate(found, "sites."+name+".")
	}
	c.distinct(found)
}

func (d *Daemon) validate(c *checks) {
	if d.Socket == "" || len(d.Socket) > maxSocketPath || !strings.HasPrefix(d.Socket, "/") {
		c.failf("daemon.socket", "%q is not an absolute path of at most %d bytes", d.Socket, maxSocketPath)
	}
	if _, err := d.Mode(); err != nil {
		c.failf("daemon.socket_mode", "%q is not three octal digits such as 0660", d.SocketMode)
	}
	if _, err := GroupID(d.SocketGroup); d.SocketGroup != "" && err != nil {
		c.failf("daemon.socket_group", "no group %q on this machine", d.SocketGroup)
	}
	c.number("daemon.max_connections", d.MaxConnections, 1, 65536)
	c.duration("daemon.idle_timeout", d.IdleTimeout, time.Second, time.Hour)
	c.duration("daemon.request_timeout", d.RequestTimeout, 10*time.Millisecond, time.Minute)
	c.duration("daemon.shutdown_timeout", d.ShutdownTimeout, time.Second, 10*time.Minute)
	if d.StateDir != "" && !strings.HasPrefix(d.StateDir, "/") {
		c.failf("daemon.state_dir", "%q is not an absolute path", d.StateDir)
	}
	if d.SpoolDir != "" && (!strings.HasPrefix(d.SpoolDir, "/") || d.SpoolDir == d.StateDir) {
		c.failf("daemon.spool_dir", "%q is not an absolute path of a folder of its own", d.SpoolDir)
	}
	if _, err := GroupID(d.SpoolGroup); d.SpoolGroup != "" && err != nil {
		c.failf("daemon.spool_group", "no group %q on this machine", d.SpoolGroup)
	}
}

// SpoolGID returns the id of the spool's group; -1 without a group.
func (d *Daemon) SpoolGID() int {
	if gid, err := GroupID(d.SpoolGroup); d.SpoolGroup != "" && err == nil {
		return int(gid)
	}
	return -1
}

// Mode returns SocketMode as a number.
func (d *Daemon) Mode() (uint32, error) {
	const octal, bits = 8, 9
	mode, err := strconv.ParseUint(d.SocketMode, octal, bits)
	return uint32(mode), err
}

func (r *Redis) validate(c *checks) {
	r.validatePlace(c)
	r.validateTLS(c)
	if r.Username != "" && r.Password == "" {
		c.failf("redis.username", "needs redis.password or redis.password_file, too")
	}
	c.number("redis.db", r.DB, 0, 16383)
	c.number("redis.pool_size", r.PoolSize, 0, 10000)
	c.duration("redis.dial_timeout", r.DialTimeout, time.Millisecond, time.Minute)
	c.duration("redis.read_timeout", r.ReadTimeout, time.Millisecond, time.Minute)
	c.duration("redis.write_timeout", r.WriteTimeout, time.Millisecond, time.Minute)
}

// validatePlace checks the address of Redis: a single address, sentinels, or a cluster.
func (r *Redis) validatePlace(c *checks) {
	switch network, address := r.Network(); {
	case r.Addr == "":
	case network == "tcp" && !hostPort(address), network == "unix" && !strings.HasPrefix(address, "/"):
		c.failf("redis.addr", "%q is not host:port or unix:///path", r.Addr)
	}
	if r.Addr != "" && len(r.Sentinels)+len(r.Cluster) > 0 {
		c.failf("redis.addr", "conflicts with redis.sentinels or redis.cluster; remove redis.addr")
	}
	if len(r.Sentinels) > 0 && len(r.Cluster) > 0 {
		c.failf("redis.cluster", "and redis.sentinels exclude each other: a cluster needs no sentinels")
	}
	c.hostPorts("redis.sentinels", r.Sentinels)
	c.hostPorts("redis.cluster", r.Cluster)
	r.validateSentinels(c)
	if len(r.Cluster) > 0 && r.DB != 0 {
		c.failf("redis.db", "%d: a Redis Cluster has only database 0", r.DB)
	}
}

func (r *Redis) validateSentinels(c *checks) {
	if (len(r.Sentinels) > 0) != (r.MasterName != "") {
		c.failf("redis.master_name", "is the sentinels' name of the master; give redis.sentinels and redis.master_name, or neither")
	}
	if r.SentinelUsername != "" && r.SentinelPassword == "" {
		c.failf("redis.sentinel_username", "needs redis.sentinel_password or redis.sentinel_password_file, too")
	}
	if r.SentinelPassword != "" && len(r.Sentinels) == 0 {
		c.failf("redis.sentinel_password", "has no effect without redis.sentinels")
	}
}

func (c *checks) hostPorts(key string, addresses []string) {
	for _, address := range addresses {
		if !hostPort(address) {
			c.failf(key, "%q is not host:port", address)
		}
	}
}

func hostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	return err == nil && host != "" && port != ""
}

func (m *Metrics) validate(c *checks) {
	if m.Listen == "" {
		if m.Pprof {
			c.failf("metrics.pprof", "needs metrics.listen, too")
		}
		if m.WebConfig != "" {
			c.failf("metrics.web_config", "needs metrics.listen, too")
		}
		return
	}
	if m.WebConfig != "" && !strings.HasPrefix(m.WebConfig, "/") {
		c.failf("metrics.web_config", "%q is not an absolute path", m.WebConfig)
	}
	network, address := m.Network()
	if network == "unix" {
		if !strings.HasPrefix(address, "/") || len(address) > maxSocketPath {
			c.failf("metrics.listen", "%q is not unix:// and an absolute path of at most %d bytes", m.Listen, maxSocketPath)
		}
		return
	}
	_, port, err := net.SplitHostPort(address)
	if _, wrong := strconv.ParseUint(port, 10, 16); err != nil || wrong != nil {
		c.failf("metrics.listen", "%q is not host:port or unix:///path", m.Listen)
	} else if !m.Local() && m.WebConfig == "" {
		c.failf("metrics.listen", "%q can be reached from other hosts, and the endpoint has no authentication: write 127.0.0.1:%s, "+
			"or set metrics.web_config", m.Listen, port)
	}
}

func (c *Config) validateJournal(found *checks) {
	j := &c.Journal
	found.oneOf("journal.fsync", j.Fsync, "always", "interval", "never")
	found.duration("journal.fsync_interval", j.FsyncInterval, time.Millisecond, time.Minute)
	found.number("journal.max_bytes", j.MaxBytes, 1<<20, 1<<40)
	found.number("journal.max_entries", j.MaxEntries, 1, 100_000_000)
	found.number("journal.max_requests", j.MaxRequests, 1000, 100_000_000)
	if j.Dir != "" && !strings.HasPrefix(j.Dir, "/") {
		found.failf("journal.dir", "%q is not an absolute path", j.Dir)
	}
	there := c.JournalDir("any") != ""
	if !there && !c.HasRedis() {
		found.failf("journal", "without a [redis] the journal is the store: set journal.dir or daemon.state_dir, and "+
			"journal.enabled = true")
	}
	for _, name := range c.SiteNames() {
		key := "sites." + name + ".ack"
		found.oneOf(key, c.Sites[name].Ack, AckRedis, AckJournal)
		if c.Sites[name].Ack == AckJournal && !there {
			found.failf(key, "no journal: set journal.dir or daemon.state_dir, and journal.enabled = true")
		}
	}
}

// Network splits Addr into "unix" and a path, or "tcp" and host:port.
func (r *Redis) Network() (network, address string) {
	if path, unix := strings.CutPrefix(r.Addr, "unix://"); unix {
		return "unix", path
	}
	return "tcp", r.Addr
}

func (s *Site) validate(c *checks, key string) {
	if dsn, err := driver.ParseDSN(s.DSN.Reveal()); err != nil || dsn.DBName == "" {
		// The driver's message would show a part of the password.
		c.failf(key+"dsn", "is missing, or is not user:password@unix(/path/to.sock)/database or user:password@tcp(host:3306)/database")
	}
	s.validateTLS(c, key)
	s.validateKind(c, key)
	s.validateTable(c, key)
	if len(s.KeyPrefix) > maxPrefix || strings.ContainsAny(s.KeyPrefix, "{} \t\r\n") {
		c.failf(key+"key_prefix", "%q is not at most %d bytes without braces or spaces", s.KeyPrefix, maxPrefix)
	}
	for _, name := range s.AllowUsers {
		if _, err := UserID(name); err != nil {
			c.failf(key+"allow_users", "no user %q on this machine", name)
		}
	}
	for _, name := range s.AllowGroups {
		if _, err := GroupID(name); err != nil {
			c.failf(key+"allow_groups", "no group %q on this machine", name)
		}
	}
	s.validateStrategy(c, key)
	c.number(key+"batch", s.Batch, 1, 1000)
	c.duration(key+"lease", s.Lease, time.Second, time.Hour)
	c.duration(key+"clean_ttl", s.CleanTTL, time.Second, 366*24*time.Hour)
	c.number(key+"max_dirty", s.MaxDirty, 0, 1_000_000_000)
	c.number(key+"id_block", s.IDBlock, 1, 1000000)
	s.validateFeeds(c, key)
}

func (s *Site) validateTable(c *checks, key string) {
	if s.Table != "" {
		c.identifier(key+"table", s.Table)
	} else {
		c.identifier(key+"table_prefix", s.TableName())
	}
	if s.ClientTable != "" && s.ClientTable != AnyTable && !strings.Contains(s.ClientTable, ".") {
		c.failf(key+"client_table", "%q is neither database.table nor %q", s.ClientTable, AnyTable)
	}
	c.identifier(key+"key_column", s.KeyColumn)
	c.identifier(key+"revision_column", s.RevisionColumn)
	for _, field := range slices.Sorted(maps.Keys(s.Columns)) {
		c.identifier(key+"columns."+field, s.Columns[field])
	}
}

func (s *Site) validateStrategy(c *checks, key string) {
	c.oneOf(key+"strategy", s.Strategy, StrategyEvent, StrategyInterval, StrategyOnClose)
	c.duration(key+"linger", s.Linger, 0, time.Minute)
	c.duration(key+"period", s.Period, 100*time.Millisecond, 24*time.Hour)
	c.duration(key+"max_age", s.MaxAge, 100*time.Millisecond, 7*24*time.Hour)
	if s.CloseField == "" {
		c.failf(key+"close_field", "is empty; name the field that holds the status")
	}
	if len(s.CloseStatuses) == 0 {
		c.failf(key+"close_statuses", "is empty; name the values that close a ticket")
	}
}

// place is the site's table with its database and server; empty if the DSN cannot be read.
func (s *Site) place() string {
	dsn, err := driver.ParseDSN(s.DSN.Reveal())
	if err != nil {
		return ""
	}
	return dsn.Addr + "/" + dsn.DBName + "." + s.TableName()
}

// distinct refuses sites that would write each other's tickets.
func (c *Config) distinct(found *checks) {
	prefixes, tables := make(map[string]string), make(map[string]string)
	for _, name := range c.SiteNames() {
		site := c.Sites[name]
		if other, taken := prefixes[site.KeyPrefix]; taken {
			found.failf("sites."+name+".key_prefix", "%q is also the key_prefix of sites.%s: the two sites would use the same Redis keys",
				site.KeyPrefix, other)
		}
		prefixes[site.KeyPrefix] = name
		table := site.place()
		if table == "" {
			continue // reported already
		}
		if other, taken := tables[table]; taken {
			found.failf("sites."+name+".table", "is also the table of sites.%s", other)
		}
		tables[table] = name
	}
}
