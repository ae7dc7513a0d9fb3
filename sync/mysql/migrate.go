package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	phpclient "github.com/ticketd/ticketd/php-client"
)

// MigrateOptions say how [DB.Migrate] goes about it.
type MigrateOptions struct {
	// DryRun changes nothing and only says what would be run.
	DryRun bool
	// Sidecar moves the revisions of a table that has them in a column of its own, and its tombstones, into a side table. No
	// daemon may write to the table meanwhile.
	Sidecar bool
	// DropColumn drops, of a table with a side table, the revision column and the index that an earlier version of ticketd added.
	DropColumn bool
	// Identity is what the table had when a daemon looked last; empty for none. Where the table is missing and another one of the
	// database has this identity, the table was renamed and no new one is made.
	Identity string
}

const (
	charsetCollate = "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
	// lockSeconds is how long a migration waits for another one of the same table.
	lockSeconds = 60
)

// Migrate makes what is missing: the tickets table, columns and indexes of one that ticketd made, the sequence of ids, the
// tombstones where deletes remove rows, and the table's identity. It never narrows or changes what is there. A table that
// ticketd did not make is not altered: it gets a side table. It returns the statements that it has run, or would run.
//
// It may be run again at any time, also twice at once.
func (db *DB) Migrate(ctx context.Context, options MigrateOptions) (statements []string, err error) {
	pool, err := db.patientPool()
	if err != nil {
		return nil, err
	}
	defer func() { _ = pool.Close() }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, db.failure("migrate: connect", err)
	}
	defer conn.Close()
	unlock, err := db.lock(ctx, conn)
	if err != nil {
		return nil, err
	}
	defer unlock()
	m := &migration{config: db.config, conn: conn, dry: options.DryRun, options: options}
	for _, step := range []func(context.Context) error{m.tickets, m.sequence, m.tombstones, m.sidecar, m.identity} {
		if err := step(ctx); err != nil {
			return m.done, fmt.Errorf("mysql: migrate %s: %w", db.config.Table, err)
		}
	}
	return m.done, nil
}

// lock keeps other migrations of the table away, of every host.
func (db *DB) lock(ctx context.Context, conn *sql.Conn) (unlock func(), err error) {
	var database string
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		return nil, db.failure("migrate: lock", err)
	}
	// A lock holds for the whole server and its name has at most 64 characters.
	name := fmt.Sprintf("ticketd %x", sha256.Sum224([]byte(database+"."+db.config.Table)))
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, lockSeconds).Scan(&got); err != nil {
		return nil, db.failure("migrate: lock", err)
	}
	if got.Int64 != 1 {
		return nil, fmt.Errorf("mysql: another migration of %s has been running for %d s; try again when it is over",
			db.config.Table, lockSeconds)
	}
	return func() {
		// An error is of no matter: the lock ends with the connection.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(?)", name)
	}, nil
}

// migration is one run under way.
type migration struct {
	config Config
	conn   *sql.Conn
	dry    bool
	done   []string
	// options are those of the call.
	options MigrateOptions
	// beside says that the table has, or gets, a side table.
	beside bool
	// created says that the tickets table was not there: in a dry run it still is not.
	created bool
}

// run runs a statement, or only notes it.
func (m *migration) run(ctx context.Context, statement string) error {
	m.done = append(m.done, statement)
	if m.dry {
		return nil
	}
	if _, err := m.conn.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%w, running: %s", err, statement)
	}
	return nil
}

// schema returns the statements of a schema file, completed for the configured table.
func (m *migration) schema(file string) []string {
	filled := strings.NewReplacer("{table}", m.config.Table, "{key}", m.config.Key, "{charset_collate}", charsetCollate).
		Replace(file)
	var statements []string
	for statement := range strings.SplitSeq(filled, ";\n") {
		if statement = withoutComments(statement); statement != "" {
			statements = append(statements, statement)
		}
	}
	return statements
}

func withoutComments(statement string) string {
	var kept []string
	for line := range strings.Lines(statement) {
		if !strings.HasPrefix(line, "--") {
			kept = append(kept, line)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ""))
}

// The order of the statements in the schema file.
const (
	createTickets = iota
	createSequence
	beginSequence
)

// tickets makes the tickets table or adds to it.
func (m *migration) tickets(ctx context.Context) error {
	there, err := m.exists(ctx, m.config.Table)
	switch {
	case err != nil:
		return err
	case there:
		return m.existing(ctx)
	case !m.config.standard():
		return errors.New("there is no such table, and the config describes one that is not ticketd's own; " +
			"correct the name, or make the table first")
	}
	if err := m.notRenamed(ctx); err != nil {
		return err
	}
	return m.run(ctx, m.schema(phpclient.Schema)[createTickets])
}

