package mysql

import (
	"context"
	"database/sql"
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
