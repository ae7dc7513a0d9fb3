package mysql

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// DB is the database of one site, with the known facts about its tickets table. Its connections are its server's. It is safe for
// concurrent use.
type DB struct {
	config   Config
	database string        // the DSN's
	address  string        // the DSN's, with its network
	patience time.Duration // for one statement
	server   *server
	// connections makes connections of this database's login; health is the state of the server, and doubt is called after failed
	// statements: both nil outside of the daemon.
	connections *borrower
	health      *health.Server
	doubt, used func()
	pool        *sql.DB // keeps no connection of its own: the server's pool does
	definition  atomic.Pointer[table.Definition]
	// altered says that the last statement that failed met a missing table, or a table that differs from the definition. The name
	// may then belong to another table: db identifies and describes the table again before any other statement.
	altered atomic.Bool
	// packet is the server's max_allowed_packet in bytes; zero while the value is not known.
	packet atomic.Int64
	// characters are the characters of the server's character sets, by name.
	characters sync.Map
	// places are the tables that know ids, as the last lease found them.
	places atomic.Pointer[[]idPlace]
	// rereads limits how often a refusal makes db read the definition again.
	rereads seldom
	// caseCounts says that the server's table names distinguish case; false until the server has answered.
	caseCounts atomic.Bool
	// odd are the rows whose revision column holds no revision.
	odd oddRows
	// noTickets is a message about rows whose key is no ticket id.
	noTickets atomic.Pointer[string]
	// guard checks new connections; nil without such a check.
	guard   *guard
	closing sync.Once
}

// Open is [Servers.Open] with connections that no other database uses.
func Open(config Config) (*DB, error) {
	const share = 2 // see [Servers.Open]
	return NewServers(share * config.withDefaults().MaxConns).Open(config)
}

// Open checks the config and prepares the database's use of its server. The first use makes the first connection. A database uses
// at most half of its server's connections at a time, so that a site with a slow or locked table leaves the others some.
func (s *Servers) Open(config Config) (*DB, error) {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	dsn, err := config.parseDSN()
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	patience(dsn)
	db := &DB{
		config: config, database: dsn.DBName, address: dsn.Net + "(" + dsn.Addr + ")",
		patience: dsn.Timeout + dsn.WriteTimeout + dsn.ReadTimeout,
	}
	connections, err := newBorrower(db, dsn, nil)
	if err != nil {
		return nil, err
	}
	connections.guard = true
	db.connections = connections
	db.server = s.join(db.address)
	db.pool = openPool(connections, min(config.MaxConns, s.size/2)) //nolint:mnd // half
	return db, nil
}

// openPool makes a pool that gives each connection back to the server after its use.
func openPool(connections sqldriver.Connector, most int) *sql.DB {
	pool := sql.OpenDB(connections)
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(0)
	return pool
}

// Patience is the longest time of a statement before db gives up a database that does not answer, including connecting.
func (db *DB) Patience() time.Duration { return db.patience }

// Close ends the use of the database. The error, for [io.Closer], is always nil. The second Close does nothing.
func (db *DB) Close() error {
	db.closing.Do(func() {
		_ = db.pool.Close()
		db.server.leave()
	})
	return nil
}

// Ping checks that the database answers. The error wraps [flush.ErrSinkDown].
func (db *DB) Ping(ctx context.Context) error {
	return db.failure("ping", db.pool.PingContext(ctx))
}

// Definition returns the table's definition as last read or remembered, or nil.
func (db *DB) Definition() *table.Definition {
	if db.used != nil {
		db.used()
	}
	return db.definition.Load()
}

// Remember sets the definition that was kept on disk, until [DB.LoadDefinition] asks the database.
func (db *DB) Remember(d *table.Definition) { db.definition.Store(d) }

// known returns the definition, and reads the definition first if it is not known or no longer valid.
func (db *DB) known(ctx context.Context) (*table.Definition, error) {
	if d := db.definition.Load(); d != nil && !db.altered.Load() {
		return d, nil
	}
	return db.LoadDefinition(ctx)
}

// Name is the table with its database, the same on every host of the site: "wordpress.wp_support_tickets". The daemon marks the
// site's keys in Redis with this name.
func (db *DB) Name() string { return db.database + "." + db.config.Table }

// NameOf is the name of another table of the database.
func (db *DB) NameOf(table string) string { return db.database + "." + table }

// SameName says whether two names of tables are the same for the server. Until the server has answered, case does not count.
func (db *DB) SameName(a, b string) bool {
	return a == b || !db.caseCounts.Load() && strings.EqualFold(a, b)
}

// Address is the server's network and address, as the DSN gives them.
func (db *DB) Address() string { return db.address }

