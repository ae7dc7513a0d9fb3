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
	most uint64
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
func most(dataType string, unsigned bool) uint64 {
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

// counter returns the id that the table's AUTO_INCREMENT gives now, and uses it up: it inserts a row without an id and
// rolls back. InnoDB never takes the counter back.
func (db *DB) counter(ctx context.Context, key keyColumn) (ticket.ID, error) {
	if !strings.EqualFold(key.engine, "InnoDB") {
		return 0, db.unfenced("the engine is " + key.engine + ", which cannot roll an INSERT back; ALTER TABLE … ENGINE = InnoDB")
	}
	id, err := db.insertAndRollBack(ctx, "INSERT INTO "+quote(db.config.Table)+" () VALUES ()")
	if err == nil && !id.Valid() {
		return 0, db.unfenced("an INSERT without an id was given none; a trigger may have replaced it")
	}
	return id, err
}

// fence makes the table's AUTO_INCREMENT go on above last: it inserts a row with that id and rolls back, which needs no
// right to ALTER and leaves no row. So the ids up to last, as far as the counter had not reached them, are given by the
// sequence alone. Where the server restarts, the counter stays: InnoDB has logged it before the sequence's own commit. It
// does not travel to replicas and to Galera's other nodes, as nothing was committed.
func (db *DB) fence(ctx context.Context, key keyColumn, last ticket.ID) error {
	if uint64(last) >= key.most { // an id that does not fit would be cut to the highest one, and use up the counter
		return db.unfenced(fmt.Sprintf("its type ends at %d, and the next block of ids at %d; widen it to BIGINT UNSIGNED",
			key.most, last))
	}
	_, err := db.insertAndRollBack(ctx, "INSERT INTO "+quote(db.config.Table)+" ("+quote(db.config.Key)+") VALUES (?)", int64(last))
	return err
}

// insertAndRollBack inserts one row of defaults and rolls back. It returns the id that AUTO_INCREMENT gave.
func (db *DB) insertAndRollBack(ctx context.Context, insert string, args ...any) (ticket.ID, error) {
	pool, err := db.lenientPool()
	if err != nil {
		return 0, err
	}
	defer func() { _ = pool.Close() }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return 0, db.failure("fence ids: connect", err)
	}
	defer conn.Close()
	// MariaDB alone knows this; elsewhere the table's CHECK constraints stay on.
	_, _ = conn.ExecContext(ctx, "SET SESSION check_constraint_checks = 0")
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, db.failure("fence ids", err)
	}
	result, err := tx.ExecContext(ctx, insert, args...)
	back := tx.Rollback()
	if err != nil {
		return 0, db.fenceFailure(err)
	}
	if back != nil {
		return 0, db.failure("fence ids: roll back", back)
	}
	id, err := result.LastInsertId()
	return ticket.ID(id), db.failure("fence ids", err)
}

// lenientPool makes a pool whose sessions insert rows of defaults: columns without a default get their type's, and
// foreign keys are not looked at. Nothing that is inserted there is committed.
func (db *DB) lenientPool() (*sql.DB, error) {
	dsn, err := parseDSN(db.config.DSN)
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	session(dsn)
	dsn.Params["sql_mode"] = "''"
	dsn.Params["foreign_key_checks"] = "0"
	connector, err := driver.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("mysql: the DSN's options contradict each other: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// fenceFailure says why an INSERT of a row of defaults failed: what the table itself refuses it will always refuse.
func (db *DB) fenceFailure(err error) error {
	if refused, ok := errors.AsType[*driver.MySQLError](err); ok && judge(err) == data {
		return db.unfenced(fmt.Sprintf("it refuses a row of defaults, which ticketd inserts and rolls back to move the counter "+
			"(%d %s): give its columns defaults that its constraints and triggers accept", refused.Number, refused.Message))
	}
	return db.failure("fence ids", err)
}

func (db *DB) unfenced(reason string) error {
	return fmt.Errorf("mysql: lease ids: %w", &UnfencedError{Table: db.config.Table, Reason: reason})
}

// TryFence says whether the key of the table is AUTO_INCREMENT and, where it is, whether ids can be kept apart from
// those that the table gives; an [UnfencedError] says why not. It uses up one of the table's ids and changes nothing else.
func (db *DB) TryFence(ctx context.Context) (counts bool, err error) {
	key, err := db.keyColumn(ctx)
	if err != nil || !key.counts {
		return false, err
	}
	id, err := db.counter(ctx, key)
	if err != nil {
		return true, err
	}
	return true, db.fence(ctx, key, id) // the counter is above it already
}
