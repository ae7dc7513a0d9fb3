package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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

// patientPool makes a pool for statements that take as long as a table is large: no read is given up but where the DSN says
// when, and the context ends them.
func (db *DB) patientPool() (*sql.DB, error) {
	dsn, err := parseDSN(db.config.DSN)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	given := dsn.ReadTimeout
	patience(dsn).ReadTimeout = given
	connections, err := connector(dsn, nil)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connections), nil
}

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

// maxPacket returns the largest statement that the server takes, in bytes.
func (db *DB) maxPacket(ctx context.Context) (int, error) {
	if n := db.packet.Load(); n > 0 {
		return int(n), nil
	}
	var n int64
	if err := db.pool.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&n); err != nil {
		return 0, db.failure("read max_allowed_packet", err)
	}
	db.packet.Store(n)
	return int(n), nil
}
