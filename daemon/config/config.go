package config

import (
	"net"
	"path/filepath"
	"strings"
	"time"
)

// Config is the daemon's whole configuration. [Defaults] gives the defaults; the bounds stand in validate.go.
type Config struct {
	Daemon  Daemon          `toml:"daemon"`
	Log     Log             `toml:"log"`
	Redis   Redis           `toml:"redis"`
	MySQL   MySQL           `toml:"mysql"`
	Journal Journal         `toml:"journal"`
	Metrics Metrics         `toml:"metrics"`
	Sites   map[string]Site `toml:"sites"`

	templates map[string]Site   // see Multisites
	from      map[string]string // the files of the sites, where sites.d has some
}

// Daemon is about the process and its socket.
type Daemon struct {
	// Socket is the path of the Unix socket; at most 107 bytes. systemd's socket takes precedence.
	Socket string `toml:"socket"`
	// SocketMode is the socket's mode in octal digits. The daemon checks the user id of each client in any case.
	SocketMode string `toml:"socket_mode"`
	// SocketGroup owns the socket: a name or number; empty leaves the daemon's own group.
	SocketGroup string `toml:"socket_group"`
	// MaxConnections bounds open connections; a further connection is answered overloaded. daemon.Connections divides them among
	// users.
	MaxConnections int `toml:"max_connections"`
	// IdleTimeout closes a connection that sends nothing.
	IdleTimeout time.Duration `toml:"idle_timeout"`
	// RequestTimeout bounds the work on a request; for a flush, the time without progress in MySQL.
	RequestTimeout time.Duration `toml:"request_timeout"`
	// ShutdownTimeout bounds the orderly stop: answering accepted requests and flushing dirty tickets.
	ShutdownTimeout time.Duration `toml:"shutdown_timeout"`
	// StateDir keeps the tables' definitions, to check writes while MySQL is unreachable. Empty keeps none.
	StateDir string `toml:"state_dir"`
	// SpoolDir has a folder for each user, where the user's clients put undelivered changes. Empty is no spool.
	SpoolDir string `toml:"spool_dir"`
	// SpoolGroup may put files straight into SpoolDir, as clients do that do not know users' folders: a name or number, given to
	// a new folder; empty is no group.
	SpoolGroup string `toml:"spool_group"`
}

// Log is about the log, which goes to standard error.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `toml:"level"`
	// Format is auto (readable on a terminal, JSON otherwise), console or json.
	Format string `toml:"format"`
}

// Redis says where Redis is. Without this section the journal is the store.
type Redis struct {
	// Addr is host:port, or unix:///path/to/redis.sock; empty with Sentinels or Cluster, or without Redis.
	Addr string `toml:"addr"`
	// Sentinels (host:port) know the address of the master called MasterName; instead of Addr.
	Sentinels  []string `toml:"sentinels"`
	MasterName string   `toml:"master_name"`
	// The sentinels may have their own user and password.
	SentinelUsername     string `toml:"sentinel_username"`
	SentinelPassword     Secret `toml:"sentinel_password"`
	SentinelPasswordFile string `toml:"sentinel_password_file"`
	// Cluster lists some nodes (host:port) of a Redis Cluster, which name the other nodes; instead of Addr.
	Cluster []string `toml:"cluster"`

	Username string `toml:"username"`
	Password Secret `toml:"password"`
	// PasswordFile holds the password instead; credential:NAME is a systemd credential.
	PasswordFile string `toml:"password_file"`
	DB           int    `toml:"db"`

	// TLS encrypts all connections, those to the sentinels too. TLSCA is a file of the CAs that may have signed Redis'
	// certificate; empty is the system's CAs. TLSCert and TLSKey are the daemon's own certificate, if Redis requires a client
	// certificate. TLSServerName is the name in Redis' certificate; empty is the host in the address.
	TLS           bool   `toml:"tls"`
	TLSCA         string `toml:"tls_ca"`
	TLSCert       string `toml:"tls_cert"`
	TLSKey        string `toml:"tls_key"`
	TLSServerName string `toml:"tls_server_name"`

	// PoolSize is the most connections, in a cluster per node; 0 is ten per processor.
	PoolSize     int           `toml:"pool_size"`
	DialTimeout  time.Duration `toml:"dial_timeout"`
	ReadTimeout  time.Duration `toml:"read_timeout"`
	WriteTimeout time.Duration `toml:"write_timeout"`
}

