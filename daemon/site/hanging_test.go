package site

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// While MySQL hangs, an error names MySQL, and a deletion, which needs MySQL only for a better answer, is made. If the reader's
// own deadline does not count as MySQL's, a get does not name MySQL; if the look-up may use all of the time, the deletion fails
// (tried by hand).
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

// A hanging MySQL costs the whole time of a single look-up; the others fail at once, except one that asks again after each pause.
// A wait that was too short to prove a hanging MySQL does not count. Without the doubt, each of the hundred look-ups waits for
// its whole time.
func TestHangingMySQLCostsOneReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.row(1, 5, false)
		d.row(2, 6, false)
		d.db.delay = time.Hour
		within := func(limit time.Duration, id int64) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began := time.Now()
			_, err := d.Get(ctx, &protocol.GetParams{ID: id})
			return time.Since(began), err
		}
		_, err := within(patience/2, 1)
		wantBlamed(t, err)
		took, err := within(800*time.Millisecond, 2)
		wantBlamed(t, err)
		if took != 800*time.Millisecond {
			t.Errorf("after a hurried look-up the next took %v, want its whole time", took)
		}
		for round := range 2 {
			for id := range int64(100) {
				took, err := within(800*time.Millisecond, id+1)
				wantBlamed(t, err)
				if took != 0 {
					t.Fatalf("round %d: a look-up in doubt took %v", round, took)
				}
			}
			time.Sleep(doubtPause)
			if took, _ := within(800*time.Millisecond, 3); took == 0 {
				t.Errorf("round %d: after the pause no look-up asks", round)
			}
		}
		time.Sleep(rowTimeout + doubtPause)
		d.db.delay = 0
		for id := range int64(2) {
			if took, err := within(time.Second, id+1); err != nil || took != 0 {
				t.Errorf("when MySQL answers again, ticket %d: %v after %v", id+1, err, took)
			}
		}
	})
}

// A ticket that was created lately is shown while MySQL hangs although the store does not hold the whole ticket, as after a
// journal or the spool: MySQL has no row of the ticket yet.
func TestYoungTicketIsShownWhileMySQLHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.db.delay = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Create(ctx, &protocol.CreateParams{
			Change: protocol.Change{RequestID: "r"}, ID: 7, Fields: status("new"),
		}); err != nil {
			t.Fatal(err)
		}
		for name, get := range map[string]func() (*protocol.Ticket, error){
			"get": func() (*protocol.Ticket, error) {
				got, err := d.Get(ctx, &protocol.GetParams{ID: 7})
				return &got, err
			},
			"get_many": func() (*protocol.Ticket, error) {
				got, err := d.GetMany(ctx, &protocol.GetManyParams{IDs: []int64{7}})
				if err != nil {
					return nil, err
				}
				return got.Tickets[0], nil
			},
		} {
			got, err := get()
			if err != nil || !got.Stale || text(got, "status") != "new" || len(got.Fields) != 2 {
				t.Errorf("%s: %+v (%v)", name, got, err)
			}
		}
		time.Sleep(rowTimeout) // the flights end
	})
}
