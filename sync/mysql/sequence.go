package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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
		first, err := ticket.ID(0), error(nil)
		if key.counts {
			first, err = db.takeFencedIDs(ctx, key, n, floor)
		} else {
			first, err = db.takeIDs(ctx, n, floor)
		}
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
