package mysql

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"net"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/health"
)

// Watch makes db report to the state of its server, which the sites of the server share, and obey that state: while the server is
// down, db makes no connection but for the trials that the server allows. db calls doubt after each statement that failed while
// the server may be up: the site is to find out whether its table can be read. doubt must not block. Call Watch before any other
// use of db.
func (db *DB) Watch(server *health.Server, doubt func()) { db.health, db.doubt = server, doubt }

// Ask finds out whether the server answers: on an open connection of the pool, if any, or only on a new one, which does not count
// for the pool. It is db's [health.Asker].
func (db *DB) Ask(ctx context.Context, connect bool) error {
	var err error
	if connect {
		var conn sqldriver.Conn
		if conn, err = db.connections.sessions.Connect(ctx); err == nil {
			_ = conn.Close()
		}
	} else {
		err = db.pool.PingContext(ctx)
	}
	if !lost(err) {
		return nil // a server that refuses this user answers
	}
	return err
}

// heard passes on what a statement's outcome says about the server and the site.
func (db *DB) heard(err error) {
	switch {
	case err == nil:
		db.health.Answered()
		return
	case errors.Is(err, health.ErrDown), errors.Is(err, context.Canceled): // no statement was sent, or its caller went away
		return
	case answered(err):
		db.health.Answered()
	default:
		db.health.Doubt()
	}
	if db.doubt != nil {
		db.doubt()
	}
}

// dial makes a connection, unless the server is known to be down. The pool's other connections are as dead as a server that does
// not answer.
func (b *borrower) dial(ctx context.Context) (sqldriver.Conn, error) {
	server := b.db.health
	if err := server.Enter(); err != nil {
		return nil, err
	}
	conn, err := b.sessions.Connect(ctx)
	if !lost(err) {
		server.Left(nil, false)
		return conn, err
	}
	undecided := ctx.Err() != nil
	if !undecided && !answered(err) {
		b.db.server.renew()
	}
	server.Left(err, undecided)
	return conn, err
}

// Error numbers with which a server refuses every caller.
const (
	errTooManyConnections = 1040
	errNotPrepared        = 1047 // Galera: this node is not a part of the cluster now
	errShutdown           = 1053
	errHostBlocked        = 1129
	errOffline            = 3032
)

// lost tells whether an error of a connection or of a ping concerns the server and not this user, session or table.
func lost(err error) bool {
	if err == nil {
		return false
	}
	if answered(err) {
		return refusedWith(err, errTooManyConnections, errNotPrepared, errShutdown, errHostBlocked, errOffline)
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrInvalidConn) || errors.Is(err, sqldriver.ErrBadConn) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