// MySQL is about the connections to the databases, whose addresses are in the sites' DSNs.
type MySQL struct {
	// MaxConnections bounds the connections to one server: all sites on the server share the connections.
	MaxConnections int `toml:"max_connections"`
}

// Journal is the local durable log of each site. The journal takes changes while Redis is unreachable, or all changes without
// Redis.
type Journal struct {
	// Enabled: false switches the journal off, and requires Redis.
	Enabled bool `toml:"enabled"`
	// Dir holds a folder for each site; empty is the folder journal in daemon.state_dir.
	Dir string `toml:"dir"`
	// Fsync is always (before a change is acknowledged; concurrent changes share an fsync), interval (at most FsyncInterval
	// after the change) or never (the kernel decides). A crash of the daemon loses no change with any value; a power loss loses
	// the changes without fsync.
	Fsync         string        `toml:"fsync"`
	FsyncInterval time.Duration `toml:"fsync_interval"`
	// MaxBytes and MaxEntries bound the journal of a site; beyond them changes are answered overloaded. An entry is a change
	// pending for Redis, or, without Redis, a ticket pending for MySQL.
	MaxBytes   int `toml:"max_bytes"`
	MaxEntries int `toml:"max_entries"`
	// MaxRequests bounds the request ids remembered for a site without Redis, about 75 bytes of memory each. At the bound,
	// changes with a new id are answered overloaded until an old id expires.
	MaxRequests int `toml:"max_requests"`
}

// Metrics says where the daemon offers its metrics, as Prometheus text over HTTP. Without WebConfig the endpoint has no
// authentication, so only this host may reach it.
type Metrics struct {
	// Listen is 127.0.0.1:port, [::1]:port, localhost:port, or unix:///path/to.sock with the mode and the group of
	// daemon.socket; with WebConfig also an address that other hosts reach. Empty is no endpoint.
	Listen string `toml:"listen"`
	// WebConfig is a file of Prometheus' exporter-toolkit: the endpoint's TLS, and who may read it.
	WebConfig string `toml:"web_config"`
	// Pprof also offers profiles of the process below /debug/pprof/.
	Pprof bool `toml:"pprof"`
}

