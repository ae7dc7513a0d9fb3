package config

import (
	"path/filepath"
	"strings"
	"time"
)

// Config is all that the daemon is told. [Defaults] says what each key is when nobody sets it; bounds stand in validate.go.
type Config struct {
	Daemon  Daemon          `toml:"daemon"`
	Log     Log             `toml:"log"`
	Redis   Redis           `toml:"redis"`
	Journal Journal         `toml:"journal"`
	Metrics Metrics         `toml:"metrics"`
	Sites   map[string]Site `toml:"sites"`
}

// Daemon is about the process and its socket.
type Daemon struct {
	// Socket is the path of the Unix socket; at most 107 bytes. systemd's socket takes precedence.
	Socket string `toml:"socket"`
	// SocketMode is the socket's mode in octal digits. Whoever may open the socket is still asked for its user id.
	SocketMode string `toml:"socket_mode"`
	// SocketGroup owns the socket: a name or number; empty leaves the daemon's own group.
	SocketGroup string `toml:"socket_group"`
	// MaxConnections bounds open connections; one more is answered overloaded. daemon.Connections says how users share them.
	MaxConnections int `toml:"max_connections"`
	// IdleTimeout closes a connection that sends nothing.
	IdleTimeout time.Duration `toml:"idle_timeout"`
	// RequestTimeout bounds the work on one request; of a flush the time in which MySQL takes nothing.
	RequestTimeout time.Duration `toml:"request_timeout"`
	// ShutdownTimeout bounds the orderly stop: answering what was accepted and flushing what is dirty.
	ShutdownTimeout time.Duration `toml:"shutdown_timeout"`
	// StateDir keeps the tables' definitions, so that writes are checked while MySQL is away. Empty keeps none.
	StateDir string `toml:"state_dir"`
	// SpoolDir has a folder for each user, where the user's clients put changes that they cannot deliver. Empty is none.
	SpoolDir string `toml:"spool_dir"`
	// SpoolGroup may put files straight into that folder, as clients do that know of no users' folders: a name or number, given to
	// the folder when it is made; empty is no group.
	SpoolGroup string `toml:"spool_group"`
}

// Log is about the log, which goes to standard error.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `toml:"level"`
	// Format is auto (readable on a terminal, JSON otherwise), console or json.
	Format string `toml:"format"`
}

// Redis says where the store is. Without this section in the configuration there is none: the journal is the store.
type Redis struct {
	// Addr is host:port, or unix:///path/to/redis.sock; empty where there is no Redis of a fixed address.
	Addr string `toml:"addr"`
	// Sentinels (host:port) say where the master called MasterName is; instead of Addr.
	Sentinels  []string `toml:"sentinels"`
	MasterName string   `toml:"master_name"`
	// The sentinels have a user and a password of their own, or none.
	SentinelUsername     string `toml:"sentinel_username"`
	SentinelPassword     Secret `toml:"sentinel_password"`
	SentinelPasswordFile string `toml:"sentinel_password_file"`
	// Cluster are nodes (host:port) of a Redis Cluster, from which the others are learned; instead of Addr.
	Cluster []string `toml:"cluster"`

	Username string `toml:"username"`
	Password Secret `toml:"password"`
	// PasswordFile holds the password instead; credential:NAME is a systemd credential.
	PasswordFile string `toml:"password_file"`
	DB           int    `toml:"db"`

	// TLS encrypts, to the sentinels too. TLSCA is a file of the CAs that may have signed Redis' certificate; empty is the system's.
	// TLSCert and TLSKey are the daemon's own certificate, where Redis asks for one. TLSServerName is the name that Redis'
	// certificate must be for; empty is the host that is connected to.
	TLS           bool   `toml:"tls"`
	TLSCA         string `toml:"tls_ca"`
	TLSCert       string `toml:"tls_cert"`
	TLSKey        string `toml:"tls_key"`
	TLSServerName string `toml:"tls_server_name"`

	// PoolSize is the most connections, in a cluster to each node; 0 is ten for each processor.
	PoolSize     int           `toml:"pool_size"`
	DialTimeout  time.Duration `toml:"dial_timeout"`
	ReadTimeout  time.Duration `toml:"read_timeout"`
	WriteTimeout time.Duration `toml:"write_timeout"`
}

// Journal is the local durable log of each site: it takes changes while Redis is out of reach, or all of them where there
// is no Redis.
type Journal struct {
	// Enabled: false does without, and needs a Redis.
	Enabled bool `toml:"enabled"`
	// Dir holds a folder for each site; empty is the folder journal in daemon.state_dir.
	Dir string `toml:"dir"`
	// Fsync is always (before a change is acknowledged; concurrent changes share one), interval (at most FsyncInterval after
	// it) or never (whenever the kernel likes). A crash of the daemon loses nothing with any of them, a power loss the
	// changes that were not synced.
	Fsync         string        `toml:"fsync"`
	FsyncInterval time.Duration `toml:"fsync_interval"`
	// MaxBytes and MaxEntries bound the journal of one site; beyond them changes are answered overloaded. An entry is a change that
	// waits for Redis, or without Redis a ticket that waits for MySQL.
	MaxBytes   int `toml:"max_bytes"`
	MaxEntries int `toml:"max_entries"`
	// MaxRequests bounds the request ids that are remembered of one site without Redis, about 75 bytes of memory each; beyond it
	// changes with another id are answered overloaded, until the time of one is over.
	MaxRequests int `toml:"max_requests"`
}

