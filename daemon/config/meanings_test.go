package config

// meanings are the sentences of docs/configure.md, one for each key.
var meanings = map[string]string{
	"daemon.socket":       "Path of the Unix socket, at most 107 bytes. A socket that systemd passes takes precedence.",
	"daemon.socket_mode":  "The socket's mode in octal digits. Whoever may open it is still asked for the user id.",
	"daemon.socket_group": "Group of the socket, by name or number: PHP-FPM's. Empty is the daemon's own.",
	"daemon.max_connections": "Open connections; one more is answered `overloaded`. 8 are root's and the daemon's user's. Where " +
		"several users may use sites, one of them leaves a share to the next, and 8 are kept free for each: twice the sum of all " +
		"pools' `pm.max_children`.",
	"daemon.idle_timeout": "A connection that sends nothing for that long is closed.",
	"daemon.request_timeout": "Work on one request, at most, and four fifths of the time that its client waits (PHP: a second); " +
		"`flush` goes on as long as MySQL takes changes.",
	"daemon.shutdown_timeout": "An orderly stop: answering what was sent, flushing what is dirty. What is left is flushed at " +
		"the next start.",
	"daemon.state_dir": "Folder for the tables' definitions and identities and leased ids (for a start without MySQL), new " +
		"tickets that got another id, and the journal. Absolute; empty keeps nothing.",
	"daemon.spool_dir": "Folder that holds a folder for each user in `allow_users` and `allow_groups`, where the user's PHP puts " +
		"changes that it cannot deliver; `ticketd spool prepare` makes them. Absolute; empty is no spool.",
	"daemon.spool_group": "Group that may put files straight into `spool_dir`, as plugins did before each user had a folder; " +
		"given to the folder when it is made. Empty is no group.",

	"log.level":  "How much is said, on standard error.",
	"log.format": "`auto` is readable on a terminal and JSON otherwise.",

	"redis.addr":                   "`host:port`, or `unix:///path/to/redis.sock`.",
	"redis.username":               "ACL user; needs a password beside it.",
	"redis.password":               "Its password. Better in a file.",
	"redis.password_file":          "File that holds the password instead, e.g. a systemd credential.",
	"redis.db":                     "Number of the database. Give ticketd one that no cache plugin empties.",
	"redis.pool_size":              "Connections at most; 0 is ten for each processor.",
	"redis.dial_timeout":           "Time to connect.",
	"redis.read_timeout":           "Time to wait for an answer.",
	"redis.write_timeout":          "Time to send a command.",
	"redis.sentinels":              "Sentinels as `host:port`, which say where the master is; instead of `addr`.",
	"redis.master_name":            "What the sentinels call the master; needed with them.",
	"redis.sentinel_username":      "The sentinels' own ACL user, where they have one.",
	"redis.sentinel_password":      "Its password. Better in a file.",
	"redis.sentinel_password_file": "File that holds that password instead.",
	"redis.cluster":                "Nodes of a Redis Cluster as `host:port`, some of them; instead of `addr`.",
	"redis.tls":                    "Encrypt the connections to Redis and the sentinels.",
	"redis.tls_ca":                 "File with the certificates of those who may vouch for Redis; empty trusts the system's.",
	"redis.tls_cert":               "File with the certificate that this host shows; needs `tls_key`.",
	"redis.tls_key":                "File with the key of that certificate.",
	"redis.tls_server_name":        "Name that Redis' certificate must have, where it is not the host's.",

	"journal.enabled":        "`false` does without, which needs a Redis.",
	"journal.dir":            "Folder that holds a folder for each site. Absolute; empty is `journal` in `daemon.state_dir`.",
	"journal.fsync":          "When changes are brought to the disk: before the answer, soon after it, or when the kernel likes.",
	"journal.fsync_interval": "What a loss of power may cost with `fsync = \"interval\"`.",
	"journal.max_bytes":      "Bytes of one site's journal; beyond them changes are answered `overloaded`.",
	"journal.max_entries":    "Changes of one site that wait for Redis, or tickets that wait for MySQL; beyond them likewise.",
	"journal.max_requests": "Request ids that are remembered of one site without Redis, about 75 bytes of memory each; beyond " +
		"them changes with another id are answered `overloaded`, until the time of one is over.",

	"metrics.listen": "`127.0.0.1:port`, `[::1]:port`, `localhost:port`, or `unix:///path`, which gets mode and group of the " +
		"daemon's socket. " +
		"Empty offers nothing.",
	"metrics.pprof": "Offer profiles of the process below `/debug/pprof/`, too.",

	"sites.NAME.dsn": "The database as `user:password@unix(/path/to.sock)/database` or `user:password@tcp(host:3306)/database`. " +
		"Strict mode, character set and time zone are set whatever it says.",
	"sites.NAME.dsn_file":     "File that holds the dsn instead, e.g. a systemd credential.",
	"sites.NAME.table_prefix": "WordPress' `$table_prefix`; with a blog's number in a multisite.",
	"sites.NAME.table": "Name of the table. Empty is `{table_prefix}support_tickets`. One of another plugin is " +
		"never altered: see [install.md](install.md#a-table-of-another-plugin).",
	"sites.NAME.key_column": "Column of the ticket's id: an integer with a unique index of its own.",
	"sites.NAME.revision_column": "Column of its revision in a table that ticketd made. Those of another table are in " +
		"`{table}_ticketd`.",
	"sites.NAME.columns": "Fields whose column has another name: `field = \"column\"`. A column for `created_at`, " +
		"`updated_at` or `deleted_at` gets that meaning.",
	"sites.NAME.key_prefix": "Goes before the site's keys in Redis, at most 200 bytes without braces and spaces. Two sites " +
		"must differ in it.",
	"sites.NAME.allow_users":  "Users, by name or number, that may use the site. Root and the daemon's own user always may.",
	"sites.NAME.allow_groups": "Groups likewise: the user's primary group counts.",
	"sites.NAME.client_table": "What clients call the table, `database.table`, where that differs from `dsn` and `table`, as " +
		"behind a proxy that renames databases. `*` compares nothing. A request for another table is refused: see " +
		"[operate.md](operate.md#another-site).",
	"sites.NAME.ack": "What acknowledges a change: Redis, or this host's journal, from which Redis follows within " +
		"milliseconds.",
	"sites.NAME.strategy":       "When MySQL follows: soon after a change, on a period, or when a ticket is closed.",
	"sites.NAME.linger":         "`event`: from the first change to the flush.",
	"sites.NAME.period":         "`interval`: from tick to tick.",
	"sites.NAME.close_field":    "`on_close`: the field …",
	"sites.NAME.close_statuses": "… and its values that flush the ticket at once. At least one.",
	"sites.NAME.max_age":        "No change waits longer, under any strategy.",
	"sites.NAME.batch":          "Tickets in one statement.",
	"sites.NAME.lease":          "How long a claimed ticket is hidden from other daemons; longer than the slowest statement.",
	"sites.NAME.clean_ttl":      "How long a flushed ticket stays in Redis for readers.",
	"sites.NAME.max_dirty": "Tickets of the site that may wait for MySQL; a change of one more is answered `overloaded`, so " +
		"that one site does not take the room of the others. Without Redis `journal.max_entries` is a bound, too. 0 is none.",
	"sites.NAME.id_block": "Ids of new tickets leased ahead: so many creates go on while MySQL is away. Where the key of the " +
		"table is AUTO_INCREMENT, numbers jump by this and 1,000 at each lease.",
}
