package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	phpclient "github.com/ticketd/ticketd/php-client"
)

// MigrateOptions are the options of [DB.Migrate].
type MigrateOptions struct {
	// DryRun makes no change and only returns the statements.
	DryRun bool
	// Sidecar moves the revisions of a table that has a revision column, and the table's tombstones, into a side table. No daemon
	// may write to the table meanwhile.
	Sidecar bool
	// DropColumn drops, from a table with a side table, the revision column and the index that an earlier version of ticketd added.
	DropColumn bool
	// History also makes the table of the tickets' history.
	History bool
	// Identity is the table's identity at a daemon's last look; empty for none. If the table is missing and another table of the
	// database has this identity, the table was renamed, and Migrate makes no new table.
	Identity string
	// Wait is how long Migrate tries again to get a table that other sessions keep locked; zero stands for a minute. Say receives
	// what holds the table meanwhile, and what the table's users notice. Optional.
	Wait time.Duration
	Say  func(format string, args ...any)
}

const (
	charsetCollate = "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
	// lockSeconds is how long a migration waits for another migration of the same table.
	lockSeconds = 60
)

// Migrate adds the missing parts: the tickets table, columns and indexes of a table that ticketd made, the sequence of ids, the
// tombstones if deletes remove rows, and the table's identity. Migrate never narrows or changes existing columns, and never
// alters a table that ticketd did not make: that table gets a side table. Migrate returns the statements that it has run, or
// would run.
//
// Migrate may run again at any time, also twice at once.
func (db *DB) Migrate(ctx context.Context, options MigrateOptions) (statements []string, err error) {
	pool, within, err := db.patientPool()
	if err != nil {
		return nil, err
	}
	defer func() { _ = pool.Close() }()
	connecting, connected := context.WithTimeout(ctx, within)
	conn, err := pool.Conn(connecting)
	connected()
	if err != nil && errors.Is(connecting.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no log-in within %v: %w", within, err)
	}
	if err != nil {
		return nil, db.failure("migrate: connect", err)
	}
	defer conn.Close()
	unlock, err := db.lock(ctx, conn)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := bound(ctx, conn); err != nil {
		return nil, db.failure("migrate", err)
	}
	if options.Say == nil {
		options.Say = func(string, ...any) {}
	}
	m := &migration{config: db.config, conn: conn, dry: options.DryRun, options: options}
	steps := []func(context.Context) error{m.tickets, m.sequence, m.tombstones, m.sidecar, m.history, m.identity}
	if db.config.Layout != nil {
		steps = []func(context.Context) error{m.layout, m.identity}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return m.done, fmt.Errorf("mysql: migrate %s: %w", db.config.Table, err)
		}
	}
	return m.done, nil
}

// lock keeps other migrations of the table away, from every host.
func (db *DB) lock(ctx context.Context, conn *sql.Conn) (unlock func(), err error) {
	var database string
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		return nil, db.failure("migrate: lock", err)
	}
	// A lock holds for the whole server, and a lock's name has at most 64 characters.
	name := fmt.Sprintf("ticketd %x", sha256.Sum224([]byte(database+"."+db.config.Table)))
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", name, lockSeconds).Scan(&got); err != nil {
		return nil, db.failure("migrate: lock", err)
	}
	if got.Int64 != 1 {
		return nil, fmt.Errorf("mysql: another migration of %s has been running for %d s; try again after its end",
			db.config.Table, lockSeconds)
	}
	return func() {
		// An error does no harm: the lock ends with the connection.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(?)", name)
	}, nil
}

