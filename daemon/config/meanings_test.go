package config

// meanings are the sentences of docs/configure.md, by key.
var meanings = map[string]string{
	"daemon.socket":       "Path of the Unix socket, at most 107 bytes. A socket that systemd passes takes precedence.",
	"daemon.socket_mode":  "The socket's mode in octal digits. The daemon checks the user id of each client in any case.",
	"daemon.socket_group": "Group of the socket, by name or number: PHP-FPM's. Empty is the daemon's own.",
	"daemon.max_connections": "Open connections; a further connection is answered `overloaded`. 8 are reserved for root and the " +
		"daemon's user. If several users may use sites, each leaves a share to the next user, and 8 are kept free for each. Set " +
		"twice the sum of all pools' `pm.max_children`.",
	"daemon.idle_timeout": "A connection without a request for this time is closed.",
	"daemon.request_timeout": "The longest work on a request; at most four fifths of its client's own timeout (PHP: a second). " +
		"`flush` goes on as long as MySQL accepts changes.",
	"daemon.shutdown_timeout": "Bound of an orderly stop: answering the requests sent and flushing dirty tickets. The next " +
		"start flushes " +
		"the rest.",
	"daemon.state_dir": "Folder for the tables' definitions and identities and leased ids (for a start without MySQL), the " +
		"list of " +
		"new tickets that got another id, and the journal. Absolute; empty is no such folder.",
	"daemon.spool_dir": "Folder with a folder for each user in `allow_users` and `allow_groups`, where the user's PHP puts " +
		"undelivered changes; `ticketd spool prepare` makes the folders. Absolute; empty is no spool.",
	"daemon.spool_group": "Group that may put files straight into `spool_dir`, as plugins did before each user had a folder; " +
		"given to a new folder. Empty is no group.",

	"log.level": "Least level of the messages on standard error.",
	"log.format": "`auto` and `console` are lines for people, with colours on a terminal and priorities in systemd's journal; " +
		"`auto` is JSON where neither reads.",

	"redis.addr":                   "`host:port`, or `unix:///path/to/redis.sock`.",
	"redis.username":               "ACL user; needs a password, too.",
	"redis.password":               "Password of the user. Better in a file.",
	"redis.password_file":          "File that holds the password instead, e.g. a systemd credential.",
	"redis.db":                     "Number of the database. Choose a database that no cache plugin empties.",
	"redis.pool_size":              "The most connections; 0 is ten per processor.",
	"redis.dial_timeout":           "Time to connect.",
	"redis.read_timeout":           "Time to wait for an answer.",
	"redis.write_timeout":          "Time to send a command.",
	"redis.sentinels":              "Sentinels as `host:port`, which know the master's address; instead of `addr`.",
	"redis.master_name":            "The sentinels' name of the master; required with `sentinels`.",
	"redis.sentinel_username":      "The sentinels' own ACL user, if any.",
	"redis.sentinel_password":      "Password of the sentinels' user. Better in a file.",
	"redis.sentinel_password_file": "File that holds that password instead.",
	"redis.cluster":                "Some nodes of a Redis Cluster as `host:port`; instead of `addr`.",
	"redis.tls":                    "Encrypt the connections to Redis and the sentinels.",
	"redis.tls_ca":                 "File with the CAs that may have signed Redis' certificate; empty trusts the system's CAs.",
	"redis.tls_cert":               "File with this host's client certificate; needs `tls_key`.",
	"redis.tls_key":                "File with the key of that certificate.",
	"redis.tls_server_name":        "Name in Redis' certificate, if different from the host in the address.",

	"mysql.max_connections": "The most connections of this daemon to one server; all sites whose `dsn` has the same address share " +
		"them. A connection that is unused for a minute is closed. See [sites.md](sites.md#connections-to-mysql).",

	"journal.enabled":        "`false` switches the journal off, which requires Redis.",
	"journal.dir":            "Folder that holds a folder for each site. Absolute; empty is `journal` in `daemon.state_dir`.",
	"journal.fsync":          "When changes are synced to disk: before the answer, at an interval, or when the kernel decides.",
	"journal.fsync_interval": "The time of changes that a power loss may cost with `fsync = \"interval\"`.",
	"journal.max_bytes":      "Bytes of a site's journal; beyond this bound changes are answered `overloaded`.",
	"journal.max_entries":    "A site's changes pending for Redis, or tickets pending for MySQL; beyond this bound the same.",
	"journal.max_requests": "Request ids remembered for a site without Redis, about 75 bytes of memory each; at this bound " +
		"changes with a new id are answered `overloaded` until an old id expires.",

	"metrics.listen": "`127.0.0.1:port`, `[::1]:port`, `localhost:port`, or `unix:///path`, with the mode and group of the " +
		"daemon's socket; with `web_config` any `address:port`. Empty is no endpoint.",
	"metrics.web_config": "A [configuration file](https://github.com/prometheus/exporter-toolkit/blob/master/docs/" +
		"web-configuration.md) of Prometheus' exporter-toolkit, as an absolute path: TLS, passwords, client certificates.",
	"metrics.pprof": "Also offer profiles of the process below `/debug/pprof/`.",

	"sites.NAME.dsn": "The database as `user:password@unix(/path/to.sock)/database` or `user:password@tcp(host:3306)/database`. " +
		"ticketd sets strict mode, character set and time zone itself.",
	"sites.NAME.dsn_file": "File that holds the dsn instead, e.g. a systemd credential.",
	"sites.NAME.tls": "Encrypt the connections to MySQL over TCP, and check the server's certificate; instead of `?tls=` " +
		"in the dsn.",
	"sites.NAME.tls_ca": "File with the CAs that may have signed MySQL's certificate, such as the CA of a managed MySQL; empty " +
		"trusts the system's CAs.",
	"sites.NAME.tls_cert":        "File with this host's client certificate; needs `tls_key`.",
	"sites.NAME.tls_key":         "File with the key of that certificate, or `credential:NAME`.",
	"sites.NAME.tls_server_name": "Name in MySQL's certificate, if different from the host in the dsn.",
	"sites.NAME.kind": "Where the values are: a table with a column for each field, or WordPress' meta of posts or of users: see " +
		"[postmeta.md](postmeta.md).",
	"sites.NAME.preset":     "With meta: a help desk whose post types and keys count where `post_types` and `keys` are empty.",
	"sites.NAME.post_types": "With `postmeta`: the types of the managed posts.",
	"sites.NAME.keys": "With meta: the managed keys, as `field = \"meta_key\"`; at most 128 fields, whose names " +
		"do not begin with `_`.",
	"sites.NAME.posts": "With `postmeta`: fields that a column of `{table_prefix}posts` shows, as `field = \"post_status\"`; " +
		"`post_status`, `post_modified`, `post_modified_gmt` or `post_title`. See [postmeta.md](postmeta.md#columns-of-the-post).",
	"sites.NAME.adds": "With meta: `behind`, or `through`: WordPress itself writes the first value of a key, so that " +
		"`add_post_meta` " +
		"returns the row's id.",
	"sites.NAME.queries": "With meta: `fresh` flushes before SQL that names a managed key; with `stale` such SQL shows what " +
		"MySQL has.",
	"sites.NAME.query_wait":   "With meta: how long such a flush may delay the SQL.",
	"sites.NAME.table_prefix": "WordPress' `$table_prefix`; with a blog's number in a multisite.",
	"sites.NAME.table": "Name of the table. Empty is `{table_prefix}support_tickets`. A table of another plugin is " +
		"never altered: see [install.md](install.md#a-table-of-another-plugin).",
	"sites.NAME.key_column": "Column of the ticket's id: an integer with its own unique index.",
	"sites.NAME.revision_column": "Column of the ticket's revision in a table that ticketd made. The revisions of any other " +
		"table are in `{table}_ticketd`.",
	"sites.NAME.columns": "Fields whose column has another name: `field = \"column\"`. A column for `created_at`, " +
		"`updated_at` or `deleted_at` gets that meaning.",
	"sites.NAME.key_prefix": "Prefix of the site's keys in Redis, at most 200 bytes without braces and spaces. Each site needs " +
		"a different prefix.",
	"sites.NAME.allow_users":  "Users, by name or number, that may use the site. Root and the daemon's own user always may.",
	"sites.NAME.allow_groups": "Groups whose users may use the site; only the primary group counts.",
	"sites.NAME.client_table": "The clients' name of the table, `database.table`, if different from `dsn` and `table`, as " +
		"behind a proxy that renames databases. `*` accepts any name. A request for another table is refused: see " +
		"[operate.md](operate.md#another-site).",
	"sites.NAME.ack": "The place that acknowledges a change: Redis, or this host's journal; Redis then follows within " +
		"milliseconds.",
	"sites.NAME.strategy": "When changes are flushed to MySQL: soon after a change, on a period, or when a ticket is closed." +
		"When changes are flushed to MySQL: soon after a change, on a period, or when a ticket is closed.",
	"sites.NAME.linger":         "`event`: from the first change to the flush.",
	"sites.NAME.period":         "`interval`: from tick to tick.",
	"sites.NAME.close_field":    "`on_close`: the field …",
	"sites.NAME.close_statuses": "… and its values that flush the ticket at once. At least one.",
	"sites.NAME.max_age":        "The longest wait of a change, under any strategy.",
	"sites.NAME.batch":          "Tickets in one statement.",
	"sites.NAME.lease":          "How long a claimed ticket is hidden from other daemons; longer than the slowest statement.",
	"sites.NAME.clean_ttl":      "How long a flushed ticket stays in Redis for readers.",
	"sites.NAME.max_dirty": "The site's tickets that may be pending for MySQL; a change of a further ticket is answered " +
		"`overloaded`, so " +
		"that a site does not take the room of other sites. Without Redis `journal.max_entries` is a bound, too. 0 is no bound.",
	"sites.NAME.id_block": "Ids of new tickets leased ahead, and so the number of creates possible while MySQL is " +
		"unreachable. If the " +
		"table's key is AUTO_INCREMENT, numbers jump by `id_block` + 1,000 at each lease.",

	"sites.NAME.feed.enabled": "" +
		"Keep the site's changes for clients that read them, and for readers of the store itself. A site with " +
		"a history or a destination keeps them in any case.",
	"sites.NAME.feed.max_events": "" +
		"Events that wait for the slowest destination; beyond, the oldest go, and the destination gets a " +
		"`gap`. 200,000 are about 20 to 60 MB of Redis. A journal is bounded by `max_bytes` alone.",
	"sites.NAME.feed.max_bytes": "Their memory in Redis, as Redis reports it, or their room in the journal.",
	"sites.NAME.feed.keep": "" +
		"For how long events stay that all destinations have, for a rewind and for readers of the store itself.",
	"sites.NAME.feed.omit": "Fields whose values go to no destination.",

	"sites.NAME.history.enabled": "Keep a history of the tickets. MySQL must have room for a row for each change.",
	"sites.NAME.history.keep":    "For how long a change stays in the history.",
	"sites.NAME.history.omit":    "Fields whose changes are kept without values.",

	"sites.NAME.feeds.NAME.kind": "" +
		"What the destination is: an endpoint over HTTP, RabbitMQ, Kafka, NATS JetStream, or a client that " +
		"reads the feed over the socket.",
	"sites.NAME.feeds.NAME.of": "" +
		"Every change, or whole tickets once MySQL has them; many changes of a ticket are then one event." +
		"Every change, or whole tickets once MySQL has them; many changes of a ticket are then one event.",
	"sites.NAME.feeds.NAME.types":  "The kinds of events that the destination gets; empty: all.",
	"sites.NAME.feeds.NAME.fields": "Only updates that touch one of these fields; empty: all.",
	"sites.NAME.feeds.NAME.not_via": "" +
		"Leaves out changes that came through these parts of clients, such as `import`, or the consumer's " +
		"own.",
	"sites.NAME.feeds.NAME.omit":    "Fields whose values are left out.",
	"sites.NAME.feeds.NAME.timeout": "The longest time of a try.",
	"sites.NAME.feeds.NAME.give_up": "" +
		"For how long a refused event is tried before it becomes a dead letter. Later events of its ticket " +
		"wait meanwhile, other tickets do not.",
	"sites.NAME.feeds.NAME.url": "`webhook`: `https://host/path`; `http` to this host alone. `amqp`: " +
		"`amqps://user:password@host/vhost`. `nats`: `nats://host:4222` or `tls://host:4222`.",
	"sites.NAME.feeds.NAME.url_file": "File that holds the url instead, e.g. `credential:NAME` for a systemd credential." +
		"File that holds the url instead, e.g. `credential:NAME` for a systemd credential.",
	"sites.NAME.feeds.NAME.tls": "" +
		"`kafka`, `nats`: encrypt the connections. The schemes `https`, `amqps` and `tls` do so anyway." +
		"`kafka`, `nats`: encrypt the connections. The schemes `https`, `amqps` and `tls` do so anyway.",
	"sites.NAME.feeds.NAME.tls_ca": "" +
		"File with the CAs that may have signed the server's certificate; empty trusts the system's CAs." +
		"File with the CAs that may have signed the server's certificate; empty trusts the system's CAs.",
	"sites.NAME.feeds.NAME.tls_cert":        "File with this host's client certificate; needs `tls_key`.",
	"sites.NAME.feeds.NAME.tls_key":         "File with the key of that certificate, or `credential:NAME`.",
	"sites.NAME.feeds.NAME.tls_server_name": "Name in the server's certificate, if different from the host.",
	"sites.NAME.feeds.NAME.username":        "`kafka`, `nats`: the user.",
	"sites.NAME.feeds.NAME.password":        "`kafka`, `nats`: the password.",
	"sites.NAME.feeds.NAME.password_file":   "File that holds the password instead.",
	"sites.NAME.feeds.NAME.credentials_file": "" +
		"`nats`: file with the user's JWT and seed (`.creds`, as `nsc` writes it), or `credential:NAME`, instead of a user and a " +
		"password.",
	"sites.NAME.feeds.NAME.secret": "" +
		"`webhook`: the secret that signs requests, as `ticketd feed secret` makes it; a second line is the " +
		"old secret while receivers change over.",
	"sites.NAME.feeds.NAME.secret_file": "File that holds the secret instead.",
	"sites.NAME.feeds.NAME.batch":       "`webhook`: events in a request; above 1 the body is an array.",
	"sites.NAME.feeds.NAME.parallel":    "`webhook`: requests under way at once, of different tickets.",
	"sites.NAME.feeds.NAME.exchange":    "`amqp`: the topic exchange.",
	"sites.NAME.feeds.NAME.declare":     "`amqp`: make the exchange if it is missing.",
	"sites.NAME.feeds.NAME.routing":     "`amqp`: the routing key, with `{site}`, `{ticket}` and `{type}`.",
	"sites.NAME.feeds.NAME.unroutable":  "`amqp`: a message that no queue gets pauses the destination, or is dropped.",
	"sites.NAME.feeds.NAME.brokers":     "`kafka`: some brokers as `host:port`.",
	"sites.NAME.feeds.NAME.topic":       "`kafka`: the topic, with `{site}`. The key is the ticket's id.",
	"sites.NAME.feeds.NAME.sasl":        "`kafka`: how the user is authenticated; empty: not at all.",
	"sites.NAME.feeds.NAME.tombstones": "" +
		"`kafka`: a deletion is a message without a value, for compacted topics; needs `of = \"states\"`." +
		"`kafka`: a deletion is a message without a value, for compacted topics; needs `of = \"states\"`.",
	"sites.NAME.feeds.NAME.subject": "`nats`: the subject, with `{site}`, `{ticket}` and `{type}`.",
	"sites.NAME.feeds.NAME.stream":  "`nats`: the stream that must have the subject; empty: any.",
	"sites.NAME.feeds.NAME.create":  "`nats`: make the stream if it is missing.",
}
