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

// sequenceSuffix makes the name of the sequence's table, whose single row holds the next free id.
const sequenceSuffix = "_seq"

// reach bounds the ids that raise the sequence. A higher id was typed in or comes from another system: a sequence that counts
// tickets does not get there, so the sequence need not be above that id, and would soon reach its end if raised. reach is 2^52,
// which leaves room for ids that are times in microseconds.
const reach ticket.ID = 1 << 52

// maxTries bounds how many blocks a lease takes until a block has a free id.
const maxTries = 3

func (db *DB) sequence() string { return quote(db.config.Table + sequenceSuffix) }

// Sequence leases blocks of ticket ids. No id is leased twice, by any number of processes. If the table's key is AUTO_INCREMENT,
// the table does not assign a leased id either, see [fence].
type Sequence struct{ db *DB }

// NewSequence makes the sequence of a database.
func NewSequence(db *DB) *Sequence { return &Sequence{db: db} }

// Lease takes n ids, 1 or more, and returns the first. Some of the ids may have rows: [DB.Taken] returns these ids. Errors wrap
// [flush.ErrSinkDown] or [flush.ErrSinkPaused].
func (s *Sequence) Lease(ctx context.Context, n int) (ticket.ID, error) {
	db := s.db
	key, err := db.keyColumn(ctx)
	if err != nil {
		return 0, err
	}
	places, err := db.idPlaces(ctx)
	if err != nil {
		return 0, err
	}
	floor := ticket.ID(1)
	for range maxTries {
		take := db.takeIDs
		if key.counts {
			take = func(ctx context.Context, n int, floor ticket.ID) (ticket.ID, error) {
				return db.takeFencedIDs(ctx, key, n, floor)
			}
		}
		first, err := take(ctx, n, floor)
		if err != nil {
			return 0, err
		}
		gap, err := db.gap(ctx, places, first, first+ticket.ID(n)-1)
		if err != nil || gap == first {
			return first, err
		}
		floor = gap
	}
	return 0, fmt.Errorf("mysql: lease ids: %w: rows had all ids of %d blocks of %d in a row; trying again",
		flush.ErrSinkDown, maxTries, n)
}

// takeIDs takes n ids from the sequence, none below floor, and returns the first.
func (db *DB) takeIDs(ctx context.Context, n int, floor ticket.ID) (ticket.ID, error) {
	const operation = "lease ids"
	// LAST_INSERT_ID(x) hands x to this connection's answer, so that the lease is one statement.
	result, err := db.pool.ExecContext(ctx, "UPDATE "+db.sequence()+
		" SET next = LAST_INSERT_ID(GREATEST(next, ?)) + ? WHERE id = 1", int64(floor), n)
	if err != nil {
		return 0, db.failure(operation, err)
	}
	affected, err := result.RowsAffected()
	if err != nil {
		return 0, db.failure(operation, err)
	}
	if affected == 0 {
		return 0, errNoRow
	}
	first, err := result.LastInsertId()
	if err != nil {
		return 0, db.failure(operation, err)
	}
	if id := ticket.ID(first); !id.Valid() || !(id + ticket.ID(n)).Valid() {
		return 0, fmt.Errorf("mysql: %s: %w", operation, errNoIDs)
	}
	return ticket.ID(first), nil
}

var (
	errNoIDs = errors.New("the ids are used up: the sequence stands at 2^63")
	errNoRow = fmt.Errorf("mysql: %w: the sequence of ids has no row; run ticketd migrate", flush.ErrSinkPaused)
)

// Raise makes sure that ids up to the highest given id are not leased any more: a sequence that was restored from a backup does
// not know of these ids. Ids from [reach] on do not count.
func (s *Sequence) Raise(ctx context.Context, ids []ticket.ID) error {
	var highest ticket.ID
	for _, id := range ids {
		if id < reach {
			highest = max(highest, id)
		}
	}
	_, err := s.db.pool.ExecContext(ctx, "UPDATE "+s.db.sequence()+" SET next = GREATEST(next, ?) WHERE id = 1", int64(highest)+1)
	return s.db.failure("raise the sequence of ids", err)
}

// RaiseToTable makes sure that no id up to the table's highest id is leased any more. Only this call of an operator makes
// typed-in ids move the numbering. RaiseToTable returns the next id before and after the call.
func (s *Sequence) RaiseToTable(ctx context.Context) (before, after ticket.ID, err error) {
	if before, err = s.next(ctx); err != nil {
		return 0, 0, err
	}
	highest, err := s.db.MaxID(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err := s.Raise(ctx, []ticket.ID{highest}); err != nil {
		return 0, 0, err
	}
	after, err = s.next(ctx)
	return before, after, err
}

func (s *Sequence) next(ctx context.Context) (ticket.ID, error) {
	var next int64
	err := s.db.pool.QueryRowContext(ctx, "SELECT next FROM "+s.db.sequence()+" WHERE id = 1").Scan(&next)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errNoRow
	}
	return ticket.ID(next), s.db.failure("read the sequence of ids", err)
}

