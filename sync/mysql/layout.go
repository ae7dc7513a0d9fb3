package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// Layout replaces the tickets table, with a column for each field, by tables of another program and a side table of ticketd.
// [Config].Table is the table that the clients name, and that has the identity; Key is the column of the ticket's id there, and
// in the side table, which has the columns revision and deleted besides.
type Layout struct {
	// Needs are the other program's tables; Side is the side table, and Create the statement that makes the side table.
	Needs        []string
	Side, Create string
	// Assemble makes the definition of the columns of the tables in Needs.
	Assemble func(of []TableColumns) (*table.Definition, error)
}

// TableColumns are the columns of a table, by name; nil for a missing table.
type TableColumns map[string]table.Column

// loadLayout is LoadDefinition of a layout.
func (db *DB) loadLayout(ctx context.Context, l *Layout) (*table.Definition, error) {
	const operation = "read the tables' definition"
	f, err := db.flavour(ctx)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	all := make([]TableColumns, len(l.Needs))
	for i, name := range l.Needs {
		columns, err := db.describeTable(ctx, name)
		if err == nil {
			err = db.learnCharacters(ctx, columns)
		}
		if err != nil {
			return nil, db.failure(operation, err)
		}
		if len(columns) == 0 {
			return nil, fmt.Errorf("mysql: table %s: %w: no such table; correct table_prefix, or the database in the dsn", name,
				flush.ErrSinkPaused)
		}
		all[i] = TableColumns{}
		for c := range columns {
			all[i][columns[c].name] = columns[c].column(columns[c].name, f, false)
		}
	}
	side, err := db.tableExists(ctx, l.Side)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	if !side {
		return nil, fmt.Errorf("mysql: table %s: %w: no such table; run ticketd migrate", l.Side, flush.ErrSinkPaused)
	}
	d, err := l.Assemble(all)
	if err == nil {
		d.Table, d.Key, d.Side, d.Revision = db.config.Table, db.config.Key, l.Side, sideRevisionColumn
		err = d.Prepare()
	}
	if err != nil {
		return nil, fmt.Errorf("mysql: table %s: %w: %w", db.config.Table, flush.ErrSinkPaused, err)
	}
	db.definition.Store(d)
	db.altered.Store(false)
	return d, nil
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

// sideKey is the side table's column of the ticket's id.
func (db *DB) sideKey() string {
	if db.config.Layout != nil {
		return db.config.Key
	}
	return sideKeyColumn
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

// Quote writes an identifier for SQL.
func Quote(name string) string { return quote(name) }

// Batch settles the changes of a call of [flush.Sink] that a layout's sink writes: each change gets an outcome by halving, as
// the changes of a tickets table do.
type Batch struct {
	w *write
}

// Begin begins a batch of n changes. Its counts and memories are the sink's. packet is the largest statement that the server
// accepts, in bytes.
func (s *Sink) Begin(ctx context.Context, d *table.Definition, n int) (b *Batch, packet int, err error) {
	packet, err = s.maxPacket(ctx)
	if err != nil {
		return nil, 0, err
	}
	return &Batch{&write{
		db: s.db, definition: d, statements: &s.statements, conflicts: &s.conflicts, lone: &s.lone, misfits: &s.misfits,
		packet: packet, results: make([]flush.Result, n),
	}}, packet, nil
}

// Attempt writes the changes at the given places in one transaction, or none of them.
type Attempt func(ctx context.Context, tx *Tx, at []int) error

// Locate returns which tickets of the changes at the given places other clients hold locked.
type Locate func(ctx context.Context, at []int) (map[ticket.ID]bool, error)

// Bring settles the changes at the given places. try notes the outcomes of changes that are in the database, by [Tx.Stored];
// these count when the transaction is committed. rowless are try's statements without a row: they need the same tables and
// rights. locate returns, after a lock wait, which of the changes' tickets other clients hold locked; an error means that it is
// not known.
func (b *Batch) Bring(
	ctx context.Context, changes []store.Claim, at []int, rowless []string, try Attempt, locate Locate,
) error {
	b.w.locate = func(ctx context.Context, rows []row) (map[ticket.ID]bool, error) { return locate(ctx, placesOf(rows)) }
	rows := make([]row, len(at))
	for i, n := range at {
		rows[i] = row{id: changes[n].ID, revision: changes[n].Revision, at: n, deletion: changes[n].Deleted}
	}
	return b.w.bring(ctx, rows, rowless, func(ctx context.Context, rows []row) error {
		places := placesOf(rows)
		tx := &Tx{statements: b.w.statements, outcomes: make(map[int]flush.Result, len(rows))}
		err := b.w.db.transactAs(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, func(opened *sql.Tx) error {
			tx.tx = opened
			return try(ctx, tx, places)
		})
		if err != nil {
			return err
		}
		for n, outcome := range tx.outcomes {
			b.w.results[n] = outcome
		}
		return nil
	})
}

func placesOf(rows []row) []int {
	places := make([]int, len(rows))
	for i := range rows {
		places[i] = rows[i].at
	}
	return places
}

// Refuse makes a change a dead letter.
func (b *Batch) Refuse(at, code int, reason string) {
	b.w.results[at] = flush.Result{Refused: &flush.Refusal{Code: code, Reason: reason}}
}

// Results ends the batch.
func (b *Batch) Results() ([]flush.Result, error) {
	if err := b.w.settleUnfit(); err != nil {
		return nil, err
	}
	return b.w.results, nil
}

// Tx is a transaction under READ COMMITTED, which locks no gaps: the INSERTs of other programs do not wait.
type Tx struct {
	tx         *sql.Tx
	statements *atomic.Int64
	outcomes   map[int]flush.Result
}

// Exec runs a statement and counts it.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	t.statements.Add(1)
	return t.tx.ExecContext(ctx, query, args...)
}

// Query runs a query.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, query, args...)
}

// Stored notes the outcome of the change at a place.
func (t *Tx) Stored(at int, outcome flush.Result) { t.outcomes[at] = outcome }

// ErrUnknownField is the number of the error for a field that the definition does not have.
const ErrUnknownField = errUnknownColumn
