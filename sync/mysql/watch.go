package mysql

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"net"

	driver "github.com/go-sql-driver/mysql"
)

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
