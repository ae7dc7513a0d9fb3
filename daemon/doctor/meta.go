package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/sync/mysql"
)

// maxDoubles bounds the doubled keys that a finding names.
const maxDoubles = 5

// checkMeta checks the tables of a site whose values are WordPress' meta.
func checkMeta(ctx context.Context, e *exam, site string, c *config.Site, db *mysql.DB) {
	tables := boot.MetaOf(c, db)
	names := tables.Names()
	engines, err := db.Engines(ctx, names...)
	if err != nil {
		e.warn("mysql", "engine", site, "cannot read the engines of "+strings.Join(names, ", ")+": "+short(err), "read MySQL's log")
	}
	for _, name := range names {
		if engine := engines[name]; name != c.TableName() && engine != "" && !strings.EqualFold(engine, "InnoDB") {
			e.fail("mysql", "engine", site, name+" is "+engine+", which has no transactions: a flush cannot write values and revisions "+
				"together", "ALTER TABLE "+name+" ENGINE = InnoDB")
		}
	}
	switch statements, err := db.LogsStatements(ctx); {
	case err != nil:
		e.warn("mysql", "binlog", site, "cannot read binlog_format: "+short(err), "read MySQL's log")
	case statements:
		e.fail("mysql", "binlog", site, "binlog_format is STATEMENT: the server rejects transactions that lock no gaps, and ticketd's "+
			"flushes of meta are such transactions", "SET GLOBAL binlog_format = 'MIXED' (or ROW), and the same in my.cnf")
	default:
		e.ok("mysql", "binlog", site, "binlog_format takes transactions that lock no gaps")
	}
	if err := tables.Try(ctx); mysql.Denied(err) {
		e.fail("mysql", "grants", site, "this user may not write what a flush writes: "+short(err),
			"GRANT SELECT, INSERT, UPDATE, DELETE ON "+strings.Join(names, ", ")+" TO the user of the site's dsn")
	}
	doubles, err := tables.Doubles(ctx, maxDoubles)
	switch {
	case err != nil:
		e.warn("mysql", "keys", site, "cannot look for doubled keys: "+short(err), "read MySQL's log")
	case len(doubles) > 0:
		var found []string
		for _, d := range doubles {
			found = append(found, fmt.Sprintf("%s of %d", d.Key, int64(d.Owner)))
		}
		e.warn("mysql", "keys", site, "some keys have several rows: "+strings.Join(found, ", ")+
			"; WordPress writes such a key itself, at "+
			"once", "delete the surplus rows, if the plugin needs one alone, or take the key out of the site's keys")
	default:
		e.ok("mysql", "keys", site, "no managed key has several rows")
	}
}
