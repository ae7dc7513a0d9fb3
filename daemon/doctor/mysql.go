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

// The bounds of a MySQL that is fit. A smaller packet only cuts statements; below the least a single ticket may not fit.
const (
	leastPacket = 1 << 20
	goodPacket  = 4 << 20
)

// mysql looks at the database and the table of one site.
func (e *exam) mysql(ctx context.Context, site string) {
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
		e.noMySQL(site, err)
		return
	}
	_, definition := db.LoadDefinition(ctx)
	facts, err := db.Examine(ctx)
	if err != nil {
		e.fail("mysql", "reach", site, short(err), "look at MySQL's log")
		return
	}
	e.mysqlServer(site, facts)
	e.skew("mysql", site, "MySQL", facts.Ahead)
	if facts.Engine == "" {
		e.fail("mysql", "table", site, "there is no table "+db.Name(), "ticketd migrate --site "+site)
		return
	}
	e.table(ctx, site, db, facts, definition)
	if definition == nil {
		e.ids(ctx, site, db)
		e.revisions(ctx, site, db)
		if odd := db.NoTickets(); odd != "" {
			e.warn("mysql", "rows", site, odd, "give these rows another id, if they are tickets")
		}
	}
}

// revisions says whether something else has written into the column of revisions what none can be.
func (e *exam) revisions(ctx context.Context, site string, db *mysql.DB) {
	switch n, first, err := db.FindOddRevision(ctx); {
	case err != nil:
		e.warn("mysql", "revisions", site, "the revisions cannot be read: "+short(err), "look at MySQL's log")
	case n > 0:
		e.fail("mysql", "revisions", site, fmt.Sprintf("%d rows, the first of ticket %d, have a revision that none can be: something "+
			"else than ticketd has written it, and MySQL does not get their tickets' changes", n, int64(first)),
			"set it to 0 there, then ticketd dead retry --site "+site+" --all")
	default:
		e.ok("mysql", "revisions", site, "all are below the bound")
	}
}

// ids says whether new tickets get ids that no other program gives.
func (e *exam) ids(ctx context.Context, site string, db *mysql.DB) {
	counts, err := db.TryFence(ctx)
	unfenced, is := errors.AsType[*mysql.UnfencedError](err)
	switch {
	case is:
		e.fail("mysql", "ids", site, "no new tickets can be made: "+unfenced.Error(),
			"put that right and try INSERT INTO "+e.tableName(site)+" () VALUES () with sql_mode = '', then ROLLBACK")
	case err != nil:
		e.warn("mysql", "ids", site, "ticketd cannot check whether ids are kept apart: "+short(err), "look at MySQL's log")
	case counts:
		e.ok("mysql", "ids", site, "the key is AUTO_INCREMENT; ticketd's own ids are kept apart from those that the table gives")
	default:
		e.ok("mysql", "ids", site, "ids come from the sequence alone")
	}
}

// noMySQL says why nobody could connect.
func (e *exam) noMySQL(site string, err error) {
	const denied, deniedDatabase, noDatabase = 1045, 1044, 1049
	check, fix := "reach", "start it (systemctl start mariadb), or correct the address in the site's dsn"
	if errors.Is(err, mysql.ErrSession) {
		check, fix = "session", "let ticketd's user set it: look at the server's init_connect and maximum-… options, and at the "+
			"options of the site's dsn"
	}
	if refused, ok := errors.AsType[*driver.MySQLError](err); ok {
		switch refused.Number {
		case denied:
			check, fix = "login", "correct user and password in the site's dsn: wp-config.php has WordPress' own"
		case deniedDatabase:
			check, fix = "login", "GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO ticketd's user"
		case noDatabase:
			check, fix = "login", "correct the database in the site's dsn: wp-config.php has it as DB_NAME"
		}
	}
	e.fail("mysql", check, site, short(err), fix)
}

func (e *exam) mysqlServer(site string, f *mysql.Facts) {
	least := []int{8, 0}
	if strings.Contains(f.Version, "MariaDB") {
		least = []int{10, 11}
	}
	switch below, known := versionBelow(f.Version, least[0], least[1]); {
	case !known:
		e.warn("mysql", "version", site, fmt.Sprintf("the version %q cannot be read", f.Version), "SELECT VERSION() should be a number")
	case below:
		e.warn("mysql", "version", site, f.Version+" is older than what ticketd is tested with", "upgrade to MariaDB 10.11 or MySQL 8")
	default:
		e.ok("mysql", "version", site, f.Version)
	}
	if f.ReadOnly {
		e.fail("mysql", "read-only", site, "the server is read-only: it is a replica, or read_only was set",
			"point the site's dsn to the primary, or SET GLOBAL read_only = 0")
	}
	if strings.Contains(f.SQLMode, "STRICT_") {
		e.ok("mysql", "sql_mode", site, "strict")
	} else {
		e.ok("mysql", "sql_mode", site, "the server's own is not strict; ticketd's sessions are, so nothing is cut silently")
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

func (e *exam) table(ctx context.Context, site string, db *mysql.DB, f *mysql.Facts, definition error) {
	if definition != nil {
		e.fail("mysql", "table", site, short(definition), "ticketd migrate --site "+site)
		return
	}
	if !strings.EqualFold(f.Engine, "InnoDB") {
		e.fail("mysql", "engine", site, f.Engine+" loses committed rows in a crash and locks the whole table for each write",
			"ALTER TABLE "+e.tableName(site)+" ENGINE = InnoDB")
	}
	switch {
	case len(f.Denied) > 0:
		e.fail("mysql", "grants", site, "this user may not "+strings.Join(f.Denied, ", "),
			"GRANT SELECT, INSERT, UPDATE, DELETE ON the database TO the user of the site's dsn")
	case len(f.Untried) > 0:
		e.warn("mysql", "grants", site, "it cannot be told whether this user may "+strings.Join(f.Untried, ", "), "look at MySQL's log")
	default:
		e.ok("mysql", "grants", site, "this user may read and write the table")
	}
	missing, err := db.Migrate(ctx, mysql.MigrateOptions{DryRun: true})
	switch {
	case err != nil:
		e.warn("mysql", "table", site, "ticketd cannot check whether the table lacks something: "+short(err),
			"ticketd migrate --dry-run with a user that may CREATE TEMPORARY TABLES tells; see docs/install.md")
	case len(missing) > 0:
		e.warn("mysql", "table", site, "the table lacks something: "+short(errors.New(strings.Join(missing, "; "))),
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

func (e *exam) tableName(site string) string {
	c := e.Config.Sites[site]
	return c.TableName()
}
