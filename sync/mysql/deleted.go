package mysql

import (
	"context"
	"database/sql"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
)

// deletedWindow is how many rows one look for deleted tickets goes through: no index helps there, and no statement may take as long
// as a table is large.
const deletedWindow = 50_000

// Deleted returns the deleted tickets among the next rows above after, in the order of their ids, and up to which id it has looked;
// more says that there are rows above that. Where the table has no deleted_at these are the tombstones. Errors wrap
// [flush.ErrSinkDown] or [flush.ErrSinkPaused].
func (db *DB) Deleted(ctx context.Context, after ticket.ID) (ids []ticket.ID, upTo ticket.ID, more bool, err error) {
	const operation = "read deleted tickets"
	d, err := db.known(ctx)
	if err != nil {
		return nil, 0, false, err
	}
	from, key, deleted := quote(d.Table), quote(d.Key), ""
	if d.DeletedAt == "" {
		from, key = db.tombstones(), "ticket_id"
	} else {
		i, _ := d.Position(d.DeletedAt)
		deleted = " AND NOT " + present(&d.Columns[i])
	}
	window := strings.Join([]string{"SELECT MAX(id),COUNT(*) FROM (SELECT", key, "AS id FROM", from, "WHERE", key, "> ? ORDER BY", key,
		"LIMIT ?) AS page"}, " ")
	var last sql.NullInt64
	var n int
	if err := db.pool.QueryRowContext(ctx, window, int64(after), deletedWindow).Scan(&last, &n); err != nil {
		return nil, 0, false, db.failure(operation, err)
	}
	if n == 0 {
		return nil, after, false, nil
	}
	rows, err := db.pool.QueryContext(ctx, "SELECT "+key+" FROM "+from+" WHERE "+key+" > ? AND "+key+" <= ?"+deleted+" ORDER BY "+key,
		int64(after), last.Int64)
	if err != nil {
		return nil, 0, false, db.failure(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, 0, false, db.failure(operation, err)
		}
		if id > 0 { // no ticket has another
			ids = append(ids, ticket.ID(id))
		}
	}
	return ids, ticket.ID(last.Int64), n == deletedWindow, db.failure(operation, rows.Err())
}
