package mysql

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

const (
	// connLifetime stays below the idle limits that proxies and servers commonly have.
	connLifetime = 4 * time.Minute
	// connIdle is how long an unused connection stays open.
	connIdle = time.Minute
	// DefaultServerConns is the default of [NewServers]: MariaDB and MySQL take 151 connections by default, which WordPress needs.
	DefaultServerConns = 10
	// leastServerConns is what a lease of fenced ids needs: a connection for the sequence and one for the fence.
	leastServerConns = 2
)

// Servers are this process' connections to MySQL. All databases on one server share the server's connections, whose number is
// bounded: a server with 200 sites sees as many connections as a server with one busy site.
type Servers struct {
	size     int
	lifetime time.Duration // of a connection

	mu        sync.Mutex
	byAddress map[string]*server
}

// NewServers makes pools of at most size connections to each server, and at least two. Zero stands for [DefaultServerConns].
func NewServers(size int) *Servers {
	if size == 0 {
		size = DefaultServerConns
	}
	return &Servers{size: max(size, leastServerConns), lifetime: connLifetime, byAddress: make(map[string]*server)}
}

// join returns the server of an address for another database.
func (s *Servers) join(address string) *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byAddress[address]
	if found == nil {
		found = &server{
			address: address, size: s.size, lifetime: s.lifetime, fence: make(chan struct{}, 1), now: time.Now,
		}
		s.byAddress[address] = found
	}
	found.join()
	return found
}

// server is a pool of connections to one server. A connection belongs to a login, that is all of a DSN but the database: a site
// takes a connection of its login, and makes one if none is free. If the pool is full, the connection that was unused for the
// longest time makes room. Waiting callers have their turn in order.
type server struct {
	address  string
	size     int
	lifetime time.Duration
	now      func() time.Time
	fence    chan struct{} // full while a lease of fenced ids holds its first connection and needs a second

	mu      sync.Mutex
	users   int           // open databases
	conns   int           // connections, and turns to make one
	idle    []*connection // in the order of their last use
	waiting []*waiter     // in the order of their calls
	age     int           // grows with [server.renew]
	sweep   *time.Timer
}

// connection is a connection to a server.
type connection struct {
	link

	login    string
	made     time.Time
	used     time.Time
	age      int          // of the server when the connection was made
	database string       // in use; empty before the first
	checked  map[*DB]bool // the databases whose guard has accepted the connection
}

// link is what the driver's connections can do.
type link interface {
	sqldriver.Conn
	sqldriver.ConnBeginTx
	sqldriver.ConnPrepareContext
	sqldriver.ExecerContext
	sqldriver.NamedValueChecker
	sqldriver.Pinger
	sqldriver.QueryerContext
	sqldriver.SessionResetter
	sqldriver.Validator
}

// waiter is a call that waits for a connection. turn receives a connection of the login, or nil: the call may then make one.
type waiter struct {
	login string
	turn  chan *connection
}

func (s *server) join() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
}

// leave ends a database's use of the server. The last use closes the connections.
func (s *server) leave() {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	s.mu.Unlock()
	if last {
		s.renew()
	}
}

// renew closes all connections, those in use at the end of their use: the address may lead to another server now.
func (s *server) renew() {
	s.mu.Lock()
	s.age++
	closed := s.idle
	s.idle = nil
	s.conns -= len(closed) // no call waits while a connection is idle
	s.mu.Unlock()
	closeAll(closed)
}

// take returns a connection of the login, which dial makes.
func (s *server) take(ctx context.Context, login string, dial func(context.Context) (link, error)) (*connection, error) {
	c, closed, err := s.turn(ctx, login)
	if closed != nil {
		_ = closed.Close()
	}
	if c != nil || err != nil {
		return c, err
	}
	made, err := dial(ctx)
	if err != nil {
		s.giveTurn()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &connection{link: made, login: login, made: s.now(), age: s.age, checked: make(map[*DB]bool)}, nil
}

// turn waits for a connection, or for the turn to make one after the connection closed was closed.
func (s *server) turn(ctx context.Context, login string) (c, closed *connection, err error) {
	s.mu.Lock()
	for i, c := range slices.Backward(s.idle) { // the latest, so that the others come to rest
		if c.login != login {
			continue
		}
		s.idle = slices.Delete(s.idle, i, i+1)
		usable := !s.outdated(c) && c.ResetSession(ctx) == nil // which does not wait for the server
		s.mu.Unlock()
		if usable {
			return c, nil, nil
		}
		return nil, c, nil
	}
	switch {
	case s.conns < s.size:
		s.conns++
		s.mu.Unlock()
		return nil, nil, nil
	case len(s.idle) > 0:
		closed, s.idle = s.idle[0], s.idle[1:]
		s.mu.Unlock()
		return nil, closed, nil
	}
	w := &waiter{login: login, turn: make(chan *connection, 1)}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case c := <-w.turn:
		return c, nil, nil
	case <-ctx.Done():
		s.stopWaiting(w)
		return nil, nil, fmt.Errorf("all %d connections to %s (mysql.max_connections) are in use: %w", s.size, s.address,
			context.Cause(ctx))
	}
}

