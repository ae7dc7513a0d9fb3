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

// sequenceSuffix makes the name of the sequence's table, whose one row holds the next free id.
const sequenceSuffix = "_seq"

// reach bounds the ids above which the sequence is raised. One from here on was typed in, or comes from elsewhere: a sequence
// that counts tickets does not get there, so it need not be above it, and raised above it would be at its end before long. It
// is 2^52, which leaves room for ids that are times in microseconds.
const reach ticket.ID = 1 << 52

// maxTries bounds how many blocks one lease takes until it has one of use.
const maxTries = 3

func (db *DB) sequence() string { return quote(db.config.Table + sequenceSuffix) }

// Sequence leases blocks of ticket ids. No id is leased twice, by any number of processes, and where the table's key is
// AUTO_INCREMENT no leased id is given by that either, see [fence].
type Sequence struct{ db *DB }

// NewSequence makes the sequence of a database.
func NewSequence(db *DB) *Sequence { return &Sequence{db: db} }

// Lease takes n ids, 1 or more, and returns the first. Rows may have some of the ids, which [DB.Taken] tells. Errors wrap
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

// Raise makes sure that ids up to the highest of those given are not leased any more: a sequence that was restored from a
// backup does not know of them. Ids from [reach] on do not count.
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

// RaiseToTable makes sure that no id up to the highest in the table is leased any more, as an operator asks: ids that
// were typed in move the numbering only then. It returns the next id before and afterwards.
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

// idPlace is a table that knows ids which no new ticket may get: the tickets table, its tombstones, its side table.
type idPlace struct{ table, key string } // quoted

// idPlaces returns the tables that know ids. The tombstones and the side table exist beside some tickets tables only.
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

// Taken returns which of the ids from first to last have a row in the tickets table, or had one that was deleted.
func (db *DB) Taken(ctx context.Context, first, last ticket.ID) ([]ticket.ID, error) {
	const operation = "look for free ids"
	places := db.places.Load() // a lease has looked for them
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

// between is the query for the ids from first to last that the tables have, each once.
func between(places []idPlace, first, last ticket.ID) (query string, args []any) {
	parts := make([]string, len(places))
	for i, p := range places {
		parts[i] = "SELECT " + p.key + " AS id FROM " + p.table + " WHERE " + p.key + " BETWEEN ? AND ?"
		args = append(args, int64(first), int64(last))
	}
	return strings.Join(parts, " UNION "), args
}

// gap returns first where one of the ids from first to last is free, and else the next free id above them.
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
	// Each part walks up its index to the first id that has none behind it, in any of the tables.
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
