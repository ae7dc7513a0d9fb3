package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// fenceMargin is how many ids lie between the AUTO_INCREMENT counter, as a lease reads it, and the leased block: for what
// others insert until the counter stands above the block, a few milliseconds later.
const fenceMargin = 1000

// UnfencedError means that leased ids cannot be kept apart from those that the table's AUTO_INCREMENT gives.
type UnfencedError struct {
	Table  string
	Reason string
}

func (e *UnfencedError) Error() string {
	return fmt.Sprintf("the key of %s is AUTO_INCREMENT, and ticketd cannot keep its own ids apart from those that the table "+
		"gives: %s. New tickets can be made by whoever else inserts into the table, and with an id that is given", e.Table, e.Reason)
}

// keyColumn is what the fence needs to know of the table's key.
type keyColumn struct {
	// counts says that the column is AUTO_INCREMENT.
	counts bool
	engine string
	// most is the highest id that the column's type holds.
	most ticket.ID
}

// Numbering names what keeps leased ids apart from those that the table gives: nothing, where it gives none, or else the fence on
// this server, as the table's counter travels to no other.
func (db *DB) Numbering(ctx context.Context) (string, error) {
	key, err := db.keyColumn(ctx)
	if err != nil || !key.counts {
		return "", err
	}
	var server string
	err = db.pool.QueryRowContext(ctx, "SELECT CONCAT_WS(' ', @@hostname, @@port, @@datadir)").Scan(&server)
	return "fenced on " + server, db.failure("ask which server this is", err)
}

func (db *DB) keyColumn(ctx context.Context) (keyColumn, error) {
	const operation = "look at the table's key"
	var extra, dataType, columnType string
	var engine sql.NullString
	err := db.pool.QueryRowContext(ctx, "SELECT c.extra, c.data_type, c.column_type, t.engine FROM information_schema.columns AS c "+
		"JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name "+
		"WHERE c.table_schema = DATABASE() AND c.table_name = ? AND c.column_name = ?", db.config.Table, db.config.Key).
		Scan(&extra, &dataType, &columnType, &engine)
	if errors.Is(err, sql.ErrNoRows) {
		return keyColumn{}, fmt.Errorf("mysql: %s: %w: there is no column %s in %s; run ticketd migrate, or correct key_column",
			operation, flush.ErrSinkPaused, db.config.Key, db.config.Table)
	}
	if err != nil {
		return keyColumn{}, db.failure(operation, err)
	}
	return keyColumn{
		counts: strings.Contains(strings.ToLower(extra), "auto_increment"), engine: engine.String,
		most: most(strings.ToLower(dataType), strings.Contains(strings.ToLower(columnType), "unsigned")),
	}, nil
}

// most is the highest value of an integer type.
func most(dataType string, unsigned bool) ticket.ID {
	bits := map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32}[dataType]
	switch {
	case bits == 0:
		return math.MaxInt64 // BIGINT; ids go no further
	case unsigned:
		return 1<<bits - 1
	default:
		return 1<<(bits-1) - 1
	}
}

// takeFencedIDs takes n ids from the sequence, none below floor, that the table's AUTO_INCREMENT does not give either, and
// returns the first. It holds the sequence's row meanwhile, so that no other daemon moves the counter between the look at
// it and the fence.
func (db *DB) takeFencedIDs(ctx context.Context, key keyColumn, n int, floor ticket.ID) (first ticket.ID, err error) {
	f, err := db.openFence(ctx, key)
	if err != nil {
		return 0, err
	}
	defer f.close()
	err = db.transact(ctx, func(tx *sql.Tx) error {
		var next int64
		if err := tx.QueryRowContext(ctx, "SELECT next FROM "+db.sequence()+" WHERE id = 1 FOR UPDATE").Scan(&next); err != nil {
			return err
		}
		given, err := f.counter(ctx)
		if err != nil {
			return err
		}
		first = max(floor, ticket.ID(next), given+fenceMargin+1)
		last := first + ticket.ID(n) - 1
		if !last.Valid() || !(last + 1).Valid() {
			return errNoIDs
		}
		if err := f.raise(ctx, last); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE "+db.sequence()+" SET next = ? WHERE id = 1", int64(last)+1)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoRow
	}
	return first, db.leaseFailure(err)
}

// fence moves the AUTO_INCREMENT counter of the table. It inserts rows of defaults and rolls back, which leaves no row and
// needs no right to ALTER; InnoDB never takes the counter back. InnoDB logs the counter, and the next commit, which is the
// lease's, makes it durable. The counter does not travel to replicas and to Galera's other nodes, as nothing is committed.
type fence struct {
	db   *DB
	key  keyColumn
	pool *sql.DB
	conn *sql.Conn
}

// openFence connects: the session is another than that of writes.
func (db *DB) openFence(ctx context.Context, key keyColumn) (*fence, error) {
	if !strings.EqualFold(key.engine, "InnoDB") {
		return nil, db.unfenced("its engine " + key.engine + " cannot roll an INSERT back; ALTER TABLE … ENGINE = InnoDB")
	}
	pool, err := db.lenientPool()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return nil, db.failure("fence ids: connect", err)
	}
	return &fence{db: db, key: key, pool: pool, conn: conn}, nil
}

