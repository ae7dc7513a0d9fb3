package site

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/sync/flush"
)

// counting hands out ids in order, regardless of ids in use.
type counting struct {
	last ticket.ID
	used []ticket.ID
}

func (c *counting) Next(context.Context) (ticket.ID, error) { c.last++; return c.last, nil }
func (c *counting) Use(id ticket.ID)                        { c.used = append(c.used, id) }

func status(text string) []protocol.Field {
	return []protocol.Field{{Name: "status", Value: protocol.Text(text)}}
}

// row puts a row into the table.
func (d *desk) row(id ticket.ID, revision ticket.Revision, deleted bool) {
	d.db.mu.Lock()
	defer d.db.mu.Unlock()
	d.db.rows[id] = store.Record{
		ID: id, Revision: revision, Deleted: deleted,
		Fields: ticket.Fields{
			{Name: "status", Value: ticket.Text("row")}, {Name: "updated_at", Value: ticket.Text("2026-01-02 03:04:05")},
		},
	}
}

// A create passes over ids with tickets of other programs, and leaves the tickets unchanged.
func TestCreatePassesOverTakenIDs(t *testing.T) {
	t.Parallel()
	d, ids := newDesk(t), &counting{}
	d.IDs = ids
	d.write(t, 1, "precious")
	d.write(t, 2, "deleted")
	if _, err := d.Delete(t.Context(), &protocol.DeleteParams{ID: 2}); err != nil {
		t.Fatal(err)
	}
	made, err := d.Create(t.Context(), &protocol.CreateParams{Change: protocol.Change{RequestID: "r"}, Fields: status("new")})
	if err != nil || made.ID != 3 {
		t.Fatalf("created %+v (%v), want 3", made, err)
	}
	again, err := d.Create(t.Context(), &protocol.CreateParams{Change: protocol.Change{RequestID: "r"}, Fields: status("new")})
	if err != nil || again != made {
		t.Errorf("repeated: %+v (%v), want %+v", again, err, made)
	}
	if got, err := d.Get(t.Context(), &protocol.GetParams{ID: 1}); err != nil || text(&got, "status") != "precious" {
		t.Errorf("ticket 1 is %+v (%v)", got, err)
	}
	if len(ids.used) < 2 || ids.used[0] != 1 || ids.used[1] != 2 {
		t.Errorf("the allocator received %v", ids.used)
	}
	for id := ticket.ID(10); id < 10+maxTaken; id++ {
		d.write(t, int64(id), "taken")
	}
	ids.last = 9
	_, err = d.Create(t.Context(), &protocol.CreateParams{Fields: status("new")})
	wantCode(t, err, protocol.CodeUnavailable)
}

func text(t *protocol.Ticket, field string) string {
	for _, f := range t.Fields {
		if f.Name == field {
			return f.Value.Text()
		}
	}
	return ""
}

// A create that names a taken id is refused, in whatever place the ticket is; a repetition of the create that made the ticket is
// not refused.
func TestCreateOfATakenID(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.IDs = &counting{}
	create := func(id int64, request string) error {
		made, err := d.Create(t.Context(), &protocol.CreateParams{
			Change: protocol.Change{RequestID: request}, ID: id, Fields: status("new"),
		})
		if err == nil && made.ID != id {
			t.Errorf("made %d, asked for %d", made.ID, id)
		}
		return err
	}
	d.write(t, 1, "held")
	d.row(2, 5, false)
	d.row(3, 5, true)
	for id := int64(1); id <= 3; id++ {
		wantCode(t, create(id, "r"), protocol.CodeExists)
		wantCode(t, create(id, ""), protocol.CodeExists)
	}
	if err := create(4, "mine"); err != nil {
		t.Fatal(err)
	}
	if err := d.Flusher.TryFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := create(4, "mine"); err != nil {
		t.Errorf("repeated: %v", err)
	}
	wantCode(t, create(4, "other"), protocol.CodeExists)
	_, err := d.Get(t.Context(), &protocol.GetParams{ID: 6})
	wantCode(t, err, protocol.CodeNotFound)
	d.row(6, 5, false) // in SQL, after it was found missing
	wantCode(t, create(6, ""), protocol.CodeExists)
	d.db.set(flush.ErrSinkDown)
	if err := create(5, ""); err != nil {
		t.Errorf("while MySQL is unreachable: %v, want the create accepted unchecked", err)
	}
	wantCode(t, create(4, "other"), protocol.CodeExists)
}