// failure wraps, for the flusher, an error that concerns no single ticket: paused if the table changed, down otherwise. The
// server's own error stays in the chain and in the message, with its number.
func (db *DB) failure(operation string, err error) error {
	db.heard(err)
	if errors.Is(err, flush.ErrSinkForeign) {
		return fmt.Errorf("mysql: %s: %w", operation, err)
	}
	switch judge(err) {
	case fine:
		return nil
	case changed:
		db.altered.Store(true)
		return fmt.Errorf("mysql: %s: %w: %w; where a table is missing, run ticketd migrate", operation,
			flush.ErrSinkPaused, err)
	default:
		if readOnly(err) || answered(err) && lost(err) { // the address may lead to another server now, which new connections find
			db.server.renew()
		}
		db.packet.Store(0) // the next connection may reach a server with another limit
		return fmt.Errorf("mysql: %s: %w: %w", operation, flush.ErrSinkDown, err)
	}
}

// transact runs do in a transaction with the session's isolation.
func (db *DB) transact(ctx context.Context, do func(*sql.Tx) error) error {
	return db.transactAs(ctx, nil, do)
}

func (db *DB) transactAs(ctx context.Context, options *sql.TxOptions, do func(*sql.Tx) error) error {
	tx, err := db.pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do(tx); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) && judge(err) == down {
			return fmt.Errorf("%w; rolling back: %w", err, back)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err) // the outcome is unknown; the guard makes another attempt safe
	}
	return nil
}

// tombstonesSuffix makes the name of the table of deleted tickets, which exists only for a tickets table without a deleted_at
// column. Its columns are ticket_id and revision.
const tombstonesSuffix = "_tombstones"

func (db *DB) tombstones() string { return quote(db.config.Table + tombstonesSuffix) }

// Found describes the table or view that has the name of the tickets table, for the setup of a site.
type Found struct {
	// There says that a table or a view exists.
	There bool
	// Ours says that ticketd made the table, or adopted a table that has the configured key.
	Ours bool
	// Key is the column that can be the ticket's id: an integer with a unique index of its own, the primary key if there are
	// several such columns; empty without such a column.
	Key     string
	Columns []FoundColumn
}

// FoundColumn is a column of a table.
type FoundColumn struct {
	Name string
	// Type is in the database's form, e.g. int(10) unsigned.
	Type string
	// Kind is the type without its size, e.g. int.
	Kind string
}

// Inspect describes the table and changes no data. Errors wrap [flush.ErrSinkDown].
func (db *DB) Inspect(ctx context.Context) (*Found, error) {
	const operation = "look at the table"
	columns, err := db.describe(ctx)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	f := &Found{There: len(columns) > 0}
	for _, c := range columns {
		f.Columns = append(f.Columns, FoundColumn{Name: c.name, Type: c.columnType, Kind: c.dataType})
	}
	if !f.There {
		return f, nil
	}
	if f.Key, err = db.possibleKey(ctx); err != nil {
		return nil, db.failure(operation, err)
	}
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	defer conn.Close()
	f.Ours, err = db.ours(ctx, conn, columns)
	return f, db.failure(operation, err)
}

func (db *DB) ours(ctx context.Context, conn *sql.Conn, columns []described) (bool, error) {
	m := &migration{config: db.config, conn: conn}
	have := shape{}
	for _, c := range columns {
		have.columns = append(have.columns, part{name: c.name})
	}
	if !have.hasColumn(db.config.Key) {
		return false, nil
	}
	if side, err := m.exists(ctx, db.config.Table+sideSuffix); side || err != nil {
		return side, err
	}
	have, err := m.show(ctx, db.config.Table)
	if err != nil {
		return false, err
	}
	return m.own(ctx, have)
}

// possibleKey returns an integer column that alone is a unique index, if possible the primary key; empty without such a column.
func (db *DB) possibleKey(ctx context.Context) (string, error) {
	rows, err := db.pool.QueryContext(ctx, `SELECT c.column_name, c.data_type FROM information_schema.columns AS c JOIN (
		SELECT index_name, MAX(column_name) AS name FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0
		GROUP BY index_name HAVING COUNT(*) = 1) AS single ON single.name = c.column_name
		WHERE c.table_schema = DATABASE() AND c.table_name = ?
		ORDER BY single.index_name <> 'PRIMARY', c.ordinal_position`, db.config.Table, db.config.Table)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return "", fmt.Errorf("read the keys: %w", err)
		}
		if integerBits[strings.ToLower(kind)] != 0 {
			return name, nil
		}
	}
	return "", rows.Err()
}