func (f *fence) close() {
	_ = f.conn.Close()
	_ = f.pool.Close()
}

// counter returns the id that the table gives now, and uses it up.
func (f *fence) counter(ctx context.Context) (ticket.ID, error) {
	id, err := f.insertAndRollBack(ctx, "INSERT INTO "+quote(f.db.config.Table)+" () VALUES ()")
	if err == nil && !id.Valid() {
		return 0, f.db.unfenced("an INSERT without an id was given none; a trigger may have replaced it")
	}
	return id, err
}

// raise makes the table give ids above last from now on.
func (f *fence) raise(ctx context.Context, last ticket.ID) error {
	if last >= f.key.most { // an id that does not fit would be cut to the highest one, and use up the counter
		return f.db.unfenced(fmt.Sprintf("its type ends at %d, and the next block of ids at %d; widen it to BIGINT UNSIGNED",
			f.key.most, last))
	}
	_, err := f.insertAndRollBack(ctx,
		"INSERT INTO "+quote(f.db.config.Table)+" ("+quote(f.db.config.Key)+") VALUES (?)", int64(last))
	return err
}

// insertAndRollBack inserts one row and rolls back. It returns the id that AUTO_INCREMENT gave.
func (f *fence) insertAndRollBack(ctx context.Context, insert string, args ...any) (ticket.ID, error) {
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, insert, args...)
	if back := tx.Rollback(); err == nil && back != nil {
		return 0, back
	}
	if refused, ok := errors.AsType[*driver.MySQLError](err); ok && judge(err) == data { // it will always be
		return 0, f.db.unfenced(fmt.Sprintf("the table refuses a row of defaults, which ticketd inserts and rolls back to move the "+
			"counter (%d %s): give its columns defaults that its constraints and triggers accept", refused.Number, refused.Message))
	}
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	return ticket.ID(id), err
}

// lenientPool makes a pool of [lenient] sessions. Nothing that is inserted there is committed.
func (db *DB) lenientPool() (*sql.DB, error) {
	dsn, err := parseDSN(db.config.DSN)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	connections, err := connector(patience(dsn), lenient)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connections), nil
}

// leaseFailure wraps what the database said; what ticketd says itself stays as it is.
func (db *DB) leaseFailure(err error) error {
	if _, unfenced := errors.AsType[*UnfencedError](err); unfenced || errors.Is(err, errNoIDs) || errors.Is(err, errNoRow) {
		return err
	}
	return db.failure("lease ids", err)
}

func (db *DB) unfenced(reason string) error {
	return &UnfencedError{Table: db.config.Table, Reason: reason}
}

// TryFence says whether the key of the table is AUTO_INCREMENT and, where it is, whether ids can be kept apart from
// those that the table gives; an [UnfencedError] says why not. It uses up one of the table's ids and changes nothing else.
func (db *DB) TryFence(ctx context.Context) (counts bool, err error) {
	key, err := db.keyColumn(ctx)
	if err != nil || !key.counts {
		return false, err
	}
	f, err := db.openFence(ctx, key)
	if err != nil {
		return true, err
	}
	defer f.close()
	id, err := f.counter(ctx)
	if err == nil {
		err = f.raise(ctx, id) // the counter is above it already
	}
	return true, db.leaseFailure(err)
}