// idPlace is a table with ids that no new ticket may get: the tickets table, its tombstones, its side table.
type idPlace struct{ table, key string } // quoted

// idPlaces returns the tables with ids. Only some tickets tables have tombstones or a side table.
func (db *DB) idPlaces(ctx context.Context) ([]idPlace, error) {
	const operation = "look for tables with ids"
	places := []idPlace{{quote(db.config.Table), quote(db.config.Key)}}
	rows, err := db.pool.QueryContext(ctx, "SELECT table_name, column_name FROM information_schema.columns "+
		"WHERE table_schema = DATABASE() AND table_name IN (?,?) AND column_key = 'PRI'",
		db.config.Table+tombstonesSuffix, db.config.Table+sideSuffix)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, key string
		if err := rows.Scan(&table, &key); err != nil {
			return nil, db.failure(operation, err)
		}
		places = append(places, idPlace{quote(table), quote(key)})
	}
	if err := rows.Err(); err != nil {
		return nil, db.failure(operation, err)
	}
	db.places.Store(&places)
	return places, nil
}

// Taken returns which of the ids from first to last have a row in the tickets table, or had a row that was deleted.
func (db *DB) Taken(ctx context.Context, first, last ticket.ID) ([]ticket.ID, error) {
	const operation = "look for free ids"
	places := db.places.Load() // from the last lease
	if places == nil {
		places = &[]idPlace{{quote(db.config.Table), quote(db.config.Key)}}
	}
	query, args := between(*places, first, last)
	rows, err := db.pool.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	defer rows.Close()
	var taken []ticket.ID
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, db.failure(operation, err)
		}
		taken = append(taken, ticket.ID(id))
	}
	return taken, db.failure(operation, rows.Err())
}

// between returns the query for the ids from first to last in the tables, each id once.
func between(places []idPlace, first, last ticket.ID) (query string, args []any) {
	parts := make([]string, len(places))
	for i, p := range places {
		parts[i] = "SELECT " + p.key + " AS id FROM " + p.table + " WHERE " + p.key + " BETWEEN ? AND ?"
		args = append(args, int64(first), int64(last))
	}
	return strings.Join(parts, " UNION "), args
}

// gap returns first if an id from first to last is free, and else the next free id above last.
func (db *DB) gap(ctx context.Context, places []idPlace, first, last ticket.ID) (ticket.ID, error) {
	const operation = "look for free ids"
	all, args := between(places, first, last)
	var n int64
	if err := db.pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM ("+all+") AS taken", args...).Scan(&n); err != nil {
		return 0, db.failure(operation, err)
	}
	if n <= int64(last-first) {
		return first, nil
	}
	// Each part searches its index upwards for the first id without a successor in any of the tables.
	parts := make([]string, len(places))
	args = args[:0]
	for i, p := range places {
		free := make([]string, len(places))
		for j, q := range places {
			free[j] = fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s AS n WHERE n.%s = t.%s + 1)", q.table, q.key, p.key)
		}
		parts[i] = fmt.Sprintf("(SELECT t.%s + 1 AS id FROM %s AS t WHERE t.%s >= ? AND %s ORDER BY t.%s LIMIT 1)",
			p.key, p.table, p.key, strings.Join(free, " AND "), p.key)
		args = append(args, int64(last))
	}
	var gap int64
	query := "SELECT MIN(id) FROM (" + strings.Join(parts, " UNION ALL ") + ") AS gaps"
	if err := db.pool.QueryRowContext(ctx, query, args...).Scan(&gap); err != nil {
		return 0, db.failure(operation, err)
	}
	return ticket.ID(gap), nil
}

// fenceMargin is the distance between the AUTO_INCREMENT counter, as a lease reads the counter, and the leased block: room for
// other programs' inserts until the counter is above the block, a few milliseconds later.
const fenceMargin = 1000

// UnfencedError means that ticketd cannot keep leased ids apart from ids that the table's AUTO_INCREMENT assigns.
type UnfencedError struct {
	Table  string
	Reason string
}

func (e *UnfencedError) Error() string {
	return fmt.Sprintf("the key of %s is AUTO_INCREMENT, and ticketd cannot keep its own ids apart from those that the table "+
		"gives: %s. Only other programs' INSERTs, and creates with a given id, can make new tickets", e.Table, e.Reason)
}