// Local tells whether only this host can reach the endpoint.
func (m *Metrics) Local() bool {
	network, address := m.Network()
	host, _, _ := net.SplitHostPort(address)
	return network == "unix" || host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Network splits Listen into "unix" and a path, or "tcp" and host:port.
func (m *Metrics) Network() (network, address string) {
	if path, unix := strings.CutPrefix(m.Listen, "unix://"); unix {
		return "unix", path
	}
	return "tcp", m.Listen
}

// Site is a WordPress.
type Site struct {
	// DSN is the database in go-sql-driver's form: user:password@unix(/path/to.sock)/database.
	DSN Secret `toml:"dsn"`
	// DSNFile holds the DSN instead, e.g. a systemd credential.
	DSNFile string `toml:"dsn_file"`
	// TLS encrypts the connections to MySQL, and checks the server's certificate. TLSCA is a file of the CAs that may have signed
	// the certificate; empty is the system's CAs. TLSCert and TLSKey are the daemon's own certificate, if MySQL requires one.
	// TLSServerName is the name in MySQL's certificate; empty is the host in the DSN.
	TLS           bool   `toml:"tls"`
	TLSCA         string `toml:"tls_ca"`
	TLSCert       string `toml:"tls_cert"`
	TLSKey        string `toml:"tls_key"`
	TLSServerName string `toml:"tls_server_name"`
	// Kind is table (a table with a column for each field), postmeta (WordPress' posts and their meta) or usermeta.
	Kind string `toml:"kind"`
	// Preset names a help desk, whose post types and keys count where PostTypes and Keys are empty.
	Preset string `toml:"preset"`
	// PostTypes are the types of the managed posts; Keys maps fields to meta keys, Posts to columns of wp_posts.
	PostTypes []string          `toml:"post_types"`
	Keys      map[string]string `toml:"keys"`
	Posts     map[string]string `toml:"posts"`
	// Adds says whether the first value of a key waits for MySQL, too (behind), or is WordPress' own write (through).
	Adds string `toml:"adds"`
	// Queries says whether SQL that names a managed key flushes first (fresh), for up to QueryWait, or not (stale).
	Queries   string        `toml:"queries"`
	QueryWait time.Duration `toml:"query_wait"`
	// TablePrefix is WordPress' $table_prefix; Table overrides {prefix}support_tickets.
	TablePrefix string `toml:"table_prefix"`
	Table       string `toml:"table"`
	// KeyColumn and RevisionColumn name the columns of the ticket's id and revision; Columns maps fields to columns of
	// another name.
	KeyColumn      string            `toml:"key_column"`
	RevisionColumn string            `toml:"revision_column"`
	Columns        map[string]string `toml:"columns"`
	// KeyPrefix goes before the site's keys in Redis.
	KeyPrefix string `toml:"key_prefix"`
	// AllowUsers and AllowGroups may use the site: names or numbers. Root and the daemon's own user always may.
	AllowUsers  []string `toml:"allow_users"`
	AllowGroups []string `toml:"allow_groups"`
	// ClientTable is the clients' name of the table, database.table; empty: the daemon's name. AnyTable compares nothing.
	ClientTable string `toml:"client_table"`
	// Ack is the place that acknowledges a change: redis, or journal, the journal of this host; Redis then follows within
	// milliseconds.
	Ack string `toml:"ack"`
	// Strategy is event, interval or on_close; the following keys are its parameters. MaxAge bounds all strategies.
	Strategy      string        `toml:"strategy"`
	Linger        time.Duration `toml:"linger"`
	Period        time.Duration `toml:"period"`
	CloseField    string        `toml:"close_field"`
	CloseStatuses []string      `toml:"close_statuses"`
	MaxAge        time.Duration `toml:"max_age"`
	// Batch is the most tickets of a flush statement.
	Batch int `toml:"batch"`
	// Lease is how long a claim hides a ticket from other daemons.
	Lease time.Duration `toml:"lease"`
	// CleanTTL is how long a flushed ticket stays in Redis.
	CleanTTL time.Duration `toml:"clean_ttl"`
	// MaxDirty bounds the site's tickets pending for MySQL, so that a site does not take the room of other sites; 0 is no bound.
	MaxDirty int `toml:"max_dirty"`
	// IDBlock is how many ids for new tickets are leased at once, and so the number of creates possible while MySQL is
	// unreachable.
	IDBlock int `toml:"id_block"`
	// Feed, History and Feeds are about the site's changes: how many wait, the history of its tickets, and where else they go.
	Feed    Feed                   `toml:"feed"`
	History History                `toml:"history"`
	Feeds   map[string]Destination `toml:"feeds"`
}

// AnyTable is the ClientTable of a site that accepts any name of the table from its clients.
const AnyTable = "*"

// The sync strategies.
const (
	StrategyEvent    = "event"
	StrategyInterval = "interval"
	StrategyOnClose  = "on_close"
)

// The places that may acknowledge a change.
const (
	AckRedis   = "redis"
	AckJournal = "journal"
)

// SecretKey returns whether a key holds a secret.
func SecretKey(key string) bool {
	switch key[strings.LastIndex(key, ".")+1:] {
	case "dsn", "password", "sentinel_password", "secret", "url":
		return true
	default:
		return false
	}
}

// Secret is text that no message shows.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v too.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from every encoder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret text.
func (s Secret) Reveal() string { return string(s) }

// Defaults returns the configuration without any key set. The result has no site.
func Defaults() Config {
	return Config{
		Daemon: Daemon{
			Socket: "/run/ticketd/ticketd.sock", SocketMode: "0660", MaxConnections: 1024,
			IdleTimeout: time.Minute, RequestTimeout: 2 * time.Second, ShutdownTimeout: 20 * time.Second,
			StateDir: "/var/lib/ticketd", SpoolDir: "/var/spool/ticketd",
		},
		Log: Log{Level: "info", Format: "auto"},
		Redis: Redis{
			DialTimeout: 500 * time.Millisecond,
			ReadTimeout: 500 * time.Millisecond, WriteTimeout: 500 * time.Millisecond,
		},
		MySQL: MySQL{MaxConnections: 10},
		Journal: Journal{
			Enabled: true, Fsync: "always", FsyncInterval: 100 * time.Millisecond, MaxBytes: 512 << 20, MaxEntries: 1_000_000,
			MaxRequests: 4_000_000,
		},
	}
}

// defaultRedis is the address of a section [redis] without an address.
const defaultRedis = "127.0.0.1:6379"

// HasRedis returns whether the daemon uses Redis.
func (c *Config) HasRedis() bool {
	r := &c.Redis
	return r.Addr != "" || len(r.Sentinels) > 0 || len(r.Cluster) > 0
}

// The folders of a site's two journals: changes pending for Redis have another format than tickets pending for MySQL.
const (
	forRedis = "redis"
	forMySQL = "mysql"
)

// JournalDir returns the folder of a site's journal; empty without a journal.
func (c *Config) JournalDir(site string) string {
	if dir := c.journals(site); dir != "" && c.Journal.Enabled {
		return filepath.Join(dir, c.journalKind(c.HasRedis()))
	}
	return ""
}

// FormerJournalDir returns the folder of the site's journal of the other kind, from the time before Redis was added to or
// removed from the configuration; empty if no such journal can exist.
func (c *Config) FormerJournalDir(site string) string {
	if dir := c.journals(site); dir != "" {
		return filepath.Join(dir, c.journalKind(!c.HasRedis()))
	}
	return ""
}

func (c *Config) journals(site string) string {
	dir := c.Journal.Dir
	if dir == "" && c.Daemon.StateDir != "" {
		dir = filepath.Join(c.Daemon.StateDir, "journal")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site)
}

func (*Config) journalKind(redis bool) string {
	if redis {
		return forRedis
	}
	return forMySQL
}

// SiteDefaults returns a site without any key set.
func SiteDefaults() Site {
	return Site{
		Kind: KindTable, Adds: AddsBehind, Queries: QueriesFresh, QueryWait: 250 * time.Millisecond,
		TablePrefix: "wp_", KeyColumn: "ticket_id", RevisionColumn: "revision", AllowUsers: []string{"www-data"},
		Ack: AckRedis, Strategy: StrategyEvent, Linger: 200 * time.Millisecond, Period: time.Minute,
		CloseField: "status", CloseStatuses: []string{"closed", "resolved"}, MaxAge: 5 * time.Minute,
		Batch: 1000, Lease: 30 * time.Second, CleanTTL: 24 * time.Hour, MaxDirty: 1_000_000, IDBlock: 1000,
		Feed: FeedDefaults(), History: HistoryDefaults(),
	}
}

// TableName returns the name of the site's table.
func (s *Site) TableName() string {
	switch {
	case s.IsMeta():
		return s.TablePrefix + s.metaTable()
	case s.Table != "":
		return s.Table
	default:
		return s.TablePrefix + "support_tickets"
	}
}

// metaTable is the name of the meta table without the prefix.
func (s *Site) metaTable() string { return s.Kind }
