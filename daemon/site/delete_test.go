package site

import (
	"context"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
)

// behind is a store that accepts changes, but does not know the content of a second place.
type behind struct{ store.Store }

func (behind) Get(_ context.Context, ids []ticket.ID) ([]store.Record, error) {
	records := make([]store.Record, len(ids))
	for i, id := range ids {
		records[i] = store.Record{ID: id, Behind: true}
	}
	return records, nil
}

func (behind) Fill(context.Context, []store.Record, []ticket.Revision) error {
	return store.ErrUnavailable
}

// The row of a deleted ticket tells the revision only if the store has answered: otherwise the store may have told a higher
// revision.
func TestDeletingAgain(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"the store answers": false, "the store is away": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			const deletedAt = 5
			d.db.rows[7] = store.Record{ID: 7, Revision: deletedAt, Deleted: true}
			if away {
				d.Store = behind{d.Store}
			}
			result, err := d.Delete(t.Context(), &protocol.DeleteParams{ID: 7})
			if err != nil || (result.Revision == deletedAt) == away {
				t.Errorf("deleted at %d (%v), the row at %d", result.Revision, err, deletedAt)
			}
		})
	}
}

// A deletion is accepted unchecked while MySQL does not answer, and while the table is missing or altered: a refused deletion
// would wait in the spool, and block all later changes of the site.
func TestDeletionWithoutTheTable(t *testing.T) {
	t.Parallel()
	for _, why := range []error{flush.ErrSinkDown, flush.ErrSinkPaused} {
		for _, requestID := range []string{"", "r"} {
			d := newDesk(t)
			d.db.set(why)
			result, err := d.Delete(t.Context(), &protocol.DeleteParams{Change: protocol.Change{RequestID: requestID}, ID: 7})
			if err != nil || result.Revision == 0 {
				t.Errorf("%v, request id %q: revision %d (%v)", why, requestID, result.Revision, err)
			}
		}
	}
}