// keyColumn is the fence's data about the table's key.
type keyColumn struct {
	// counts says that the column is AUTO_INCREMENT.
	counts bool
	engine string
	// most is the highest id that the column's type holds.
	most ticket.ID
}

// Numbering names the mechanism that keeps leased ids apart from ids that the table assigns: empty if the table assigns no ids,
// else the fence on this server, as the table's counter is not replicated to another server.
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

// most returns the highest value of an integer type.
func most(dataType string, unsigned bool) ticket.ID {
	bits := map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32}[dataType]
	switch {
	case bits == 0:
		return math.MaxInt64 // BIGINT: also the highest id
	case unsigned:
		return 1<<bits - 1
	default:
		return 1<<(bits-1) - 1
	}
}

// takeFencedIDs takes n ids from the sequence, none below floor and none that the table's AUTO_INCREMENT may assign, and returns
// the first. A lock on the sequence's row keeps other daemons from moving the counter between the reading and the fence.
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
	done func() // ends the turn
}

// openFence connects with another session than the session for writes.
func (db *DB) openFence(ctx context.Context, key keyColumn) (*fence, error) {
	if !strings.EqualFold(key.engine, "InnoDB") {
		return nil, db.unfenced("its engine " + key.engine + " cannot roll an INSERT back; ALTER TABLE … ENGINE = InnoDB")
	}
	done, err := db.server.fenceTurn(ctx)
	if err != nil {
		return nil, db.failure("fence ids", err)
	}
	pool, err := db.lenientPool()
	if err != nil {
		done()
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		done()
		return nil, db.failure("fence ids: connect", err)
	}
	return &fence{db: db, key: key, pool: pool, conn: conn, done: done}, nil
}

func (f *fence) close() {
	_ = f.conn.Close()
	_ = f.pool.Close()
	f.done()
}

// counter returns the id that the table assigns now, and uses the id up.
func (f *fence) counter(ctx context.Context) (ticket.ID, error) {
	id, err := f.insertAndRollBack(ctx, "INSERT INTO "+quote(f.db.config.Table)+" () VALUES ()")
	if err == nil && !id.Valid() {
		return 0, f.db.unfenced("an INSERT without an id was given none; a trigger may have replaced it")
	}
	return id, err
}

// raise makes the table assign only ids above last from now on.
func (f *fence) raise(ctx context.Context, last ticket.ID) error {
	if last >= f.key.most { // the server would cut a larger id to the highest id, and use up the counter
		return f.db.unfenced(fmt.Sprintf("its type ends at %d, and the next block of ids at %d; widen it to BIGINT UNSIGNED",
			f.key.most, last))
	}
	_, err := f.insertAndRollBack(ctx,
		"INSERT INTO "+quote(f.db.config.Table)+" ("+quote(f.db.config.Key)+") VALUES (?)", int64(last))
	return err
}

// insertAndRollBack inserts a row and rolls back. It returns the id that AUTO_INCREMENT assigned.
func (f *fence) insertAndRollBack(ctx context.Context, insert string, args ...any) (ticket.ID, error) {
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, insert, args...)
	if back := tx.Rollback(); err == nil && back != nil {
		return 0, back
	}
	if refused, ok := errors.AsType[*driver.MySQLError](err); ok && judge(err) == data { // the refusal is permanent
		return 0, f.db.unfenced(fmt.Sprintf("the table refuses a row of defaults, which ticketd inserts and rolls back to move the "+
			"counter (%d %s): give its columns defaults that its constraints and triggers accept", refused.Number, refused.Message))
	}
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	return ticket.ID(id), err
}

// lenientPool makes a pool of [lenient] sessions, which never commit an insert.
func (db *DB) lenientPool() (*sql.DB, error) {
	dsn, err := db.config.parseDSN()
	if err != nil {
		return nil, fmt.Errorf("mysql: %w", err)
	}
	connections, err := newBorrower(db, patience(dsn), lenient)
	if err != nil {
		return nil, err
	}
	return openPool(connections, 1), nil
}

// leaseFailure wraps the database's errors; ticketd's own errors stay unchanged.
func (db *DB) leaseFailure(err error) error {
	if _, unfenced := errors.AsType[*UnfencedError](err); unfenced || errors.Is(err, errNoIDs) || errors.Is(err, errNoRow) {
		return err
	}
	return db.failure("lease ids", err)
}

func (db *DB) unfenced(reason string) error {
	return &UnfencedError{Table: db.config.Table, Reason: reason}
}

// TryFence says whether the table's key is AUTO_INCREMENT and, if so, whether ids can be kept apart from ids that the table
// assigns; an [UnfencedError] gives the reason. TryFence uses up one id of the table and makes no other change.
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
		err = f.raise(ctx, id) // the counter is already above the id
	}
	return true, db.leaseFailure(err)
}