func (s *server) stopWaiting(w *waiter) {
	s.mu.Lock()
	i := slices.Index(s.waiting, w)
	if i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	s.mu.Unlock()
	if i >= 0 {
		return
	}
	if c := <-w.turn; c != nil { // the turn came at the same time
		s.put(c)
	} else {
		s.giveTurn()
	}
}

// outdated says that a connection must not be used again. The caller holds the lock.
func (s *server) outdated(c *connection) bool {
	return c.age != s.age || s.now().Sub(c.made) >= s.lifetime || !c.IsValid()
}

// put takes a connection back.
func (s *server) put(c *connection) {
	s.mu.Lock()
	switch {
	case s.users == 0 || s.outdated(c) || len(s.waiting) > 0 && s.waiting[0].login != c.login:
		s.mu.Unlock()
		_ = c.Close()
		s.giveTurn()
		return
	case len(s.waiting) > 0:
		w := s.waiting[0]
		s.waiting = s.waiting[1:]
		w.turn <- c
	default:
		c.used = s.now()
		s.idle = append(s.idle, c)
		if s.sweep == nil {
			s.sweep = time.AfterFunc(connIdle, s.closeUnused)
		}
	}
	s.mu.Unlock()
}

// giveTurn passes the turn to make a connection to the first waiting call.
func (s *server) giveTurn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.conns--
		return
	}
	w := s.waiting[0]
	s.waiting = s.waiting[1:]
	w.turn <- nil
}

// closeUnused closes the connections that were unused for [connIdle], and plans the next call for the others.
func (s *server) closeUnused() {
	s.mu.Lock()
	now := s.now()
	n := 0
	for n < len(s.idle) && now.Sub(s.idle[n].used) >= connIdle {
		n++
	}
	closed := slices.Clone(s.idle[:n])
	s.idle = slices.Delete(s.idle, 0, n)
	s.conns -= n
	if s.sweep = nil; len(s.idle) > 0 {
		s.sweep = time.AfterFunc(connIdle-now.Sub(s.idle[0].used), s.closeUnused)
	}
	s.mu.Unlock()
	closeAll(closed)
}

func closeAll(conns []*connection) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// fenceTurn waits until no other lease of fenced ids uses the server. Such a lease needs a second connection while it holds the
// first: several leases could hold all connections and wait for each other.
func (s *server) fenceTurn(ctx context.Context) (done func(), err error) {
	select {
	case s.fence <- struct{}{}:
		return func() { <-s.fence }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("another site leases ids on %s: %w", s.address, context.Cause(ctx))
	}
}

// borrowed is a server's connection while a database uses it. database/sql closes it after each use.
type borrowed struct {
	*connection

	server *server
}

// Close gives the connection back to the server's pool.
func (b *borrowed) Close() error {
	b.server.put(b.connection)
	return nil
}

// borrower connects a database: its connections are the server's.
type borrower struct {
	sessions

	db    *DB
	guard bool // check the table, see [guard]
}

var errNotTheDriver = errors.New("mysql: the driver's connection lacks a method that ticketd uses")

// Connect implements [sqldriver.Connector].
func (b *borrower) Connect(ctx context.Context) (sqldriver.Conn, error) {
	c, err := b.db.server.take(ctx, b.login, func(ctx context.Context) (link, error) {
		made, err := b.dial(ctx)
		if err != nil {
			return nil, err
		}
		able, is := made.(link)
		if !is {
			return nil, errors.Join(errNotTheDriver, made.Close())
		}
		return able, nil
	})
	if err != nil {
		return nil, err
	}
	own := &borrowed{c, b.db.server}
	if err := b.enter(ctx, c); err != nil {
		_ = own.Close()
		return nil, err
	}
	return own, nil
}

// enter makes a connection ready for the database.
func (b *borrower) enter(ctx context.Context, c *connection) error {
	if c.database != b.db.database {
		c.database = ""
		if _, err := query(ctx, c, "USE "+quote(b.db.database)); err != nil {
			return err
		}
		c.database = b.db.database
	}
	if !b.guard || b.db.guard == nil || c.checked[b.db] {
		return nil
	}
	if err := b.db.guard.check(ctx, identities{c, b.db.config.Table}); err != nil {
		return err
	}
	c.checked[b.db] = true
	return nil
}

// newBorrower makes the connector of a database's pool. changes are the values of settings that differ in this pool.
func newBorrower(db *DB, dsn *driver.Config, changes map[string]string) (*borrower, error) {
	s, err := connector(dsn, changes)
	if err != nil {
		return nil, err
	}
	return &borrower{sessions: s, db: db}, nil
}
