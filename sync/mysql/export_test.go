package mysql

import (
	"context"
	"database/sql"
)

// Pool returns the connections, for a test's preparations and checks.
func (db *DB) Pool() *sql.DB { return db.pool }

// Config returns the config of [Open].
func (db *DB) Config() Config { return db.config }

// LookElsewhere makes the guard take new connections for connections to another server.
func (db *DB) LookElsewhere(where string) {
	db.guard.look = func(context.Context, identities) (place, error) { return place{where: where}, nil }
}

// Bounded begins a SELECT as [DB.List] does.
var Bounded = bounded
