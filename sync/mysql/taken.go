package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
)

// idPlace is a table that knows ids which no new ticket may get: the tickets table, its tombstones, its side table.
type idPlace struct{ table, key string } // quoted

// idPlaces returns the tables that know ids. The tombstones and the side table exist beside some tickets tables only.
func (db *DB) idPlaces(ctx context.Context) ([]idPlace, error) {
	const operation = "look for tables with ids"
	places := []idPlace{{quote(db.config.Table), quote(db.config.Key)}}
	rows, err := db.pool.QueryContext(ctx, "SELECT table_name, column_name FROM information_schema.columns "+
		"WHERE table_schema = DATABASE() AND table_name IN (?,?) AND column_key = 'PRI'",
		db.config.Table+tombstonesSuffix, db.config.Table+sideSuffix)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, key string
		if err := rows.Scan(&table, &key); err != nil {
			return nil, db.failure(operation, err)
		}
		places = append(places, idPlace{quote(table), quote(key)})
	}
	if err := rows.Err(); err != nil {
		return nil, db.failure(operation, err)
	}
	db.places.Store(&places)
	return places, nil
}

// Taken returns which of the ids from first to last have a row in the tickets table, or had one that was deleted.
func (db *DB) Taken(ctx context.Context, first, last ticket.ID) ([]ticket.ID, error) {
	const operation = "look for free ids"
	places := db.places.Load() // a lease has looked for them
	if places == nil {
		places = &[]idPlace{{quote(db.config.Table), quote(db.config.Key)}}
	}
	query, args := between(*places, first, last)
	rows, err := db.pool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	defer rows.Close()
	var taken []ticket.ID
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, db.failure(operation, err)
		}
		taken = append(taken, ticket.ID(id))
	}
	return taken, db.failure(operation, rows.Err())
}

// between is the query for the ids from first to last that the tables have, each once.
func between(places []idPlace, first, last ticket.ID) (query string, args []any) {
	parts := make([]string, len(places))
	for i, p := range places {
		parts[i] = "SELECT " + p.key + " AS id FROM " + p.table + " WHERE " + p.key + " BETWEEN ? AND ?"
		args = append(args, int64(first), int64(last))
	}
	return strings.Join(parts, " UNION "), args
}

// gap returns first where one of the ids from first to last is free, and else the next free id above them.
func (db *DB) gap(ctx context.Context, places []idPlace, first, last ticket.ID) (ticket.ID, error) {
	const operation = "look for free ids"
	all, args := between(places, first, last)
	var n int64
	if err := db.pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM ("+all+") AS taken", args...).Scan(&n); err != nil {
		return 0, db.failure(operation, err)
	}
	if n <= int64(last-first) {
		return first, nil
	}
	// Each part walks up its index to the first id that has none behind it, in any of the tables.
	parts := make([]string, len(places))
	args = args[:0]
	for i, p := range places {
		free := make([]string, len(places))
		for j, q := range places {
			free[j] = fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s AS n WHERE n.%s = t.%s + 1)", q.table, q.key, p.key)
		}
		parts[i] = fmt.Sprintf("(SELECT t.%s + 1 AS id FROM %s AS t WHERE t.%s >= ? AND %s ORDER BY t.%s LIMIT 1)",
			p.key, p.table, p.key, strings.Join(free, " AND "), p.key)
		args = append(args, int64(last))
	}
	var gap int64
	query := "SELECT MIN(id) FROM (" + strings.Join(parts, " UNION ALL ") + ") AS gaps"
	if err := db.pool.QueryRowContext(ctx, query, args...).Scan(&gap); err != nil {
		return 0, db.failure(operation, err)
	}
	return ticket.ID(gap), nil
}
