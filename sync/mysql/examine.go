package mysql

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Facts are what a database says of itself and of the tickets table, for people who look for what is wrong.
type Facts struct {
	Version string
	// SQLMode is the server's own; ticketd's sessions have their own.
	SQLMode  string
	ReadOnly bool
	Packet   int64 // max_allowed_packet in bytes
	// Ahead is by how much the server's clock is ahead of this host's, as far as the time of the question lets tell.
	Ahead time.Duration
	// Engine is the table's; empty where there is no such table.
	Engine string
	// Added says that an earlier version of ticketd added the revision column to a table that it did not make.
	Added bool
	// Denied are the statements that this user may not run on the table, e.g. UPDATE.
	Denied []string
	// Untried are rights of which it could not be told whether this user has them, with what the database said.
	Untried []string
}

// Examine asks for the facts. Nothing is changed: the statements that try the user's rights touch no row.
func (db *DB) Examine(ctx context.Context) (*Facts, error) {
	f := &Facts{}
	before := time.Now()
	var now float64
	err := db.pool.QueryRowContext(ctx, "SELECT VERSION(), @@GLOBAL.sql_mode, @@GLOBAL.read_only, @@max_allowed_packet, "+
		"UNIX_TIMESTAMP(NOW(6))").Scan(&f.Version, &f.SQLMode, &f.ReadOnly, &f.Packet, &now)
	if err != nil {
		return nil, db.failure("examine", err)
	}
	f.Ahead = ahead(time.UnixMicro(int64(now*1e6)), before, time.Now())
	err = db.pool.QueryRowContext(ctx, "SELECT COALESCE(MAX(engine), '') FROM information_schema.tables WHERE table_schema = "+
		"DATABASE() AND table_name = ?", db.config.Table).Scan(&f.Engine)
	if err != nil {
		return nil, db.failure("examine", err)
	}
	if f.Engine == "" {
		return f, nil
	}
	f.Denied, f.Untried = db.denied(ctx)
	err = db.pool.QueryRowContext(ctx, "SELECT COUNT(*) > 0 FROM information_schema.statistics WHERE table_schema = DATABASE() AND "+
		"table_name = ? AND index_name = ?", db.config.Table, addedIndex).Scan(&f.Added)
	return f, db.failure("examine", err)
}

// ahead is how far a clock that was read between two looks at this one lies outside them.
func ahead(theirs, before, after time.Time) time.Duration {
	switch {
	case theirs.Before(before):
		return theirs.Sub(before)
	case theirs.After(after):
		return theirs.Sub(after)
	default:
		return 0
	}
}

// denied tries what ticketd does with its tables, on no row. The database looks at the rights all the same.
func (db *DB) denied(ctx context.Context) (denied, untried []string) {
	tickets, key := quote(db.config.Table), quote(db.config.Key)
	tries := []struct{ name, statement string }{
		{"SELECT", "SELECT " + key + " FROM " + tickets + " WHERE 1 = 0"},
		{"INSERT", "INSERT INTO " + tickets + " (" + key + ") SELECT 1 FROM DUAL WHERE 1 = 0"},
		{"UPDATE", "UPDATE " + tickets + " SET " + key + " = " + key + " WHERE 1 = 0"},
	}
	if d := db.definition.Load(); d != nil && d.Side != "" {
		side := quote(d.Side)
		tries = append(tries, struct{ name, statement string }{
			"SELECT, INSERT, UPDATE on " + d.Side,
			"INSERT INTO " + side + " (ticket_id, revision, deleted) SELECT ticket_id, revision, deleted FROM " + side +
				" WHERE 1 = 0 ON DUPLICATE KEY UPDATE deleted = VALUES(deleted)",
		})
	}
	if d := db.definition.Load(); d != nil && d.DeletedAt == "" {
		tries = append(tries, struct{ name, statement string }{"DELETE", "DELETE FROM " + tickets + " WHERE 1 = 0"})
	}
	if db.config.standard() {
		tries = append(tries, struct{ name, statement string }{
			fmt.Sprintf("UPDATE on %s%s", db.config.Table, sequenceSuffix),
			"UPDATE " + db.sequence() + " SET next = next WHERE 1 = 0",
		})
	}
	for _, try := range tries {
		_, err := db.pool.ExecContext(ctx, try.statement)
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "denied"):
			denied = append(denied, try.name)
		default:
			untried = append(untried, fmt.Sprintf("%s (%v)", try.name, err))
		}
	}
	return denied, untried
}
