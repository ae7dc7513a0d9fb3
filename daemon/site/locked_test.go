package site

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// A list cannot show a change whose row is locked in MySQL: it says so, and does not call MySQL away.
func TestListBehindALockedRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.write(t, 1, "open")
		d.db.locked = map[ticket.ID]bool{1: true}
		_, err := d.List(t.Context(), &protocol.ListParams{})
		wantCode(t, err, protocol.CodeUnavailable)
		if err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("error %v does not say that a row is locked", err)
		}
	})
}