// migration is a run under way.
type migration struct {
	config Config
	conn   *sql.Conn
	dry    bool
	done   []string
	// options are the caller's options.
	options MigrateOptions
	// beside says that the table has, or gets, a side table.
	beside bool
	// created says that the tickets table was missing: in a dry run the table is still missing.
	created bool
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

// tickets makes the tickets table or adds the missing parts.
func (m *migration) tickets(ctx context.Context) error {
	there, err := m.exists(ctx, m.config.Table)
	switch {
	case err != nil:
		return err
	case there:
		return m.existing(ctx)
	case !m.config.standard():
		return errors.New("the table does not exist, and the config describes a table that is not ticketd's own; " +
			"correct the name, or make the table first")
	}
	if err := m.notRenamed(ctx); err != nil {
		return err
	}
	return m.run(ctx, m.schema(phpclient.Schema)[createTickets])
}

// notRenamed returns an error if the site's table now has another name: the site's changes would go into the new table.
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

// upgrade adds the missing columns and indexes of a table that ticketd made, so that the table stays in use.
func (m *migration) upgrade(ctx context.Context, have shape) error {
	want, err := m.wanted(ctx)
	if err != nil {
		return err
	}
	for _, c := range want.columns {
		if have.hasColumn(c.name) {
			continue
		}
		if err := m.alter(ctx, "ADD COLUMN "+c.line, instant, inPlace); err != nil {
			return err
		}
	}
	var indexes []string
	for _, i := range want.indexes {
		if !have.hasIndex(i) {
			indexes = append(indexes, "ADD "+i.line)
		}
	}
	if len(indexes) == 0 {
		return nil
	}
	return m.alter(ctx, strings.Join(indexes, ", "), inPlace) // one statement reads the table once
}

// wanted returns the shape of ticketd's own table: wanted makes the schema file's table as a temporary table and asks the server
// for its shape. A table that the config describes lacks no column.
func (m *migration) wanted(ctx context.Context) (shape, error) {
	if !m.config.standard() {
		return shape{}, nil
	}
	const model = "ticketd_wanted"
	create := strings.Replace(m.schema(phpclient.Schema)[createTickets],
		"CREATE TABLE IF NOT EXISTS "+quote(m.config.Table), "CREATE TEMPORARY TABLE "+quote(model), 1)
	if _, err := m.conn.ExecContext(ctx, create); err != nil {
		return shape{}, fmt.Errorf("make a temporary table to compare with (the user needs CREATE TEMPORARY TABLES): %w", err)
	}
	want, err := m.show(ctx, model)
	_, dropErr := m.conn.ExecContext(context.WithoutCancel(ctx), "DROP TEMPORARY TABLE "+quote(model))
	return want, errors.Join(err, dropErr)
}

// sequence makes a missing sequence, which then begins above the table's ids, see [reach]. sequence does not move an existing
// sequence: a typed-in id must not move the numbering, see [Sequence.RaiseToTable].
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

// tombstones makes the table of deleted tickets if deletes remove rows.
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

// identity makes the table of the identity and the identity, which appears in no shown statement: a daemon can make the identity
// too. The identity of a table that is a copy, or has moved, does not change.
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

// patientPool makes a pool for statements whose duration grows with the table: without a read time-out, unless the DSN gives
// one; the context ends the statements. A connection is there within the returned time: the DSN's time-out for each of its six
// steps, which are dialling, TLS, the log-in, and the three statements that shape the session.
func (db *DB) patientPool() (pool *sql.DB, within time.Duration, err error) {
	dsn, err := db.config.parseDSN()
	if err != nil {
		return nil, 0, fmt.Errorf("mysql: %w", err)
	}
	given := dsn.ReadTimeout
	patience(dsn).ReadTimeout = given
	connections, err := newBorrower(db, dsn, nil)
	if err != nil {
		return nil, 0, err
	}
	const steps = 6
	return openPool(connections, 1), steps * dsn.Timeout, nil
}

// addedIndex is the index that earlier versions added, with the revision column, to a table that the config described.
const addedIndex = "ticketd_revision"

// existing updates an existing table: a table that ticketd made gets the missing parts, any other table a side table.
func (m *migration) existing(ctx context.Context) error {
	var kind string
	err := m.conn.QueryRowContext(ctx, "SELECT table_type FROM information_schema.tables WHERE table_schema = DATABASE() AND "+
		"table_name = ?", m.config.Table).Scan(&kind)
	if err != nil {
		return fmt.Errorf("look at the table: %w", err)
	}
	if strings.Contains(kind, "VIEW") {
		return errors.New("the configured table is a view, which takes no rows: set table to the table behind the view, or to a name " +
			"of ticketd's own")
	}
	have, err := m.show(ctx, m.config.Table)
	if err != nil {
		return err
	}
	side, err := m.exists(ctx, m.config.Table+sideSuffix)
	if err != nil {
		return err
	}
	m.beside = side
	if !side {
		own, err := m.own(ctx, have)
		if err != nil {
			return err
		}
		if own {
			return m.upgrade(ctx, have)
		}
	}
	m.beside = true
	if err := m.fit(ctx, have); err != nil {
		return err
	}
	if side {
		return nil
	}
	return m.run(ctx, m.schema(phpclient.Sidecar)[0])
}

// own says that the revision column of a table without a side table is ticketd's. The column's name alone is no proof: the
// table's owner may use the same name.
func (m *migration) own(ctx context.Context, have shape) (bool, error) {
	switch {
	case !have.hasColumn(m.config.Revision):
		return false, nil
	case m.config.Revision != DefaultRevision: // the operator has named the column
		return true, nil
	case have.hasIndex(part{name: addedIndex, line: addedIndex}):
		return true, nil
	}
	if ours := shapeOf(m.schema(phpclient.Schema)[createTickets]); m.config.standard() {
		all := true
		for _, c := range ours.columns {
			all = all && have.hasColumn(c.name)
		}
		if all {
			return true, nil
		}
	}
	return m.exists(ctx, m.config.Table+sequenceSuffix)
}

// fit returns an error for a table whose key cannot be a ticket's id. ticketd does not alter the table: the owner must, or the
// operator chooses another key or table.
func (m *migration) fit(ctx context.Context, have shape) error {
	c := m.config
	if !have.hasColumn(c.Key) {
		return fmt.Errorf("ticketd did not make this table, and it has no column %s (it has: %s): set key_column, and columns for "+
			"fields of another name, or set table to a name of ticketd's own; 'ticketd init --wp FOLDER' proposes both",
			c.Key, strings.Join(have.names(), ", "))
	}
	var kind string
	err := m.conn.QueryRowContext(ctx, "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND "+
		"table_name = ? AND column_name = ?", c.Table, c.Key).Scan(&kind)
	if err != nil {
		return fmt.Errorf("look at column %s: %w", c.Key, err)
	}
	if integerBits[strings.ToLower(kind)] == 0 {
		return fmt.Errorf("key column %s is %s, and a ticket's id is a whole number: set key_column to an integer column with a "+
			"unique index, or set table to a name of ticketd's own", c.Key, kind)
	}
	unique, err := uniqueAlone(ctx, m.conn, c.Table, c.Key)
	if err != nil {
		return fmt.Errorf("look at the indexes: %w", err)
	}
	if !unique {
		return fmt.Errorf("column %s has no unique index of its own, and ticketd alters no table that it did not make: set "+
			"key_column to a "+
			"column that has one (a primary key of several columns does not count), or set table to a name of ticketd's own", c.Key)
	}
	return nil
}

func (s shape) names() []string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.name
	}
	return names
}

