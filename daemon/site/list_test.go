package site

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

func TestListIsFresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.write(t, 7, "open")
		stale, err := d.List(t.Context(), &protocol.ListParams{Selection: protocol.Selection{Stale: true}})
		if err != nil || len(stale.Tickets) != 0 {
			t.Errorf("with fresh false: %+v (%v), want an empty page, as in MySQL", stale, err)
		}
		fresh, err := d.List(t.Context(), &protocol.ListParams{})
		if err != nil || len(fresh.Tickets) != 1 || fresh.Tickets[0].ID != 7 {
			t.Errorf("%+v (%v), want the ticket that was just written", fresh, err)
		}
		d.write(t, 8, "open")
		if n, err := d.Count(t.Context(), &protocol.CountParams{}); err != nil || n.Count != 2 {
			t.Errorf("counted %+v (%v), want 2", n, err)
		}
	})
}

// A count by a field is as fresh as a list. The numbers add up, or the count is refused.
func TestCountByField(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for i, status := range []string{"open", "pending", "open"} {
			d.write(t, int64(i+1), status)
		}
		by := &protocol.CountParams{By: "status"}
		n, err := d.Count(t.Context(), by)
		if err != nil || n.Count != 3 || len(n.Groups) != 2 {
			t.Errorf("counted %+v (%v), want 3 in two groups", n, err)
		}
		for i := range int64(protocol.MaxGroups + 1) {
			d.write(t, i+1, fmt.Sprint("status ", i))
		}
		var refused *protocol.Error
		if n, err = d.Count(t.Context(), by); !errors.As(err, &refused) || refused.Field != "by" {
			t.Errorf("counted %d groups (%v), want a refusal", len(n.Groups), err)
		}
	})
}

// Any number of concurrent lists, also during a flush, show the caller's own write.
func TestListsShareFlushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.db.delay = 100 * time.Millisecond
		const callers = 40
		for i := range int64(callers) {
			go func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				d.write(t, i+1, "open")
				page, err := d.List(t.Context(), &protocol.ListParams{Limit: 1000})
				if err != nil {
					t.Error(err)
				}
				for _, found := range page.Tickets {
					if found.ID == i+1 {
						return
					}
				}
				t.Errorf("the list does not show ticket %d, which its caller has just written", i+1)
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if writes, _ := d.db.counts(); writes > 10 {
			t.Errorf("%d statements for %d lists within 0.4 s, want them shared", writes, callers)
		}
	})
}

func TestListWhenAPlaceIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.write(t, 7, "open")
		d.db.set(fmt.Errorf("connection refused: %w", flush.ErrSinkDown))
		begin := time.Now()
		_, err := d.List(t.Context(), &protocol.ListParams{})
		wantCode(t, err, protocol.CodeUnavailable)
		_, err = d.Count(t.Context(), &protocol.CountParams{Selection: protocol.Selection{Stale: true}})
		wantCode(t, err, protocol.CodeUnavailable)
		if took := time.Since(begin); took > 0 {
			t.Errorf("the refusal took %v", took)
		}
		d.db.set(nil)
		d.store.gone = true
		_, err = d.List(t.Context(), &protocol.ListParams{})
		wantCode(t, err, protocol.CodeUnavailable)
		if !strings.Contains(fmt.Sprint(err), "Redis") {
			t.Errorf("error %v, want Redis blamed", err)
		}
		if _, err := d.List(t.Context(), &protocol.ListParams{Selection: protocol.Selection{Stale: true}}); err != nil {
			t.Errorf("with fresh false, without Redis: %v", err)
		}
	})
}

// If more changes are pending than can be flushed within the request's time, the answer is unavailable, with advice, and the next
// list goes on.
func TestListIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for id := range int64(1000) {
			d.write(t, id+1, "open")
		}
		d.db.delay = 500 * time.Millisecond // for each batch of 100, of which two are under way at a time
		ask := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := d.List(ctx, &protocol.ListParams{})
			return err
		}
		err := ask()
		wantCode(t, err, protocol.CodeUnavailable)
		if !strings.Contains(fmt.Sprint(err), "ask again") {
			t.Errorf("error %v, want advice", err)
		}
		if err := ask(); err != nil {
			t.Errorf("the second list: %v", err)
		}
		if state, _, _ := d.Flusher.Stats().Sink(); state != flush.SinkUp {
			t.Errorf("the sink counts as %s", state)
		}
	})
}

// After a change of the table the definition is read again and the query repeated, also while no other flush runs.
func TestListOfAnAlteredTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for _, stale := range []bool{true, false} {
			d.write(t, 7, "open")
			d.db.set(fmt.Errorf("error 1054: %w", flush.ErrSinkPaused))
			if _, err := d.List(t.Context(), &protocol.ListParams{Selection: protocol.Selection{Stale: stale}}); err != nil {
				t.Errorf("stale %v: %v", stale, err)
			}
		}
		if d.db.refreshes != 2 {
			t.Errorf("the definition was read %d times, want 2", d.db.refreshes)
		}
	})
}

func TestListOfWhatTheTableLacks(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for field, p := range map[string]*protocol.ListParams{
		"sort":  {Sort: protocol.SortCreated},
		"after": {After: "not a cursor"},
	} {
		_, err := d.List(t.Context(), p)
		var refused *protocol.Error
		if !errors.As(err, &refused) || refused.Code != protocol.CodeInvalid || refused.Field != field {
			t.Errorf("error %v, want %s refused", err, field)
		}
	}
}

func TestCursorBelongsToItsSort(t *testing.T) {
	t.Parallel()
	p := &protocol.ListParams{Sort: protocol.SortPriority, Ascending: true}
	for _, mark := range []*mysql.Mark{
		{Value: ticket.Text("<Ä\x00>"), ID: 812}, {Value: ticket.Text(""), ID: 1},
		{Value: ticket.Null, ID: protocol.MaxTicketID},
	} {
		var err error
		if p.After, err = encodeCursor(p, mark); err != nil {
			t.Fatal(err)
		}
		got, err := decodeCursor(p)
		if err != nil || *got != *mark {
			t.Errorf("mark %+v came back as %+v (%v)", mark, got, err)
		}
		for _, other := range []protocol.ListParams{
			{Sort: protocol.SortPriority, After: p.After}, {Sort: protocol.SortID, Ascending: true, After: p.After},
			{Sort: p.Sort, Ascending: true, After: p.After[1:]}, {Sort: p.Sort, Ascending: true, After: "e30"},
		} {
			_, err := decodeCursor(&other)
			wantCode(t, err, protocol.CodeInvalid)
		}
	}
	longest := &mysql.Mark{Value: ticket.Text(strings.Repeat("\x01", 255)), ID: protocol.MaxTicketID}
	if text, err := encodeCursor(p, longest); err != nil || len(text) > protocol.MaxCursor {
		t.Errorf("a cursor of %d bytes (%v)", len(text), err)
	}
}