// While the store cannot say whether a request has made a ticket that MySQL has, no client gets the answer that the id is taken.
func TestCreateWhileTheStoreIsBehind(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.row(7, 5, false)
	d.Store = behind{d.Store}
	_, err := d.Create(t.Context(), &protocol.CreateParams{Change: protocol.Change{RequestID: "r"}, ID: 7, Fields: status("new")})
	wantCode(t, err, protocol.CodeUnavailable)
	_, err = d.Create(t.Context(), &protocol.CreateParams{ID: 7, Fields: status("new")})
	wantCode(t, err, protocol.CodeExists)
	if _, err = d.Create(t.Context(), &protocol.CreateParams{
		Change: protocol.Change{RequestID: "r"}, ID: 8, Fields: status("new"),
	}); err != nil {
		t.Errorf("of an id that MySQL does not have: %v", err)
	}
}

// A set with must_exist looks up a ticket that the store does not hold, and no other ticket.
func TestMustExist(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	set := func(id int64) error {
		_, err := d.Set(t.Context(), &protocol.SetParams{ID: id, Fields: status("set"), MustExist: true})
		return err
	}
	d.row(1, 5, false)
	d.row(2, 5, true)
	if err := set(1); err != nil {
		t.Fatalf("of a ticket that MySQL has: %v", err)
	}
	_, before := d.db.counts()
	if err := set(1); err != nil {
		t.Fatal(err)
	}
	if _, after := d.db.counts(); after != before {
		t.Errorf("%d queries for a ticket that the store holds", after-before)
	}
	wantCode(t, set(2), protocol.CodeNotFound)
	wantCode(t, set(3), protocol.CodeNotFound)
	if r, err := d.store.Get(t.Context(), []ticket.ID{3}); err != nil || r[0].Held() {
		t.Errorf("a ghost: %+v (%v)", r, err)
	}
	result, err := d.SetMany(t.Context(), &protocol.SetManyParams{MustExist: true, Tickets: []protocol.TicketFields{
		{ID: 4, Fields: status("many")}, {ID: 1, Fields: status("many")}, {ID: 5, Fields: status("many")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, missing := range []bool{true, false, true} {
		if failure := result.Outcomes[i].Err; (failure != nil) != missing || missing && failure.Code != protocol.CodeNotFound {
			t.Errorf("pair %d: %v", i, failure)
		}
	}
	d.db.set(flush.ErrSinkDown)
	if err := set(1); err != nil {
		t.Errorf("of a ticket that the store holds, while MySQL is unreachable: %v", err)
	}
	wantUndecided(t, set(6), protocol.CodeUnavailable, true)
}

// A deleted ticket stays deleted when the store has forgotten the ticket, with MySQL and without. A row that was revived in SQL
// becomes a ticket again.
func TestDeletedAndForgotten(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if err := d.store.Bury(t.Context(), []ticket.ID{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	d.row(1, 5, true)
	d.row(2, 5, false) // revived
	set := func(id int64) error {
		_, err := d.Set(t.Context(), &protocol.SetParams{ID: id, Fields: status("set")})
		return err
	}
	d.db.set(flush.ErrSinkDown)
	for id := int64(1); id <= 3; id++ {
		wantUndecided(t, set(id), protocol.CodeNotFound, true)
	}
	d.db.set(nil)
	wantUndecided(t, set(1), protocol.CodeNotFound, false)
	if err := set(2); err != nil {
		t.Errorf("of a revived row: %v", err)
	}
	wantCode(t, set(3), protocol.CodeNotFound) // a table that removes rows
	_, err := d.Create(t.Context(), &protocol.CreateParams{ID: 3, Fields: status("new")})
	wantCode(t, err, protocol.CodeExists)
	result, err := d.SetMany(t.Context(), &protocol.SetManyParams{
		Tickets: []protocol.TicketFields{{ID: 1, Fields: status("many")}, {ID: 9, Fields: status("many")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	gone, made := result.Outcomes[0].Err, result.Outcomes[1].Err
	if gone == nil || gone.Code != protocol.CodeNotFound || made != nil {
		t.Errorf("set_many: %+v (%v)", result, err)
	}
}

// While the store does not answer, this host's tombstone counts if MySQL has the ticket as deleted. The deletion of a row that
// seems alive may be pending in the store, or given up by the store: the change is neither made nor given up.
func TestTombstoneStandsWhileTheStoreIsBehind(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if err := d.store.Bury(t.Context(), []ticket.ID{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	d.row(1, 5, false)
	d.row(2, 5, true)
	d.Store = behind{d.Store}
	set := func(id int64, want protocol.Code, isUndecided bool) {
		t.Helper()
		_, err := d.Set(t.Context(), &protocol.SetParams{ID: id, Fields: status("set")})
		wantUndecided(t, err, want, isUndecided)
	}
	set(1, protocol.CodeUnavailable, true)
	set(2, protocol.CodeNotFound, false)
	set(3, protocol.CodeUnavailable, true)
	d.db.set(flush.ErrSinkDown)
	set(2, protocol.CodeUnavailable, true)
}

// wantUndecided demands a refusal that says whether the decision may change once the places answer.
func wantUndecided(t *testing.T, err error, want protocol.Code, isUndecided bool) {
	t.Helper()
	wantCode(t, err, want)
	if _, is := errors.AsType[*daemon.UndecidedError](err); is != isUndecided {
		t.Errorf("%v is undecided: %v", err, is)
	}
}

// The mark of a deletion is no field.
func TestDeletedAtIsNoField(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	fields := []protocol.Field{{Name: "deleted_at", Value: protocol.Text("2026-01-02 03:04:05")}}
	_, err := d.Set(t.Context(), &protocol.SetParams{ID: 1, Fields: fields})
	var refused *protocol.Error
	if !errors.As(err, &refused) || refused.Code != protocol.CodeInvalid || refused.Field != "deleted_at" {
		t.Errorf("set: %v", err)
	}
}

// A create that a client has acknowledged joins a ticket made by clients that received the id, and no older ticket, whether the
// store has the ticket or only the row. While MySQL cannot tell the age of the row, the create waits.
func TestLateCreate(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Store = pending.New()
	now := time.Now()
	revision := ticket.Revision(now.UnixMicro())
	d.write(t, 1, "by a client that received the id")
	d.row(2, 5, false)
	d.row(4, 5, false)
	d.write(t, 4, "an old row, changed just now")
	d.row(5, revision, false)
	d.row(6, revision, true)
	d.write(t, 7, "held while MySQL is away")
	create := func(id int64) error {
		_, err := d.Create(t.Context(), &protocol.CreateParams{
			Change: protocol.Change{RequestID: "r" + ticket.ID(id).String()},
			ID:     id, Fields: status("new"), Accepted: now.Add(-time.Minute),
		})
		return err
	}
	for id, code := range map[int64]protocol.Code{
		1: "", 2: protocol.CodeExists, 3: "", 4: protocol.CodeExists, 5: "", 6: protocol.CodeNotFound,
	} {
		err := create(id)
		if code == "" && err != nil {
			t.Errorf("ticket %d: %v", id, err)
		}
		if code != "" {
			wantCode(t, err, code)
		}
	}
	d.db.set(flush.ErrSinkDown)
	wantCode(t, create(7), protocol.CodeUnavailable)
	if err := create(8); err != nil {
		t.Errorf("of an id that the store does not know: %v", err)
	}
	d.db.set(nil)
	if err := create(7); err != nil {
		t.Errorf("when MySQL is back: %v", err)
	}
}