// oneRow is a pool or a connection.
type oneRow interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// uniqueAlone says whether a column alone is a unique index.
func uniqueAlone(ctx context.Context, q oneRow, table, column string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM (
		SELECT MAX(column_name) AS name FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0
		GROUP BY index_name HAVING COUNT(*) = 1) AS single WHERE LOWER(name) = LOWER(?)`,
		table, column).Scan(&n)
	return n > 0, err
}

// sidecar moves an earlier version's columns into a side table, and drops the revision column on demand. The new table gets its
// final name when it is complete, so that an interrupted run leaves the old state.
func (m *migration) sidecar(ctx context.Context) error {
	if !m.options.Sidecar && !m.options.DropColumn {
		return nil
	}
	if !m.beside && m.options.Sidecar && !m.created {
		if err := m.move(ctx); err != nil {
			return err
		}
		m.beside = true
	}
	if !m.options.DropColumn {
		return nil
	}
	return m.dropColumn(ctx)
}

func (m *migration) move(ctx context.Context) error {
	have, err := m.show(ctx, m.config.Table)
	if err != nil {
		return err
	}
	table, key, revision := quote(m.config.Table), quote(m.config.Key), quote(m.config.Revision)
	side, unfinished := quote(m.config.Table+sideSuffix), quote(m.config.Table+sideSuffix+"_new")
	deleted := "0"
	if have.hasColumn(m.config.DeletedAt) {
		mark, err := m.markColumn(ctx)
		if err != nil {
			return err
		}
		deleted = "NOT " + mark
	}
	statements := []string{
		"DROP TABLE IF EXISTS " + unfinished,
		strings.Replace(m.schema(phpclient.Sidecar)[0], side, unfinished, 1),
		"INSERT INTO " + unfinished + " (ticket_id,revision,deleted) SELECT " + key + "," + revision + "," + deleted + " FROM " +
			table +
			" WHERE " + revision + ">0",
	}
	buried, err := m.exists(ctx, m.config.Table+tombstonesSuffix)
	if err != nil {
		return err
	}
	if buried {
		statements = append(statements, "INSERT INTO "+unfinished+" (ticket_id,revision,deleted) SELECT ticket_id,revision,1 FROM "+
			quote(m.config.Table+tombstonesSuffix)+" ON DUPLICATE KEY UPDATE deleted=1,revision=GREATEST("+unfinished+
			".revision,VALUES(revision))")
	}
	for _, statement := range append(statements, "RENAME TABLE "+unfinished+" TO "+side) {
		if err := m.run(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// markColumn returns the condition that a row carries no mark of a soft delete.
func (m *migration) markColumn(ctx context.Context) (string, error) {
	c := described{name: m.config.DeletedAt}
	err := m.conn.QueryRowContext(ctx, "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND "+
		"table_name = ? AND column_name = ?", m.config.Table, c.name).Scan(&c.dataType)
	if err != nil {
		return "", fmt.Errorf("look at column %s: %w", c.name, err)
	}
	c.dataType = strings.ToLower(c.dataType)
	column := c.column(c.name, flavour{}, false)
	return present(&column), nil
}

// dropColumn removes the revision column that an earlier version added to another plugin's table.
func (m *migration) dropColumn(ctx context.Context) error {
	have, err := m.show(ctx, m.config.Table)
	switch {
	case err != nil:
		return err
	case !m.beside:
		return errors.New("the revision column is in use: --drop-column goes with --sidecar")
	case !have.hasColumn(m.config.Revision):
		return nil
	case !have.hasIndex(part{name: addedIndex, line: addedIndex}):
		return fmt.Errorf("ticketd has not added the column %s to another plugin's table (the index %s is missing), "+
			"so the column stays", m.config.Revision, addedIndex)
	}
	return m.alter(ctx, "DROP INDEX "+quote(addedIndex)+", DROP COLUMN "+quote(m.config.Revision), inPlace)
}

// layout makes the side table of a layout.
func (m *migration) layout(ctx context.Context) error {
	l := m.config.Layout
	for _, name := range l.Needs {
		there, err := m.exists(ctx, name)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("there is no table %s: correct table_prefix, or the database in the dsn", name)
		}
	}
	there, err := m.exists(ctx, l.Side)
	if err != nil || there {
		return err
	}
	return m.run(ctx, l.Create)
}