// Facts describe the database and the tickets table, for diagnosis.
type Facts struct {
	Version string
	// SQLMode is the server's own mode; ticketd's sessions set another mode.
	SQLMode  string
	ReadOnly bool
	Packet   int64 // max_allowed_packet in bytes
	// MaxConnections is the server's max_connections, and MaxUserConnections this user's bound, 0 without one. Peak is the most
	// connections that the server had at a time since its start.
	MaxConnections, MaxUserConnections, Peak int
	// Ahead is the lead of the server's clock over this host's clock, as exactly as the duration of the question allows.
	Ahead time.Duration
	// Engine is the table's engine; empty without such a table.
	Engine string
	// Added says that an earlier version of ticketd added the revision column to a table that it did not make.
	Added bool
	// Denied are the statements that this user may not run on the table, e.g. UPDATE.
	Denied []string
	// Untried are rights that Examine could not test, each with the database's error.
	Untried []string
}

// Examine returns the facts. The statements that test the user's rights touch no row.
func (db *DB) Examine(ctx context.Context) (*Facts, error) {
	f := &Facts{}
	before := time.Now()
	var now float64
	err := db.pool.QueryRowContext(ctx, "SELECT VERSION(), @@GLOBAL.sql_mode, @@GLOBAL.read_only, @@max_allowed_packet, "+
		"@@GLOBAL.max_connections, @@SESSION.max_user_connections, UNIX_TIMESTAMP(NOW(6))").
		Scan(&f.Version, &f.SQLMode, &f.ReadOnly, &f.Packet, &f.MaxConnections, &f.MaxUserConnections, &now)
	if err != nil {
		return nil, db.failure("examine", err)
	}
	f.Ahead = ahead(time.UnixMicro(int64(now*1e6)), before, time.Now())
	var name string
	err = db.pool.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Max_used_connections'").Scan(&name, &f.Peak)
	if err != nil {
		return nil, db.failure("examine", err)
	}
	err = db.pool.QueryRowContext(ctx, "SELECT COALESCE(MAX(engine), '') FROM information_schema.tables WHERE table_schema = "+
		"DATABASE() AND table_name = ?", db.config.Table).Scan(&f.Engine)
	if err != nil {
		return nil, db.failure("examine", err)
	}
	if f.Engine == "" {
		return f, nil
	}
	f.Denied, f.Untried = db.denied(ctx)
	err = db.pool.QueryRowContext(ctx, "SELECT COUNT(*) > 0 FROM information_schema.statistics WHERE table_schema = DATABASE() AND "+
		"table_name = ? AND index_name = ?", db.config.Table, addedIndex).Scan(&f.Added)
	return f, db.failure("examine", err)
}

// ahead is how far a foreign clock's time lies outside of two readings of this host's clock.
func ahead(theirs, before, after time.Time) time.Duration {
	switch {
	case theirs.Before(before):
		return theirs.Sub(before)
	case theirs.After(after):
		return theirs.Sub(after)
	default:
		return 0
	}
}

// denied tries ticketd's statements on its tables, on no row. The database checks the rights on no row too.
func (db *DB) denied(ctx context.Context) (denied, untried []string) {
	tickets, key := quote(db.config.Table), quote(db.config.Key)
	tries := []struct{ name, statement string }{
		{"SELECT", "SELECT " + key + " FROM " + tickets + " WHERE 1 = 0"},
		{"INSERT", "INSERT INTO " + tickets + " (" + key + ") SELECT 1 FROM DUAL WHERE 1 = 0"},
		{"UPDATE", "UPDATE " + tickets + " SET " + key + " = " + key + " WHERE 1 = 0"},
	}
	if d := db.definition.Load(); d != nil && d.Side != "" {
		side, id := quote(d.Side), quote(db.sideKey())
		tries = append(tries, struct{ name, statement string }{
			"SELECT, INSERT, UPDATE on " + d.Side,
			"INSERT INTO " + side + " (" + id + ", revision, deleted) SELECT " + id + ", revision, deleted FROM " + side +
				" WHERE 1 = 0 ON DUPLICATE KEY UPDATE deleted = VALUES(deleted)",
		})
	}
	if d := db.definition.Load(); d != nil && d.DeletedAt == "" {
		tries = append(tries, struct{ name, statement string }{"DELETE", "DELETE FROM " + tickets + " WHERE 1 = 0"})
	}
	if db.config.standard() {
		tries = append(tries, struct{ name, statement string }{
			fmt.Sprintf("UPDATE on %s%s", db.config.Table, sequenceSuffix),
			"UPDATE " + db.sequence() + " SET next = next WHERE 1 = 0",
		})
	}
	for _, try := range tries {
		_, err := db.pool.ExecContext(ctx, try.statement)
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "denied"):
			denied = append(denied, try.name)
		default:
			untried = append(untried, fmt.Sprintf("%s (%v)", try.name, err))
		}
	}
	return denied, untried
}

