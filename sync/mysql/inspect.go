package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Found is what a database has under the name of the tickets table, for who sets a site up.
type Found struct {
	// There says that there is a table or a view.
	There bool
	// Ours says that ticketd made it, or that it was adopted and has the configured key.
	Ours bool
	// Key is the column that can be the ticket's id: an integer with a unique index of its own, the primary key if there are
	// several; empty without such a column.
	Key     string
	Columns []FoundColumn
}

// FoundColumn is one column of a table.
type FoundColumn struct {
	Name string
	// Type is as the database writes it, e.g. int(10) unsigned.
	Type string
	// Kind is the type without its size, e.g. int.
	Kind string
}

// Inspect looks at the table without changing anything. Errors wrap [flush.ErrSinkDown].
func (db *DB) Inspect(ctx context.Context) (*Found, error) {
	const operation = "look at the table"
	columns, err := db.describe(ctx)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	f := &Found{There: len(columns) > 0}
	for _, c := range columns {
		f.Columns = append(f.Columns, FoundColumn{Name: c.name, Type: c.columnType, Kind: c.dataType})
	}
	if !f.There {
		return f, nil
	}
	if f.Key, err = db.possibleKey(ctx); err != nil {
		return nil, db.failure(operation, err)
	}
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	defer conn.Close()
	f.Ours, err = db.ours(ctx, conn, columns)
	return f, db.failure(operation, err)
}

func (db *DB) ours(ctx context.Context, conn *sql.Conn, columns []described) (bool, error) {
	m := &migration{config: db.config, conn: conn}
	have := shape{}
	for _, c := range columns {
		have.columns = append(have.columns, part{name: c.name})
	}
	if !have.hasColumn(db.config.Key) {
		return false, nil
	}
	if side, err := m.exists(ctx, db.config.Table+sideSuffix); side || err != nil {
		return side, err
	}
	have, err := m.show(ctx, db.config.Table)
	if err != nil {
		return false, err
	}
	return m.own(ctx, have)
}

// possibleKey returns the integer column that alone is a unique index, best the primary key; empty without such a column.
func (db *DB) possibleKey(ctx context.Context) (string, error) {
	rows, err := db.pool.QueryContext(ctx, `SELECT c.column_name, c.data_type FROM information_schema.columns AS c JOIN (
		SELECT index_name, MAX(column_name) AS name FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0
		GROUP BY index_name HAVING COUNT(*) = 1) AS single ON single.name = c.column_name
		WHERE c.table_schema = DATABASE() AND c.table_name = ?
		ORDER BY single.index_name <> 'PRIMARY', c.ordinal_position`, db.config.Table, db.config.Table)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return "", fmt.Errorf("read the keys: %w", err)
		}
		if integerBits[strings.ToLower(kind)] != 0 {
			return name, nil
		}
	}
	return "", rows.Err()
}
