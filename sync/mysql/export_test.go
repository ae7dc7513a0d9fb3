package mysql

import "database/sql"

// Pool is the pool with its pinned session, for tests that ask the database itself.
func (db *DB) Pool() *sql.DB { return db.pool }

// Bounded begins a SELECT as [DB.List] does.
var Bounded = bounded