// FindOddRevision searches the whole table for rows whose revision column holds no revision, and returns their number and the
// first id.
func (db *DB) FindOddRevision(ctx context.Context) (n int64, first ticket.ID, err error) {
	d, err := db.known(ctx)
	if err != nil {
		return 0, 0, err
	}
	of, key, column := d.Table, d.Key, d.Revision
	if d.Side != "" {
		of, key, column = d.Side, db.sideKey(), sideRevisionColumn
	}
	err = db.pool.QueryRowContext(ctx, "SELECT COUNT(*),COALESCE(MIN("+quote(key)+"),0) FROM "+quote(of)+" WHERE "+quote(column)+
		" NOT BETWEEN 0 AND ? AND "+isTicket(key), int64(ticket.Ceiling)).Scan(&n, &first)
	return n, first, db.failure("look for odd revisions", err)
}

// Watch makes db report to the state of its server, which the sites of the server share, and obey that state: while the server is
// down, db makes no connection but for the trials that the server allows. db calls doubt after each statement that failed while
// the server may be up: the site is to find out whether its table can be read. db calls used with each [DB.Definition]: the
// definition of a table in use is to be read regularly. Neither may block. Call Watch before any other use of db.
func (db *DB) Watch(server *health.Server, doubt, used func()) {
	db.health, db.doubt, db.used = server, doubt, used
}

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

// Known returns the definition, and reads the definition first if it is not known or no longer valid.
func (db *DB) Known(ctx context.Context) (*table.Definition, error) { return db.known(ctx) }

// Query runs a query outside of a transaction. The caller passes an error on by [DB.Failure].
func (db *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return db.pool.QueryContext(ctx, query, args...)
}

// Failure wraps an error that concerns no single ticket, for the flusher; nil for nil.
func (db *DB) Failure(operation string, err error) error { return db.failure(operation, err) }

// Engines returns the engine of each of the given tables that exists.
func (db *DB) Engines(ctx context.Context, tables ...string) (map[string]string, error) {
	engines := map[string]string{}
	for _, name := range tables {
		var engine string
		err := db.pool.QueryRowContext(ctx, "SELECT COALESCE(engine, '') FROM information_schema.tables WHERE table_schema = "+
			"DATABASE() AND table_name = ?", name).Scan(&engine)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return nil, db.failure("look for engines", err)
		default:
			engines[name] = engine
		}
	}
	return engines, nil
}

// LogsStatements says that the server's binary log has statements alone, which rules out transactions that lock no gaps.
func (db *DB) LogsStatements(ctx context.Context) (bool, error) {
	rows, err := db.pool.QueryContext(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin','binlog_format')")
	if err != nil {
		return false, db.failure("read binlog_format", err)
	}
	defer rows.Close()
	values := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return false, db.failure("read binlog_format", err)
		}
		values[name] = value
	}
	return values["log_bin"] == "ON" && values["binlog_format"] == "STATEMENT", db.failure("read binlog_format", rows.Err())
}

// maxOdd bounds the ids in a warning.
const maxOdd = 16

// oddRows are the tickets whose last read found a number that is no revision.
type oddRows struct {
	some atomic.Bool
	mu   sync.Mutex
	rows map[ticket.ID]string
}

func (o *oddRows) saw(id ticket.ID, r *revision) {
	if r.odd == "" && !o.some.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.odd == "" {
		delete(o.rows, id)
	} else if len(o.rows) < maxOdd {
		if o.rows == nil {
			o.rows = map[ticket.ID]string{}
		}
		o.rows[id] = r.odd
	}
	o.some.Store(len(o.rows) > 0)
}

// OddRevisions describes the rows whose last read found a number that is no revision; empty without such a row.
func (db *DB) OddRevisions() string {
	if !db.odd.some.Load() {
		return ""
	}
	db.odd.mu.Lock()
	defer db.odd.mu.Unlock()
	found := make([]string, 0, len(db.odd.rows))
	for _, id := range slices.Sorted(maps.Keys(db.odd.rows)) {
		found = append(found, fmt.Sprintf("ticket %d: %.40s", int64(id), db.odd.rows[id]))
	}
	return "rows of " + db.config.Table + " have a number that is no revision, written by another program: no revision is above " +
		ticket.Ceiling.String() + " (" + strings.Join(found, ", ") + "): the number counts as 0, and changes of these tickets become " +
		"dead letters, whose reason gives the correction"
}
