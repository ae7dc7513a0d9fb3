package mysql

import (
	"context"
	"database/sql"
	"fmt"
)

// isTicket is the condition that a row's key is a ticket id. Tables of other plugins have rows with the key 0 or below, and
// unsigned keys reach further than ids: no client could name such a row, and no answer could carry it.
func isTicket(key string) string { return quote(key) + " BETWEEN 1 AND 9223372036854775807" }

// lookForNoTickets counts the rows whose key is no ticket id, for [DB.NoTickets].
func (db *DB) lookForNoTickets(ctx context.Context, key string) error {
	var n int64
	var first sql.NullString
	err := db.pool.QueryRowContext(ctx, "SELECT COUNT(*),MIN("+quote(key)+") FROM "+quote(db.config.Table)+
		" WHERE NOT "+isTicket(key)).Scan(&n, &first)
	if err != nil {
		return err
	}
	text := ""
	if n > 0 {
		text = fmt.Sprintf("rows of %s have a %s that is no ticket id (%d rows, the first is %s): list and count leave them out, as "+
			"ticket ids begin at 1 and end at 9223372036854775807", db.config.Table, key, n, first.String)
	}
	db.noTickets.Store(&text)
	return nil
}

// NoTickets says which rows had a key that is no ticket id when the definition was read last; empty where none had.
func (db *DB) NoTickets() string {
	if text := db.noTickets.Load(); text != nil {
		return *text
	}
	return ""
}
