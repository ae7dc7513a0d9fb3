package mysql

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/sync/flush"
)

const (
	// markEvery is the greatest age of this process' mark: the time in which this process, but no other, can take a copy of the
	// table for the table, if its connections begin to lead to the copy.
	markEvery = 10 * time.Minute
	// marksKept is how many days a mark stays after its process has stopped renewing the mark.
	marksKept = 30
)

// GuardOptions of [DB.Guard].
type GuardOptions struct {
	// Told is called after each check of a new connection, with the identity of the table, or with the reason why the table must
	// not be used. own is false if the table has no identity and this user may not create one: then the table's name stands for its
	// identity. Told must not block.
	Told func(identity string, own bool, err error)
	// Had is the identity of the table of this name at the last look of a daemon of this host; empty for none.
	Had string
}

// guard checks every connection before a database's first statement on it: whether the connection leads to the table that this
// process works for, as names and addresses move to other servers, dumps are restored and machines are cloned.
//
// A table is known by its row: identity and place. A table at another place is a copy or has moved, which only an operator can
// tell apart, with one exception: this process writes a mark into the table, a random text that changes every [markEvery]. A
// table at another place with that mark is a replica that took over while this process ran.
type guard struct {
	options GuardOptions
	table   string
	name    string // database.table: stands for the identity of a table without an identity
	// look returns the place of a connection.
	look func(context.Context, identities) (place, error)
	now  func() time.Time

	mu       sync.Mutex
	identity string    // of the table that this process works for; empty before it is known
	row      int64     // of this process' mark
	mark     string    // the text of the mark
	former   string    // the text before: a replica may be behind
	marked   time.Time // the time of the mark
}

func (g *guard) known() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.identity
}

// check checks a connection. nil accepts the connection: it leads to this process' table, or to a database without the table,
// which other code reports.
func (g *guard) check(ctx context.Context, i identities) error {
	identity, own, err := g.identify(ctx, i)
	if identity == "" && err == nil { // the tickets table does not exist
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

// identify returns the identity of a connection's table; the table's name if the table has no identity and cannot get one.
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
			return "", false, fmt.Errorf("%w: the table is a copy, or its server was replaced, renamed or restored elsewhere: the table "+
				"belongs to the %s, and this is the %s; 'ticketd identity' tells more", flush.ErrSinkForeign, row.Home, here.where)
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

// nameIt gives an identity to a table without an identity, unless the site's table already has an identity: then this table is
// new or took the name of the renamed site's table, or the identity was dropped, which only an operator can tell apart.
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
		if here, err = g.look(ctx, i); err == nil { // again: the table's creation time may be a part of the place
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

// bind notes the table that this process works for, once.
func (g *guard) bind(identity string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.identity {
	case "", g.name: // a table without an identity may get an identity at any time
		g.identity = identity
	case identity:
	default:
		if identity == g.name { // the row is unreadable at present
			return nil
		}
		return fmt.Errorf("%w: the connection leads to another table than before, of the identity %s, and this daemon works for %s",
			flush.ErrSinkForeign, identity, g.identity)
	}
	return nil
}

// vouches says that a table at another place is the table that this process works for, as the table has this process' mark.
func (g *guard) vouches(identity, mark string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return identity == g.identity && mark != "" && (mark == g.mark || mark == g.former)
}

// renewMark writes a new mark if the last mark is old. If the server refuses the mark, this process cannot vouch for the table;
// other work continues.
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

// nextMark makes a mark if one is due. The new mark and the mark before count from now on, whether the write succeeds or not.
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

// unusable says that an error is more than a refusal: the connection is unusable.
func unusable(err error) bool {
	_, refused := errors.AsType[*driver.MySQLError](err)
	return err != nil && !refused
}

// mayNot says that this user lacks the right, or that the server cannot do the write: it is read-only, or the name is too long.
func mayNot(err error) bool {
	const deniedDatabase, deniedTable, deniedColumn, denied, tooLong = 1044, 1142, 1143, 1227, 1059
	return readOnly(err) || refusedWith(err, deniedDatabase, deniedTable, deniedColumn, denied, tooLong)
}
