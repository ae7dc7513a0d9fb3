package mysql

import (
	"context"
	"database/sql"
)

// Pool gives tests the connections, for what they prepare and look at.
func (db *DB) Pool() *sql.DB { return db.pool }

// Config gives tests what the database was opened with.
func (db *DB) Config() Config { return db.config }

// LookElsewhere has the guard take further connections for such to another server.
func (db *DB) LookElsewhere(where string) {
	db.guard.look = func(context.Context, identities) (place, error) { return place{where: where}, nil }
}

// Bounded begins a SELECT as [DB.List] does.
var Bounded = bounded
