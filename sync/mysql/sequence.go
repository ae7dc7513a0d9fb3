package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// sequenceSuffix makes the name of the sequence's table, whose one row holds the next free id.
const sequenceSuffix = "_seq"

// reach bounds the ids above which the sequence is raised. One from here on was typed in, or comes from elsewhere: a sequence
// that counts tickets does not get there, so it need not be above it, and raised above it would be at its end before long. It
// is 2^52, which leaves room for ids that are times in microseconds.
const reach ticket.ID = 1 << 52

func (db *DB) sequence() string { return quote(db.config.Table + sequenceSuffix) }

// Sequence leases blocks of ticket ids. No id is leased twice, by any number of processes.
type Sequence struct {
	db *DB
	// raised is set when this process has made sure that the sequence is above the table's ids: rows may have been
	// loaded by other means, or the sequence restored from an older backup.
	raised atomic.Bool
}

// NewSequence makes the sequence of a database.
func NewSequence(db *DB) *Sequence { return &Sequence{db: db} }

// Lease takes n ids, 1 or more, and returns the first. Errors wrap [flush.ErrSinkDown] or [flush.ErrSinkPaused].
func (s *Sequence) Lease(ctx context.Context, n int) (ticket.ID, error) {
	const operation = "lease ids"
	floor := ticket.ID(1)
	if !s.raised.Load() {
		highest, err := s.db.MaxID(ctx)
		if err != nil {
			return 0, err
		}
		floor = highest + 1
	}
	// LAST_INSERT_ID(x) hands x to this connection's answer, so that the lease is one statement.
	result, err := s.db.pool.ExecContext(ctx, "UPDATE "+s.db.sequence()+
		" SET next = LAST_INSERT_ID(GREATEST(next, ?)) + ? WHERE id = 1", int64(floor), n)
	if err != nil {
		return 0, s.db.failure(operation, err)
	}
	affected, err := result.RowsAffected()
	if err != nil {
		return 0, s.db.failure(operation, err)
	}
	if affected == 0 {
		return 0, fmt.Errorf("mysql: %s: %w: the sequence has no row; run ticketd migrate", operation, flush.ErrSinkPaused)
	}
	first, err := result.LastInsertId()
	if err != nil {
		return 0, s.db.failure(operation, err)
	}
	if id := ticket.ID(first); !id.Valid() || !(id + ticket.ID(n)).Valid() {
		return 0, fmt.Errorf("mysql: %s: %w", operation, errNoIDs)
	}
	s.raised.Store(true)
	return ticket.ID(first), nil
}

var errNoIDs = errors.New("the ids are used up: the sequence stands at 2^63")

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
