package mysql

import (
	"context"
	"database/sql"
	"time"

	"github.com/ticketd/ticketd/store"
)

// Pool returns the connections, for a test's preparations and checks.
func (db *DB) Pool() *sql.DB { return db.pool }

// KeepNone makes every use of the database have a new connection.
func (db *DB) KeepNone() {
	db.server.mu.Lock()
	defer db.server.mu.Unlock()
	db.server.lifetime = 0
}

// CloseUnused closes the connections of the database's server that are unused at the given time for long enough.
func (db *DB) CloseUnused(at time.Time) {
	db.server.mu.Lock()
	db.server.now = func() time.Time { return at }
	db.server.mu.Unlock()
	db.server.closeUnused()
}

// Waiting is the number of calls that wait for a connection of the database's server.
func (db *DB) Waiting() int {
	db.server.mu.Lock()
	defer db.server.mu.Unlock()
	return len(db.server.waiting)
}

// Upsert returns the statement, with its arguments, that writes changes of the same fields.
func (db *DB) Upsert(ctx context.Context, changes []store.Claim) (query string, args []any, err error) {
	d, err := db.known(ctx)
	if err != nil {
		return "", nil, err
	}
	p := plan{definition: d, byShape: make(map[string]*group)}
	for i := range changes {
		p.add(i, &changes[i])
	}
	s := newStatements(d, p.groups[0])
	query, args = s.upsert(s.head(), s.tail(), sorted(s.group.rows))
	return query, args, nil
}

// Config returns the config of [Open].
func (db *DB) Config() Config { return db.config }

// LookElsewhere makes the guard take new connections for connections to another server.
func (db *DB) LookElsewhere(where string) {
	db.guard.look = func(context.Context, identities) (place, error) { return place{where: where}, nil }
}

// Bounded begins a SELECT as [DB.List] does.
var Bounded = bounded
