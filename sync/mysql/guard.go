package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/sync/flush"
)

const (
	// markEvery is how old this process' mark in the table may become: as long a copy of the table can be taken for the table itself
	// by this process alone, where its connections begin to lead to the copy.
	markEvery = 10 * time.Minute
	// marksKept is how many days the mark of a process is kept that renews it no more.
	marksKept = 30
)

// GuardOptions of [DB.Guard].
type GuardOptions struct {
	// Told is called whenever a new connection has been looked at, with the identity of the table it leads to, or why nothing may be
	// done with it. own is false where the table has no identity and this user may not give it one: its name then stands for it. It
	// must not block.
	Told func(identity string, own bool, err error)
	// Had is the identity that the table of this name had when a daemon of this host looked last; empty for none.
	Had string
}

// guard looks at every new connection before anything is done on it: whether it leads to the table that this process works for,
// or to another one, as names and addresses are given to other servers, dumps are restored and machines are cloned.
//
// A table is known by its row: its identity, and where it is. Where it is not there it is a copy, or has moved, which only an
// operator can tell. But one thing this process can tell by itself: it writes a mark into the table, a random text of its own
// that it changes every [markEvery]. A table elsewhere that has it is a replica of this one, which took over while this process
// ran.
type guard struct {
	options GuardOptions
	table   string
	name    string // database.table: what stood for the identity before there was one
	// look says where a connection leads to.
	look func(context.Context, identities) (place, error)
	now  func() time.Time

	mu       sync.Mutex
	identity string    // what this process works for; empty before it knows
	row      int64     // of this process' mark
	mark     string    // what is in it
	former   string    // what was in it before: a replica may be behind
	marked   time.Time // when it was written
}

// guarded makes connections and has the guard look at them.
type guarded struct {
	sqldriver.Connector
	db *DB
}

// Connect implements [sqldriver.Connector].
func (c guarded) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil || c.db.guard == nil {
		return conn, err
	}
	if err := c.db.guard.check(ctx, identities{conn, c.db.config.Table}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (g *guard) known() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.identity
}

// check looks at a connection. nil lets it pass: it leads to this process' table, or to a database without one, which others say.
func (g *guard) check(ctx context.Context, i identities) error {
	identity, own, err := g.identify(ctx, i)
	if identity == "" && err == nil { // there is no tickets table
		return nil
	}
	if err == nil {
		err = g.bind(identity)
	}
	if err == nil || errors.Is(err, flush.ErrSinkForeign) {
		g.options.Told(identity, own, err)
	}
	return err
}

// identify returns the identity of the table that a connection leads to; its name where it has none and cannot be given one.
func (g *guard) identify(ctx context.Context, i identities) (identity string, own bool, err error) {
	row, mark, err := i.read(ctx, g.row)
	if missing(err) || err == nil && row.ID == "" {
		return g.nameIt(ctx, i)
	}
	if mayNot(err) {
		return g.name, false, nil
	}
	if err != nil {
		return "", false, err
	}
	here, err := g.look(ctx, i)
	if err != nil {
		return "", false, err
	}
	if row.Home != here.where {
		if !g.vouches(row.ID, mark) {
			return "", false, fmt.Errorf("%w: the table is a copy, or its server was replaced, renamed or restored elsewhere: it belongs "+
				"to the %s, and this is the %s; 'ticketd identity' tells more", flush.ErrSinkForeign, row.Home, here.where)
		}
		if !here.readOnly {
			if err := i.settle(ctx, row.ID, here.where); unusable(err) {
				return "", false, err
			}
		}
	}
	if !here.readOnly {
		err = g.renewMark(ctx, i, here.where)
	}
	return row.ID, true, err
}

// nameIt gives a table that has none an identity, unless the site's table has one already: then this is another table, made anew
// or left where the site's was renamed, or its identity was dropped, which only an operator can tell.
func (g *guard) nameIt(ctx context.Context, i identities) (identity string, own bool, err error) {
	if _, err := i.query(ctx, "SELECT 1 FROM "+quote(g.table)+" LIMIT 0"); err != nil {
		if judge(err) == changed {
			return "", false, nil
		}
		return "", false, err
	}
	if had := cmp.Or(g.known(), g.options.Had); had != "" && had != g.name {
		return "", false, fmt.Errorf("%w: the table has no identity, and the site's table has the identity %s: another table has its "+
			"name now, or %s was dropped; 'ticketd identity' tells more", flush.ErrSinkForeign, had, i.name())
	}
	here, err := g.look(ctx, i)
	if err != nil {
		return "", false, err
	}
	if here.readOnly {
		return g.name, false, nil
	}
	if err = i.make(ctx); err == nil {
		if here, err = g.look(ctx, i); err == nil { // again: when the table was made may be a part of the place
			err = i.add(ctx, newIdentity(), here.where)
		}
	}
	if mayNot(err) {
		return g.name, false, nil
	}
	if err != nil {
		return "", false, err
	}
	row, _, err := i.read(ctx, g.row) // another process may have been faster
	return row.ID, true, err
}

// bind notes which table this process works for, once.
func (g *guard) bind(identity string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.identity {
	case "", g.name: // a table that had none may get one at any time
		g.identity = identity
	case identity:
	default:
		if identity == g.name { // its row cannot be read just now
			return nil
		}
		return fmt.Errorf("%w: it leads to another table than before, of the identity %s, and this daemon works for %s",
			flush.ErrSinkForeign, identity, g.identity)
	}
	return nil
}

// vouches says that a table elsewhere is the one that this process works for, as it has this process' mark.
func (g *guard) vouches(identity, mark string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return identity == g.identity && mark != "" && (mark == g.mark || mark == g.former)
}

// renewMark writes another mark where the last one is old. Where the server refuses that, this process cannot vouch for the
// table, and nothing else is the matter.
func (g *guard) renewMark(ctx context.Context, i identities, here string) error {
	mark, first, due := g.nextMark()
	if !due {
		return nil
	}
	_, err := i.query(ctx, "INSERT INTO "+i.name()+" (id, identity, server, accepted) VALUES (?, ?, ?, UTC_TIMESTAMP()) "+
		"ON DUPLICATE KEY UPDATE identity = VALUES(identity), server = VALUES(server), accepted = VALUES(accepted)", g.row, mark, here)
	if err == nil && first {
		_, err = i.query(ctx, "DELETE FROM "+i.name()+" WHERE id > ? AND accepted < UTC_TIMESTAMP() - INTERVAL ? DAY",
			int64(identityRow), int64(marksKept))
	}
	if unusable(err) {
		return err
	}
	return nil
}

// nextMark makes a mark, where one is due. Both it and the one before count from now on, whether it is written or not.
func (g *guard) nextMark() (mark string, first, due bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mark != "" && g.now().Sub(g.marked) < markEvery {
		return "", false, false
	}
	first = g.mark == ""
	g.former, g.mark, g.marked = g.mark, rand.Text(), g.now()
	return g.mark, first, true
}

// unusable says that an error is more than a refusal: the connection is of no use.
func unusable(err error) bool {
	_, refused := errors.AsType[*driver.MySQLError](err)
	return err != nil && !refused
}

// mayNot says that this user has no right to it, or that the server takes no such thing: it is read-only, or the name is too
// long.
func mayNot(err error) bool {
	const deniedDatabase, deniedTable, deniedColumn, denied, tooLong = 1044, 1142, 1143, 1227, 1059
	return readOnly(err) || refusedWith(err, deniedDatabase, deniedTable, deniedColumn, denied, tooLong)
}