// notRenamed refuses to make a table where the site's has another name now: the site's changes would go into the new one.
func (m *migration) notRenamed(ctx context.Context) error {
	if m.options.Identity == "" {
		return nil
	}
	rows, err := m.conn.QueryContext(ctx, "SELECT table_name FROM information_schema.columns WHERE table_schema = DATABASE() AND "+
		"column_name = 'identity' AND RIGHT(table_name, ?) = ?", len(identitySuffix), identitySuffix)
	if err != nil {
		return fmt.Errorf("look for the table of the identity: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return fmt.Errorf("look for the table of the identity: %w", err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look for the table of the identity: %w", err)
	}
	for _, name := range names {
		other := strings.TrimSuffix(name, identitySuffix)
		err := onConn(m.conn, other, func(i identities) error {
			row, _, err := i.read(ctx, identityRow)
			if answered(err) || err == nil && row.ID != m.options.Identity { // another program's table
				return nil
			}
			if err != nil {
				return err
			}
			return fmt.Errorf("there is no such table, and another table here has its identity, %s: %s; where the table was renamed, "+
				"give its name in the configuration (table = %[2]q), restart ticketd and run 'ticketd identity move'",
				m.options.Identity, other)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// upgrade adds the columns and indexes that a table lacks which ticketd made, in one statement.
func (m *migration) upgrade(ctx context.Context, have shape) error {
	want, err := m.wanted(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, c := range want.columns {
		if !have.hasColumn(c.name) {
			missing = append(missing, "ADD COLUMN "+c.line)
		}
	}
	for _, i := range want.indexes {
		if !have.hasIndex(i) {
			missing = append(missing, "ADD "+i.line)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return m.run(ctx, "ALTER TABLE "+quote(m.config.Table)+" "+strings.Join(missing, ", "))
}

// wanted is what ticketd's own table should have: what the schema file makes, which the server itself is asked for through a
// temporary table. One that is described by the config lacks nothing.
func (m *migration) wanted(ctx context.Context) (shape, error) {
	if !m.config.standard() {
		return shape{}, nil
	}
	const model = "ticketd_wanted"
	create := strings.Replace(m.schema(phpclient.Schema)[createTickets],
		"CREATE TABLE IF NOT EXISTS "+quote(m.config.Table), "CREATE TEMPORARY TABLE "+quote(model), 1)
	if _, err := m.conn.ExecContext(ctx, create); err != nil {
		return shape{}, fmt.Errorf("make a temporary table to compare with (it needs CREATE TEMPORARY TABLES): %w", err)
	}
	want, err := m.show(ctx, model)
	_, dropErr := m.conn.ExecContext(context.WithoutCancel(ctx), "DROP TEMPORARY TABLE "+quote(model))
	return want, errors.Join(err, dropErr)
}

// sequence makes the sequence where it is missing; it then begins above the table's ids, see [reach]. One that is there is
// left where it stands: an id that somebody typed in must not move the numbering, see [Sequence.RaiseToTable].
func (m *migration) sequence(ctx context.Context) error {
	schema := m.schema(phpclient.Schema)
	name := m.config.Table + sequenceSuffix
	there, err := m.exists(ctx, name)
	if err != nil {
		return err
	}
	if !there {
		if err := m.run(ctx, schema[createSequence]); err != nil {
			return err
		}
		return m.run(ctx, schema[beginSequence])
	}
	var rows int
	if err := m.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+quote(name)+" WHERE id = 1").Scan(&rows); err != nil {
		return fmt.Errorf("look at the sequence: %w", err)
	}
	if rows > 0 {
		return nil
	}
	return m.run(ctx, schema[beginSequence])
}

// tombstones makes the table of deleted tickets where deletes remove rows.
func (m *migration) tombstones(ctx context.Context) error {
	if m.config.standard() || m.beside {
		return nil // the table has a deleted_at column now, unless this is a dry run, or a side table
	}
	have, err := m.show(ctx, m.config.Table)
	if err != nil || have.hasColumn(m.config.DeletedAt) {
		return err
	}
	there, err := m.exists(ctx, m.config.Table+tombstonesSuffix)
	if err != nil || there {
		return err
	}
	return m.run(ctx, m.schema(phpclient.Tombstones)[0])
}

// identity makes the table of the identity, and the identity in it, which no statement that is shown has: a daemon makes that
// too. The identity of a table which is a copy, or has moved, stays as it is.
func (m *migration) identity(ctx context.Context) error {
	return onConn(m.conn, m.config.Table, func(i identities) error {
		row, _, err := i.read(ctx, identityRow)
		if err != nil && !missing(err) {
			return err
		}
		if row.ID != "" {
			return nil
		}
		if missing(err) {
			m.done = append(m.done, i.createTable())
		}
		if m.dry {
			return nil
		}
		if err := i.make(ctx); err != nil {
			return fmt.Errorf("make the table of the identity: %w", err)
		}
		here, err := i.look(ctx)
		if err != nil {
			return err
		}
		return i.add(ctx, newIdentity(), here.where)
	})
}

func (m *migration) exists(ctx context.Context, name string) (bool, error) {
	var n int
	err := m.conn.QueryRowContext(ctx,
		"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", name).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for table %s: %w", name, err)
	}
	return n > 0, nil
}

func (m *migration) show(ctx context.Context, name string) (shape, error) {
	var ignored, text string
	if err := m.conn.QueryRowContext(ctx, "SHOW CREATE TABLE "+quote(name)).Scan(&ignored, &text); err != nil {
		return shape{}, fmt.Errorf("show table %s: %w", name, err)
	}
	return shapeOf(text), nil
}
