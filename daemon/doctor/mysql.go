package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/sync/mysql"
)

// The bounds of max_allowed_packet. A smaller packet than goodPacket only makes statements smaller; below leastPacket a
// single ticket may not fit.
const (
	leastPacket = 1 << 20
	goodPacket  = 4 << 20
)

// checkMySQL checks the database and the table of a site.
func checkMySQL(ctx context.Context, e *exam, site string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c := e.Config.Sites[site]
	db, err := boot.OpenDatabase(c)
	if err != nil {
		e.fail("mysql", "reach", site, short(err), "correct the site's dsn")
		return
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		reportNoMySQL(e, site, err)
		return
	}
	_, definition := db.LoadDefinition(ctx)
	facts, err := db.Examine(ctx)
	if err != nil {
		reportNoMySQL(e, site, err)
		return
	}
	checkMySQLServer(e, site, facts)
	checkConnections(e, site, db.Address(), facts)
	checkSkew(e, "mysql", site, "MySQL", facts.Ahead)
	if facts.Engine == "" {
		remedy := "ticketd migrate --site " + site +
			"; if its user may not CREATE, an administrator runs what 'ticketd migrate --dry-run' prints"
		if c.IsMeta() {
			remedy = "correct table_prefix, or the database in the dsn: WordPress makes this table"
		}
		e.fail("mysql", "table", site, "no table "+db.Name()+", or none that this user may read", remedy)
		return
	}
	checkTable(ctx, e, site, db, facts, definition)
	if definition == nil {
		if c.IsMeta() {
			checkMeta(ctx, e, site, &c, db)
		} else {
			checkIDs(ctx, e, site, db)
		}
		checkRevisions(ctx, e, site, db)
		if odd := db.NoTickets(); odd != "" {
			e.warn("mysql", "rows", site, odd, "give these rows another id, if they are tickets")
		}
	}
}

// checkRevisions checks that every row has a possible revision; only another program writes others.
func checkRevisions(ctx context.Context, e *exam, site string, db *mysql.DB) {
	switch n, first, err := db.FindOddRevision(ctx); {
	case err != nil:
		e.warn("mysql", "revisions", site, "cannot read the revisions: "+short(err), "read MySQL's log")
	case n > 0:
		e.fail("mysql", "revisions", site, fmt.Sprintf("%d rows, the first of ticket %d, have an impossible revision: another "+
			"program has written the revision, and MySQL rejects the changes of these tickets", n, int64(first)),
			"set the revision to 0 in these rows, then ticketd dead retry --site "+site+" --all")
	default:
		e.ok("mysql", "revisions", site, "all revisions are below the bound")
	}
}

// checkIDs checks that no other program can give the ids of new tickets.
func checkIDs(ctx context.Context, e *exam, site string, db *mysql.DB) {
	counts, err := db.TryFence(ctx)
	unfenced, is := errors.AsType[*mysql.UnfencedError](err)
	switch {
	case is:
		e.fail("mysql", "ids", site, "creates fail: "+unfenced.Error(),
			"correct the table and test with INSERT INTO "+tableName(e, site)+" () VALUES () with sql_mode = '', then ROLLBACK")
	case err != nil:
		e.warn("mysql", "ids", site, "cannot check that ticketd's ids differ from the table's: "+short(err), "read MySQL's log")
	case counts:
		e.ok("mysql", "ids", site, "the key is AUTO_INCREMENT; ticketd's ids differ from the table's")
	default:
		e.ok("mysql", "ids", site, "all ids come from the sequence")
	}
}

// reportNoMySQL reports why the connection failed.
func reportNoMySQL(e *exam, site string, err error) {
	r := mysqlRemedy(err)
	e.fail("mysql", r.check, site, r.meaning+short(err), r.fix)
}

// mysqlRemedies by error number, of a connection or of its first statements.
var mysqlRemedies = map[uint16]remedy{
	1040: {"connections", "", "raise the server's max_connections above the sum of pm.max_children of PHP's pools and of each " +
		"ticketd's mysql.max_connections; docs/sites.md"},
	1044: {"login", "", "GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO ticketd's user"},
	1045: {"login", "", "correct user and password in the site's dsn: wp-config.php has WordPress' own"},
	1049: {"login", "", "correct the database in the site's dsn: DB_NAME in wp-config.php"},
	1129: {"login", "", "FLUSH HOSTS (mysqladmin flush-hosts), then look for what breaks connections off"},
	1130: {"login", "", "CREATE USER with this host's name, or connect through the server's socket: " +
		"unix(/run/mysqld/mysqld.sock) in the site's dsn"},
	1142: {"grants", "", "GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO the user of the site's dsn"},
	1143: {"grants", "", "GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO the user of the site's dsn"},
	1203: {"connections", "", "lower mysql.max_connections, or ALTER USER … WITH MAX_USER_CONNECTIONS 0; docs/sites.md"},
	1226: {"limits", "", "ALTER USER … WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0, then FLUSH " +
		"USER_RESOURCES: a daemon needs a user without limits per hour"},
	1820: expired,
	1862: expired,
	3118: locked,
	3159: {"tls", "", "add ?tls=true to the site's dsn: the server takes only encrypted connections of this user"},
	4151: locked,
}

