package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

const (
	// connLifetime stays below the idle limits that proxies and servers commonly have.
	connLifetime = 4 * time.Minute
	connIdle     = time.Minute
)

// DB is a small pool of connections to the database of one site, and what is known of its tickets table. It may be
// used by any number of goroutines.
type DB struct {
	config     Config
	database   string        // the DSN's
	address    string        // the DSN's, with its network
	patience   time.Duration // for one statement
	pool       *sql.DB
	definition atomic.Pointer[table.Definition]
	// altered says that the table was missing, or another than the definition says, when a statement met it last. Whatever has
	// its name afterwards may be another table: it is identified and described again before anything else is done there.
	altered atomic.Bool
	// packet is the server's max_allowed_packet in bytes; zero when it has to be asked for.
	packet atomic.Int64
	// characters are those of the server's character sets, by name.
	characters sync.Map
	// places are the tables that know ids, as the last lease found them.
	places atomic.Pointer[[]idPlace]
	// rereads are those of the definition because of something refused.
	rereads seldom
	// caseCounts says that the server tells names of tables apart by the case of their letters; false before it has said so.
	caseCounts atomic.Bool
	// odd are the rows whose revision is none.
	odd oddRows
	// noTickets says which rows have a key that is no ticket id.
	noTickets atomic.Pointer[string]
	// guard looks at new connections; nil without such a check.
	guard *guard
}

// Open checks the config and prepares the pool. It connects to nothing: the first use does.
func Open(config Config) (*DB, error) {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	dsn, err := parseDSN(config.DSN)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	connections, err := connector(patience(dsn), nil)
	if err != nil {
		return nil, err
	}
	db := &DB{
		config: config, database: dsn.DBName, address: dsn.Net + "(" + dsn.Addr + ")",
		patience: dsn.Timeout + dsn.WriteTimeout + dsn.ReadTimeout,
	}
	pool := sql.OpenDB(guarded{connections, db})
	pool.SetMaxOpenConns(config.MaxConns)
	pool.SetMaxIdleConns(config.MaxConns)
	pool.SetConnMaxLifetime(connLifetime)
	pool.SetConnMaxIdleTime(connIdle)
	db.pool = pool
	return db, nil
}

// Patience is the longest that one statement takes before a database that does not answer is given up, connecting included.
func (db *DB) Patience() time.Duration { return db.patience }

// Close closes the pool; statements under way are waited for. The error, of [io.Closer], is always nil: a connection
// on which saying goodbye fails is closed all the same.
func (db *DB) Close() error {
	_ = db.pool.Close()
	return nil
}

// Ping asks whether the database answers. Its error wraps [flush.ErrSinkDown].
func (db *DB) Ping(ctx context.Context) error {
	return db.failure("ping", db.pool.PingContext(ctx))
}

// Definition returns the table's definition as it was last read or remembered, or nil.
func (db *DB) Definition() *table.Definition { return db.definition.Load() }

// Remember sets the definition that was kept on disk, until the database itself is asked with [DB.LoadDefinition].
func (db *DB) Remember(d *table.Definition) { db.definition.Store(d) }

// known returns the definition, reading it first where it is not known yet, or not any more.
func (db *DB) known(ctx context.Context) (*table.Definition, error) {
	if d := db.definition.Load(); d != nil && !db.altered.Load() {
		return d, nil
	}
	return db.LoadDefinition(ctx)
}

// Name is the table with its database, the same on every host that uses it: "wordpress.wp_support_tickets". The daemon
// marks the site's keys in Redis with it.
func (db *DB) Name() string { return db.database + "." + db.config.Table }

// NameOf is the name of another table of the database.
func (db *DB) NameOf(table string) string { return db.database + "." + table }

// SameName says whether two names of tables are one for the server. As long as it has not said whether case counts, it does not.
func (db *DB) SameName(a, b string) bool {
	return a == b || !db.caseCounts.Load() && strings.EqualFold(a, b)
}

// Address is the server's, as the DSN has it: its network and where it is there.
func (db *DB) Address() string { return db.address }

// failure wraps an error that concerns no ticket alone for the flusher: paused where the table changed, down otherwise.
// What the server said stays in the chain and the message, with its number.
func (db *DB) failure(operation string, err error) error {
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
		if readOnly(err) { // the address may lead to another server now, which further connections find
			db.pool.SetMaxIdleConns(0)
			db.pool.SetMaxIdleConns(db.config.MaxConns)
		}
		db.packet.Store(0) // the next connection may reach a server with another limit
		return fmt.Errorf("mysql: %s: %w: %w", operation, flush.ErrSinkDown, err)
	}
}

