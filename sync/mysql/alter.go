package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A statement that alters a table waits until no transaction uses the table, and every later statement of the site queues behind
// it: with the server's own lock_wait_timeout of a day, a forgotten transaction stops the site. So a migration waits for seconds,
// steps back so that the queue moves on, and tries again.

const (
	// ddlLockSeconds is the longest time for which the site's statements queue behind a migration.
	ddlLockSeconds = 2
	// ddlPause is the mean pause between two tries.
	ddlPause = time.Second
	// ddlWait is the default of [MigrateOptions.Wait].
	ddlWait = time.Minute
)

// The ways to alter a table that leave it in use.
const (
	instant = ", ALGORITHM=INSTANT"            // the table's description alone changes
	inPlace = ", ALGORITHM=INPLACE, LOCK=NONE" // the table is read or copied while its users read and write it
)

// bound bounds the session's waits for tables.
func bound(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d", ddlLockSeconds))
	return err
}

// alter alters the tickets table in the first way that the server can. If the server can do it in none of the ways, the server
// chooses, and the table's users wait meanwhile.
func (m *migration) alter(ctx context.Context, change string, ways ...string) error {
	statement := "ALTER TABLE " + quote(m.config.Table) + " " + change
	if m.dry {
		return m.run(ctx, statement+ways[0])
	}
	for _, way := range ways {
		err := m.run(ctx, statement+way)
		if err == nil || judge(err) == down || Denied(err) || errors.Is(err, errTableLocked) {
			return err
		}
		m.done = m.done[:len(m.done)-1] // the server refuses the way
	}
	m.options.Say("the server cannot do this while %s is in use; writes to the table wait until it is done: %s",
		m.config.Table, change)
	return m.run(ctx, statement)
}

// run runs a statement, or only records it in a dry run. A table that other sessions keep locked is tried again.
func (m *migration) run(ctx context.Context, statement string) error {
	m.done = append(m.done, statement)
	if m.dry {
		return nil
	}
	wait := m.options.Wait
	if wait == 0 {
		wait = ddlWait
	}
	for until := time.Now().Add(wait); ; {
		_, err := m.conn.ExecContext(ctx, statement)
		switch {
		case err == nil:
			return nil
		case !timedOut(err):
			return fmt.Errorf("%w, running: %s", err, statement)
		}
		holders := m.holders(ctx)
		if time.Now().After(until) {
			return fmt.Errorf("%w: %w, running: %s; %s", errTableLocked, err, statement, holders)
		}
		m.options.Say("the table is locked, trying again: %s", holders)
		if err := pause(ctx, ddlPause); err != nil {
			return err
		}
	}
}

var errTableLocked = errors.New("other sessions keep the table locked")

// holderQueries ask who holds a table, the best source first: the locks themselves, the open transactions, the sessions that use
// the database. A server may lack a source, or this user the right to read it. Each row is a connection's number, user, host,
// seconds and last statement.
var holderQueries = []struct{ what, query string }{
	{"holds the table", `SELECT p.id, p.user, p.host, p.time, COALESCE(p.info, '') FROM performance_schema.metadata_locks AS l
		JOIN performance_schema.threads AS t ON t.thread_id = l.owner_thread_id
		JOIN information_schema.processlist AS p ON p.id = t.processlist_id
		WHERE l.object_type = 'TABLE' AND l.object_schema = DATABASE() AND l.object_name = ? AND l.lock_status = 'GRANTED'
		AND p.id <> CONNECTION_ID() ORDER BY p.time DESC LIMIT 5`},
	{"holds the table", `SELECT p.id, p.user, p.host, p.time, COALESCE(p.info, '') FROM information_schema.metadata_lock_info AS l
		JOIN information_schema.processlist AS p ON p.id = l.thread_id
		WHERE l.table_schema = DATABASE() AND l.table_name = ? AND p.id <> CONNECTION_ID() ORDER BY p.time DESC LIMIT 5`},
	{"has an open transaction", `SELECT p.id, p.user, p.host, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), COALESCE(p.info, '')
		FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id
		WHERE p.id <> CONNECTION_ID() AND ? <> '' ORDER BY t.trx_started LIMIT 5`},
	{"uses the database", `SELECT id, user, host, time, COALESCE(info, '') FROM information_schema.processlist
		WHERE db = DATABASE() AND id <> CONNECTION_ID() AND ? <> '' ORDER BY time DESC LIMIT 5`},
}

// holders names the sessions that hold the table, as far as the server tells.
func (m *migration) holders(ctx context.Context) string {
	for _, source := range holderQueries {
		found, err := m.holdersBy(ctx, source.what, source.query)
		if err == nil && len(found) > 0 {
			return strings.Join(found, "; ") + "; KILL and its number ends a connection"
		}
	}
	return "this user may not see which session holds it: run SHOW PROCESSLIST as root"
}

func (m *migration) holdersBy(ctx context.Context, what, query string) (found []string, err error) {
	rows, err := m.conn.QueryContext(ctx, query, m.config.Table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, seconds int64
		var user, host, statement string
		if err := rows.Scan(&id, &user, &host, &seconds, &statement); err != nil {
			return nil, err
		}
		text := fmt.Sprintf("connection %d of %s@%s %s for %d s", id, user, host, what, seconds)
		if statement != "" {
			text += fmt.Sprintf(" (%.100q)", statement)
		}
		found = append(found, text)
	}
	return found, rows.Err()
}
