package site

import (
	"context"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// rowTimeout bounds the look at both places for one ticket.
const rowTimeout = 2 * time.Second

// fetchOne reads a ticket that the store does not hold whole, of which record is what the reader saw there, and before is as for
// [missing.add]. However many readers ask for it at once, MySQL is asked once: the store is looked at again first, so that a
// reader who comes when the row has just been put there does not ask for another. A reader who saw the ticket at another
// revision, or comes after another write, asks anew: the row that is on its way may lack what the store has forgotten since.
func (s *Site) fetchOne(ctx context.Context, d *table.Definition, record *store.Record, before uint64) ([]store.Record, error) {
	id := record.ID
	result := s.reads.DoChan(fmt.Sprintf("%d at %d after %d", id, record.Revision, before), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rowTimeout) // the first reader may go away
		defer cancel()
		before := s.missing.before(id)
		held, err := s.Store.Get(ctx, []ticket.ID{id})
		switch {
		case err != nil:
			return nil, err
		case settled(d, &held[0]):
			return held, nil
		case !held[0].Held() && !held[0].Behind && s.missing.has(id):
			return []store.Record{}, nil
		default:
			return s.fetch(ctx, held, []uint64{before})
		}
	})
	select {
	case <-ctx.Done(): // the reader has just had Redis' answer, so it is MySQL's that he waits for
		return nil, fmt.Errorf("%w: no answer in time: %w", flush.ErrSinkDown, ctx.Err())
	case r := <-result:
		found, _ := r.Val.([]store.Record)
		return found, r.Err
	}
}

// fetch reads the rows of tickets in one query, puts them into the store under what it holds of them, and remembers
// which of them are in neither place. before is of when the store was asked, see [missing].
func (s *Site) fetch(ctx context.Context, held []store.Record, before []uint64) ([]store.Record, error) {
	ids := make([]ticket.ID, len(held))
	at := make(map[ticket.ID]int, len(held))
	for i := range held {
		ids[i] = held[i].ID
		at[held[i].ID] = i
	}
	rows, err := s.Database.Rows(ctx, ids)
	if err == nil || ctx.Err() == nil {
		s.doubt.end()
	}
	if err != nil {
		return nil, err
	}
	found := asHeld(rows)
	bases := make([]ticket.Revision, len(found))
	for i := range found {
		record := &held[at[found[i].ID]]
		bases[i] = record.Revision
		if flushed(record) { // a row of an older revision is MySQL's too: the copy is of another row, or of a later time
			found[i].Revision = max(found[i].Revision, record.Revision)
		}
		delete(at, found[i].ID)
	}
	for id, i := range at {
		if !held[i].Held() && !held[i].Behind {
			s.missing.add(id, before[i])
		}
	}
	if err := s.Store.Fill(ctx, found, bases); err != nil {
		s.Log.Debug().Err(err).Msg("completed tickets could not be kept in the store")
	}
	return found, nil
}