// transact runs do in a transaction, whose isolation is the session's.
func (db *DB) transact(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := db.pool.BeginTx(ctx, nil)
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

// tombstonesSuffix makes the name of the table of deleted tickets, which exists only for a tickets table without a
// deleted_at column. Its columns are ticket_id and revision.
const tombstonesSuffix = "_tombstones"

func (db *DB) tombstones() string { return quote(db.config.Table + tombstonesSuffix) }

// Found is what a database has under the name of the tickets table, for who sets a site up.
type Found struct {
	// There says that there is a table or a view.
	There bool
	// Ours says that ticketd made it, or that it was adopted and has the configured key.
	Ours bool
	// Key is the column that can be the ticket's id: an integer with a unique index of its own, the primary key if there are
	// several; empty without such a column.
	Key     string
	Columns []FoundColumn
}

// FoundColumn is one column of a table.
type FoundColumn struct {
	Name string
	// Type is as the database writes it, e.g. int(10) unsigned.
	Type string
	// Kind is the type without its size, e.g. int.
	Kind string
}

// Inspect looks at the table without changing anything. Errors wrap [flush.ErrSinkDown].
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

// possibleKey returns the integer column that alone is a unique index, best the primary key; empty without such a column.
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

// Facts are what a database says of itself and of the tickets table, for people who look for what is wrong.
type Facts struct {
	Version string
	// SQLMode is the server's own; ticketd's sessions have their own.
	SQLMode  string
	ReadOnly bool
	Packet   int64 // max_allowed_packet in bytes
	// Ahead is by how much the server's clock is ahead of this host's, as far as the time of the question lets tell.
	Ahead time.Duration
	// Engine is the table's; empty where there is no such table.
	Engine string
	// Added says that an earlier version of ticketd added the revision column to a table that it did not make.
	Added bool
	// Denied are the statements that this user may not run on the table, e.g. UPDATE.
	Denied []string
	// Untried are rights of which it could not be told whether this user has them, with what the database said.
	Untried []string
}

// Examine asks for the facts. Nothing is changed: the statements that try the user's rights touch no row.
func (db *DB) Examine(ctx context.Context) (*Facts, error) {
	f := &Facts{}
	before := time.Now()
	var now float64
	err := db.pool.QueryRowContext(ctx, "SELECT VERSION(), @@GLOBAL.sql_mode, @@GLOBAL.read_only, @@max_allowed_packet, "+
		"UNIX_TIMESTAMP(NOW(6))").Scan(&f.Version, &f.SQLMode, &f.ReadOnly, &f.Packet, &now)
	if err != nil {
		return nil, db.failure("examine", err)
	}
	f.Ahead = ahead(time.UnixMicro(int64(now*1e6)), before, time.Now())
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

// ahead is how far a clock that was read between two looks at this one lies outside them.
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

// denied tries what ticketd does with its tables, on no row. The database looks at the rights all the same.
func (db *DB) denied(ctx context.Context) (denied, untried []string) {
	tickets, key := quote(db.config.Table), quote(db.config.Key)
	tries := []struct{ name, statement string }{
		{"SELECT", "SELECT " + key + " FROM " + tickets + " WHERE 1 = 0"},
		{"INSERT", "INSERT INTO " + tickets + " (" + key + ") SELECT 1 FROM DUAL WHERE 1 = 0"},
		{"UPDATE", "UPDATE " + tickets + " SET " + key + " = " + key + " WHERE 1 = 0"},
	}
	if d := db.definition.Load(); d != nil && d.Side != "" {
		side := quote(d.Side)
		tries = append(tries, struct{ name, statement string }{
			"SELECT, INSERT, UPDATE on " + d.Side,
			"INSERT INTO " + side + " (ticket_id, revision, deleted) SELECT ticket_id, revision, deleted FROM " + side +
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

// FindOddRevision looks through the whole table for rows with a revision that is none, and returns how many there are and the
// first.
func (db *DB) FindOddRevision(ctx context.Context) (n int64, first ticket.ID, err error) {
	d, err := db.known(ctx)
	if err != nil {
		return 0, 0, err
	}
	of, key, column := d.Table, d.Key, d.Revision
	if d.Side != "" {
		of, key, column = d.Side, "ticket_id", sideRevisionColumn
	}
	err = db.pool.QueryRowContext(ctx, "SELECT COUNT(*),COALESCE(MIN("+quote(key)+"),0) FROM "+quote(of)+" WHERE "+quote(column)+
		" NOT BETWEEN 0 AND ? AND "+isTicket(key), int64(ticket.Ceiling)).Scan(&n, &first)
	return n, first, db.failure("look for odd revisions", err)
}

// maxOdd bounds the ids that are kept for a warning.
const maxOdd = 16

// oddRows are the tickets that were last read with a number that is no revision.
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

// OddRevisions says which rows were last read with a number that is no revision; empty where none was.
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