var (
	expired = remedy{
		"login", "the password has expired: ",
		"ALTER USER … IDENTIFIED BY the password of the site's dsn, and PASSWORD EXPIRE NEVER for a user that no person uses",
	}
	locked = remedy{"login", "the account is locked: ", "ALTER USER … ACCOUNT UNLOCK"}
)

// mysqlRemedy finds the remedy of an error of a connection to MySQL.
func mysqlRemedy(err error) remedy {
	if refused, is := errors.AsType[*driver.MySQLError](err); is {
		if r, known := mysqlRemedies[refused.Number]; known {
			return r
		}
	}
	switch {
	case errors.Is(err, driver.ErrNoTLS):
		return remedy{
			"tls", "the site's dsn asks for TLS, which this server does not speak: ",
			"remove tls=… from the site's dsn, or give the server ssl_cert and ssl_key",
		}
	case errors.Is(err, mysql.ErrSession):
		return remedy{"session", "", "permit ticketd's user to set the variable: see the server's init_connect and maximum-… " +
			"options, and the options of the site's dsn"}
	}
	if r, is := certificateRemedy(err, "the CA of MySQL's certificate", "the host in the site's dsn"); is {
		return r
	}
	return remedy{"reach", "", "start MySQL (systemctl start mariadb), or correct the address in the site's dsn"}
}

func checkMySQLServer(e *exam, site string, f *mysql.Facts) {
	least := []int{8, 0}
	if strings.Contains(f.Version, "MariaDB") {
		least = []int{10, 11}
	}
	switch below, known := versionBelow(f.Version, least[0], least[1]); {
	case !known:
		e.warn("mysql", "version", site, fmt.Sprintf("cannot read the version %q", f.Version), "SELECT VERSION() should be a number")
	case below:
		e.warn("mysql", "version", site, f.Version+" is older than the versions that ticketd is tested with",
			"upgrade to MariaDB 10.11 or MySQL 8")
	default:
		e.ok("mysql", "version", site, f.Version)
	}
	if f.ReadOnly {
		e.fail("mysql", "read-only", site, "the server is read-only: the server is a replica, or read_only is set",
			"point the site's dsn to the primary, or SET GLOBAL read_only = 0")
	}
	if strings.Contains(f.SQLMode, "STRICT_") {
		e.ok("mysql", "sql_mode", site, "strict")
	} else {
		e.ok("mysql", "sql_mode", site, "the server's sql_mode is not strict; ticketd's sessions are, so no value is cut silently")
	}
	switch {
	case f.Packet < leastPacket:
		e.fail("mysql", "packet", site, fmt.Sprintf("max_allowed_packet is %d bytes: a long ticket does not fit", f.Packet),
			"SET GLOBAL max_allowed_packet = 16777216, and the same in my.cnf")
	case f.Packet < goodPacket:
		e.warn("mysql", "packet", site, fmt.Sprintf("max_allowed_packet is %d bytes, which makes statements small", f.Packet),
			"SET GLOBAL max_allowed_packet = 16777216, and the same in my.cnf")
	default:
		e.ok("mysql", "packet", site, fmt.Sprintf("max_allowed_packet is %d bytes", f.Packet))
	}
}

// checkConnections checks, once for each server and user, that ticketd's connections leave WordPress most of the server's.
func checkConnections(e *exam, site, address string, f *mysql.Facts) {
	const check, half = "connections", 2
	of := fmt.Sprintf("%s, %d for the user", address, f.MaxUserConnections)
	if e.servers[of] {
		return
	}
	e.servers[of] = true
	ours := e.Config.MySQL.MaxConnections
	limits := fmt.Sprintf("ticketd uses up to %d of the server's %d connections", ours, f.MaxConnections)
	switch {
	case f.MaxUserConnections > 0 && half*ours > f.MaxUserConnections:
		e.warn("mysql", check, site, fmt.Sprintf("mysql.max_connections is %d, and the server allows the user of the site's dsn %d "+
			"connections, those of WordPress included", ours, f.MaxUserConnections), fmt.Sprintf("set mysql.max_connections to %d or "+
			"less, or raise MAX_USER_CONNECTIONS of the user; docs/sites.md", max(f.MaxUserConnections/half, half)))
	case half*ours > f.MaxConnections:
		e.warn("mysql", check, site, limits+", and WordPress needs the rest", "lower mysql.max_connections, or raise the server's "+
			"max_connections; docs/sites.md")
	case f.Peak >= f.MaxConnections:
		e.warn("mysql", check, site, fmt.Sprintf("all %d connections of the server were in use at a time since its start: it refuses "+
			"further ones with error 1040", f.MaxConnections), "raise the server's max_connections above the sum of pm.max_children "+
			"of PHP's pools and of each ticketd's mysql.max_connections; docs/sites.md")
	default:
		e.ok("mysql", check, site, limits)
	}
}