// Metrics says where the daemon tells how it does, as Prometheus text over HTTP. It asks nobody who they are, so only this host
// can reach it.
type Metrics struct {
	// Listen is 127.0.0.1:port, [::1]:port, localhost:port, or unix:///path/to.sock, which gets the mode and the group of
	// daemon.socket; empty offers nothing.
	Listen string `toml:"listen"`
	// Pprof offers profiles of the process below /debug/pprof/, too.
	Pprof bool `toml:"pprof"`
}

// Network splits Listen into "unix" and a path, or "tcp" and host:port.
func (m *Metrics) Network() (network, address string) {
	if path, unix := strings.CutPrefix(m.Listen, "unix://"); unix {
		return "unix", path
	}
	return "tcp", m.Listen
}

// Site is one WordPress.
type Site struct {
	// DSN is the database, as go-sql-driver takes it: user:password@unix(/path/to.sock)/database.
	DSN Secret `toml:"dsn"`
	// DSNFile holds the DSN instead, e.g. a systemd credential.
	DSNFile string `toml:"dsn_file"`
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
	// ClientTable is what clients call the table, database.table; empty: as the daemon does. AnyTable compares nothing.
	ClientTable string `toml:"client_table"`
	// Ack is what acknowledges a change: redis, or the journal of this host, from which Redis follows within milliseconds.
	Ack string `toml:"ack"`
	// Strategy is event, interval or on_close; the keys after it are its parameters. MaxAge bounds all of them.
	Strategy      string        `toml:"strategy"`
	Linger        time.Duration `toml:"linger"`
	Period        time.Duration `toml:"period"`
	CloseField    string        `toml:"close_field"`
	CloseStatuses []string      `toml:"close_statuses"`
	MaxAge        time.Duration `toml:"max_age"`
	// Batch is the most tickets of one flush statement.
	Batch int `toml:"batch"`
	// Lease hides a claimed ticket from other daemons.
	Lease time.Duration `toml:"lease"`
	// CleanTTL is how long a flushed ticket stays in Redis.
	CleanTTL time.Duration `toml:"clean_ttl"`
	// MaxDirty bounds the tickets that wait for MySQL, so that one site does not take the room of the others; 0 is no bound.
	MaxDirty int `toml:"max_dirty"`
	// IDBlock is how many ids for new tickets are leased at once: so many creates go on while MySQL is away.
	IDBlock int `toml:"id_block"`
}

// AnyTable is the ClientTable of a site whose clients may call the table whatever they like.
const AnyTable = "*"

// The sync strategies.
const (
	StrategyEvent    = "event"
	StrategyInterval = "interval"
	StrategyOnClose  = "on_close"
)

// What acknowledges a change.
const (
	AckRedis   = "redis"
	AckJournal = "journal"
)

// SecretKey says whether a key holds a secret.
func SecretKey(key string) bool {
	switch key[strings.LastIndex(key, ".")+1:] {
	case "dsn", "password", "sentinel_password":
		return true
	default:
		return false
	}
}

// Secret is text that is never shown.
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

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Defaults is the configuration when nobody sets anything. It has no site.
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
		Journal: Journal{
			Enabled: true, Fsync: "always", FsyncInterval: 100 * time.Millisecond, MaxBytes: 512 << 20, MaxEntries: 1_000_000,
			MaxRequests: 4_000_000,
		},
	}
}

// defaultRedis is the address where the section [redis] is there and names none.
const defaultRedis = "127.0.0.1:6379"

// HasRedis says whether there is a Redis at all.
func (c *Config) HasRedis() bool {
	r := &c.Redis
	return r.Addr != "" || len(r.Sentinels) > 0 || len(r.Cluster) > 0
}

// The folders of a site's two journals: what waits for Redis is written in another way than what waits for MySQL.
const (
	forRedis = "redis"
	forMySQL = "mysql"
)

// JournalDir is the folder of a site's journal; empty where there is none.
func (c *Config) JournalDir(site string) string {
	if dir := c.journals(site); dir != "" && c.Journal.Enabled {
		return filepath.Join(dir, c.journalKind(c.HasRedis()))
	}
	return ""
}

// FormerJournalDir is where the site's journal was if there was a Redis that the configuration does not have any more, or
// none where it has one now; empty where there cannot have been any.
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

// SiteDefaults is a site when nobody sets anything.
func SiteDefaults() Site {
	return Site{
		TablePrefix: "wp_", KeyColumn: "ticket_id", RevisionColumn: "revision", AllowUsers: []string{"www-data"},
		Ack: AckRedis, Strategy: StrategyEvent, Linger: 200 * time.Millisecond, Period: time.Minute,
		CloseField: "status", CloseStatuses: []string{"closed", "resolved"}, MaxAge: 5 * time.Minute,
		Batch: 1000, Lease: 30 * time.Second, CleanTTL: 24 * time.Hour, MaxDirty: 1_000_000, IDBlock: 1000,
	}
}

// TableName is the site's table.
func (s *Site) TableName() string {
	if s.Table != "" {
		return s.Table
	}
	return s.TablePrefix + "support_tickets"
}
