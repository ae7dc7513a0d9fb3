package site

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// recorder records the mutations that the store receives.
type recorder struct {
	store.Store
	made []store.Mutation
}

func (r *recorder) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	r.made = append(r.made, mutations...)
	return r.Store.Apply(ctx, mutations)
}

// The request's wishes about repetition and acknowledgement reach the store; without a wish, the site's setting applies.
func TestPromisesReachTheStore(t *testing.T) {
	t.Parallel()
	fields := []protocol.Field{{Name: "status", Value: protocol.Text("open")}}
	for _, c := range []struct {
		early bool
		ack   protocol.Ack
		want  bool
	}{
		{false, "", false}, {false, protocol.AckJournal, true}, {false, protocol.AckRedis, false},
		{true, "", true}, {true, protocol.AckJournal, true}, {true, protocol.AckRedis, false},
	} {
		d := newDesk(t)
		r := &recorder{Store: d.store}
		d.Store, d.Early = r, c.early
		_, err := d.Create(t.Context(), &protocol.CreateParams{
			Change: protocol.Change{RequestID: "c", Remember: time.Minute, Ack: c.ack}, ID: 7, Fields: fields,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Set(t.Context(), &protocol.SetParams{
			Change: protocol.Change{RequestID: "s", Remember: time.Minute, Ack: c.ack}, ID: 7, Fields: fields,
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.SetMany(t.Context(), &protocol.SetManyParams{
			Change:  protocol.Change{RequestID: "m", Remember: time.Minute, Ack: c.ack},
			Tickets: []protocol.TicketFields{{ID: 7, Fields: fields}},
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Delete(t.Context(), &protocol.DeleteParams{
			Change: protocol.Change{RequestID: "d", Remember: time.Minute, Ack: c.ack}, ID: 7,
		}); err != nil {
			t.Fatal(err)
		}
		var requests []string
		for i := range r.made {
			m := &r.made[i]
			requests = append(requests, m.RequestID)
			if m.ID != 7 || m.Remember != time.Minute || m.Early != c.want {
				t.Errorf("site %v, request %q: %+v", c.early, c.ack, m)
			}
		}
		if want := []string{"c", "s", "m#0", "d"}; !reflect.DeepEqual(requests, want) {
			t.Errorf("requests %v, want %v", requests, want)
		}
	}
}

// Other clients may have changed a ticket with an id from the client before the create arrives: the fields of the other clients
// stay.
func TestCreateUnderAGivenID(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	made, err := d.Create(t.Context(), &protocol.CreateParams{
		Change: protocol.Change{RequestID: "c"}, ID: 7, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("open")}},
	})
	if err != nil || made.ID != 7 {
		t.Fatalf("made %+v, %v, want ticket 7", made, err)
	}
	records, err := d.Store.Get(t.Context(), []ticket.ID{7})
	if err != nil || records[0].Full {
		t.Errorf("the store holds %+v (%v): the store cannot know that this is the whole ticket", records[0], err)
	}
}

func TestStatusSaysWhereChangesWait(t *testing.T) {
	t.Parallel()
	journal := protocol.JournalStatus{Entries: 3, Bytes: 100, OldestMS: 5, Replayed: 2, Segments: 1}
	for _, c := range []struct {
		backend     protocol.Backend
		early       bool
		wantBackend protocol.Backend
		wantAck     protocol.Ack
	}{
		{"", false, protocol.BackendRedis, protocol.AckRedis},
		{protocol.BackendRedis, true, protocol.BackendRedis, protocol.AckJournal},
		{protocol.BackendJournal, false, protocol.BackendJournal, protocol.AckJournal},
	} {
		d := newDesk(t)
		d.Backend, d.Early = c.backend, c.early
		d.Journal = func() protocol.JournalStatus { return journal }
		d.StoreState = func() (bool, time.Time, string) { return true, time.Now(), "" }
		d.Statements, d.Warnings = func() int64 { return 0 }, func(bool) []string { return nil }
		status, err := d.Status(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if status.Backend != c.wantBackend || status.Ack != c.wantAck || status.Journal != journal {
			t.Errorf("%+v: status %+v", c, status)
		}
	}
}
