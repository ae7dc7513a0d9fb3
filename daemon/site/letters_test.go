package site

import (
	"context"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// The store comes back with dead letters that are older than their tickets' rows: ticket 1 was written since, ticket 2 in part,
// ticket 4 was deleted; the letter of ticket 3 is new. What was settled is neither listed nor shown, and no later change carries
// it along. Without supersede all four are letters, and ticket 1 is "refused".
func TestOldDeadLettersAreForgotten(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.db.definition.Columns = append(d.db.definition.Columns, table.Column{
		Field: "note", Name: "note", Kind: table.Varchar, MaxChars: 32, Nullable: true, Default: table.Default{Source: table.NullValue},
	})
	if err := d.db.definition.Prepare(); err != nil {
		t.Fatal(err)
	}
	d.db.refuse = make(map[ticket.ID]*flush.Refusal)
	set := func(id int64, name string) ticket.Revision {
		got, err := d.Set(t.Context(), &protocol.SetParams{
			ID: id, Fields: []protocol.Field{{Name: name, Value: protocol.Text("refused")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return ticket.Revision(got.Revision)
	}
	for id, later := range map[int64]ticket.Revision{1: 1, 2: 0, 3: -1, 4: 1} {
		first := set(id, "status")
		d.db.refuse[ticket.ID(id)] = &flush.Refusal{Code: 1406, Reason: "too long"}
		d.db.rows[ticket.ID(id)] = store.Record{
			ID: ticket.ID(id), Revision: first + later, Full: true, Deleted: id == 4,
			Fields: ticket.Fields{{Name: "status", Value: ticket.Text("later")}},
		}
	}
	set(2, "note")
	if _, err := d.Flusher.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	d.Deleted = func(context.Context, ticket.ID) ([]ticket.ID, ticket.ID, bool, error) { return nil, 0, false, nil }
	d.Start(t.Context())
	var letters []ticket.Letter
	testenv.Eventually(t, time.Minute, "the letters of tickets 2 and 3", func() bool {
		var err error
		letters, err = d.Store.Letters(t.Context(), 0, 10)
		return err == nil && len(letters) == 2 && letters[0].ID == 2 && letters[1].ID == 3
	})
	if _, old := letters[0].Fields.Get("status"); old {
		t.Errorf("the letter of ticket 2 has %+v, want the later change alone", letters[0].Fields)
	}
	for id, want := range map[int64]string{1: "later", 2: "later", 3: "refused"} {
		if got, err := d.Get(t.Context(), &protocol.GetParams{ID: id}); err != nil || text(&got, "status") != want {
			t.Errorf("ticket %d is %+v (%v), want %q", id, got, err, want)
		}
	}
	if _, err := d.Get(t.Context(), &protocol.GetParams{ID: 4}); err == nil {
		t.Error("the deleted ticket is shown")
	}
	if err := d.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// A site may have many dead letters with large tickets: the daemon compares a page of them at a time.
func TestOldDeadLettersAreComparedInPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.db.refuse = make(map[ticket.ID]*flush.Refusal)
	const all = 2*atOnce + 1
	for id := ticket.ID(1); id <= all; id++ {
		d.write(t, int64(id), "refused")
		d.db.refuse[id] = &flush.Refusal{Code: 1406, Reason: "too long"}
	}
	if _, err := d.Flusher.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	letters, err := d.Store.Letters(t.Context(), 0, all+1)
	if err != nil || len(letters) != all {
		t.Fatalf("%d letters (%v)", len(letters), err)
	}
	for i := range letters {
		d.db.rows[letters[i].ID] = store.Record{ID: letters[i].ID, Revision: letters[i].Revision}
	}
	d.db.most = 0
	if err := d.supersede(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.db.most != atOnce {
		t.Errorf("%d rows were read at once, want %d", d.db.most, atOnce)
	}
	if letters, err = d.Store.Letters(t.Context(), 0, 1); err != nil || len(letters) > 0 {
		t.Errorf("letters %+v (%v), want none", letters, err)
	}
}