func checkTable(ctx context.Context, e *exam, site string, db *mysql.DB, f *mysql.Facts, definition error) {
	if refused, is := errors.AsType[*driver.MySQLError](definition); is && mysqlRemedies[refused.Number].check == "grants" {
		reportNoMySQL(e, site, definition)
		return
	}
	if definition != nil {
		e.fail("mysql", "table", site, short(definition), "ticketd migrate --site "+site)
		return
	}
	if !strings.EqualFold(f.Engine, "InnoDB") {
		e.fail("mysql", "engine", site, f.Engine+" loses committed rows in a crash and locks the whole table for each write",
			"ALTER TABLE "+tableName(e, site)+" ENGINE = InnoDB")
	}
	switch {
	case len(f.Denied) > 0:
		e.fail("mysql", "grants", site, "this user may not "+strings.Join(f.Denied, ", "),
			"GRANT SELECT, INSERT, UPDATE, DELETE ON the database TO the user of the site's dsn")
	case len(f.Untried) > 0:
		e.warn("mysql", "grants", site, "cannot check whether this user may "+strings.Join(f.Untried, ", "), "read MySQL's log")
	default:
		e.ok("mysql", "grants", site, "this user may read and write the table")
	}
	missing, err := db.Migrate(ctx, mysql.MigrateOptions{DryRun: true})
	switch {
	case err != nil:
		e.warn("mysql", "table", site, "cannot check the table's columns and indexes: "+short(err),
			"run ticketd migrate --dry-run as a user that may CREATE TEMPORARY TABLES; see docs/install.md")
	case len(missing) > 0:
		e.warn("mysql", "table", site, "the table is incomplete: "+short(errors.New(strings.Join(missing, "; "))),
			"ticketd migrate --site "+site)
	case f.Added && db.Definition().Side == "":
		e.warn("mysql", "table", site, "an earlier version added the column of revisions to "+db.Name()+", which is not "+
			"ticketd's: its owner's archives and saves of whole rows may break or bring old revisions back",
			"stop ticketd on every host, then ticketd migrate --sidecar --drop-column --site "+site)
	case db.Definition().Side != "":
		e.ok("mysql", "table", site, db.Name()+" is not ticketd's and is not altered; its revisions are in "+db.Definition().Side)
	default:
		e.ok("mysql", "table", site, db.Name()+" has its columns and indexes")
	}
}

func tableName(e *exam, site string) string {
	c := e.Config.Sites[site]
	return c.TableName()
}

// checkIdentity checks that all places of a site belong to its table.
func checkIdentity(ctx context.Context, e *exam, site string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	w, err := boot.FindWhereabouts(ctx, e.Config, site)
	if err != nil {
		e.warn("mysql", "identity", site, "cannot check that all places of the site belong to its table: "+short(err),
			"see the findings about MySQL and Redis")
		return
	}
	defer func() { _ = w.Close() }()
	decide := "ticketd identity move --site " + site + " if the table has moved, ticketd identity new --site " + site +
		" if the table is a copy"
	switch {
	case w.Table.ID == "":
		e.warn("mysql", "identity", site,
			"the table has no identity: ticketd cannot distinguish the table from a copy on another server",
			"ticketd migrate --site "+site)
	case !w.Table.AtHome():
		e.fail("mysql", "identity", site, "the table belongs to the "+w.Table.Home+", and this is the "+w.Table.Here+
			": the site is not served", decide)
	default:
		e.ok("mysql", "identity", site, "the table "+w.Table.ID+" is on its own server")
	}
	if w.Foreign(w.Keys) {
		e.fail("redis", "owner", site, "the keys "+w.Prefix+"* belong to another table, "+w.Keys+": the site is not served",
			"give the site its own key_prefix or redis.db; ticketd identity move --site "+site+" if that table has moved here")
	} else if w.Keys != "" {
		e.ok("redis", "owner", site, "the keys "+w.Prefix+"* belong to this table")
	}
	for dir, identity := range w.Journals {
		if w.Foreign(identity) {
			e.fail("journal", "identity", site, dir+" is for another table, "+identity+": while it has changes the site is not served",
				"restore the former configuration, start, ticketd flush, stop; ticketd identity move --site "+site+
					" if that table has moved here")
		}
	}
}
