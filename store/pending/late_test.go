package pending

import (
	"errors"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// One clock dates what a late create meets here: what is a second older than the create's promise is a stranger's.
func TestLateCreateMeetsAStrangerOfASecondAgo(t *testing.T) {
	t.Parallel()
	const told ticket.Revision = 1_000_000_000_000
	late := store.Mutation{Kind: store.Begin, ID: 1, Accepted: told, RowBorn: ticket.MaxRevision}
	stranger, own := &entry{}, &entry{}
	stranger.born, own.born = told-1_000_000, told+1_000_000
	if err := refusedCreate(&late, stranger, false, false); !errors.Is(err, store.ErrTaken) {
		t.Errorf("of a ticket that is a second older: %v", err)
	}
	if err := refusedCreate(&late, own, false, false); err != nil {
		t.Errorf("of one that a client that received the id has made: %v", err)
	}
}
