package site

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// While MySQL hangs, it is what is blamed, and a deletion, which needs it for nothing but a better answer, is made all the same.
// Where the reader's own deadline is not put down to MySQL, a get says nothing of it; where the look-up may take all of the time, the
// deletion fails (both tried by hand).
func TestMySQLHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.db.delay = time.Hour
		bounded := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		_, err := d.Get(bounded(), &protocol.GetParams{ID: 1})
		wantBlamed(t, err)
		_, err = d.GetMany(bounded(), &protocol.GetManyParams{IDs: []int64{1, 2}})
		wantBlamed(t, err)
		if _, err := d.Delete(bounded(), &protocol.DeleteParams{ID: 1}); err != nil {
			t.Errorf("delete: %v", err)
		}
		time.Sleep(rowTimeout) // the flight that the readers shared ends
	})
}

func wantBlamed(t *testing.T, err error) {
	t.Helper()
	wantCode(t, err, protocol.CodeUnavailable)
	if err == nil || !strings.Contains(err.Error(), "MySQL does not answer") {
		t.Errorf("error %v, want MySQL blamed", err)
	}
}
