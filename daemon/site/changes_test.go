package site

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

func texts(pairs ...string) (fields []protocol.Field) {
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, protocol.Field{Name: pairs[i], Value: protocol.Text(pairs[i+1])})
	}
	return fields
}

// Only the parts that identify a request change the digest.
func TestDigests(t *testing.T) {
	t.Parallel()
	base := asked{method: protocol.MethodSet, id: 1, fields: texts("status", "open", "subject", "x")}
	want := base.digest("r")
	if len(want) != 11 || base.digest("") != "" {
		t.Errorf("digest %q, without an id %q", want, base.digest(""))
	}
	for i, same := range []asked{
		{method: protocol.MethodSet, id: 1, fields: texts("subject", "x", "status", "open")},
	} {
		if got := same.digest("r2"); got != want {
			t.Errorf("same %d: %q, want %q", i, got, want)
		}
	}
	null := texts("status", "open", "subject", "")
	null[1].Value = protocol.Null
	others := []asked{
		{method: protocol.MethodSet, id: 2, fields: base.fields}, {method: protocol.MethodCreate, id: 1, fields: base.fields},
		{method: protocol.MethodSet, id: 1, fields: base.fields, ifRevision: 1}, {method: protocol.MethodSet, id: 1},
		{method: protocol.MethodSet, id: 1, fields: texts("status", "open", "subject", "y")},
		{method: protocol.MethodSet, id: 1, fields: texts("status", "open", "subject", "")},
		{method: protocol.MethodSet, id: 1, fields: null}, {method: protocol.MethodSet, id: 1, fields: texts("status", "open")},
		{method: protocol.MethodSet, id: 1, fields: texts("status", "opensubject", "x", "")},
	}
	seen := []string{want}
	for i, other := range others {
		got := other.digest("r")
		if slices.Contains(seen, got) {
			t.Errorf("request %d has the digest of another", i)
		}
		seen = append(seen, got)
	}
	number := []protocol.Field{{Name: "customer_id", Value: protocol.Int(5)}}
	if (asked{fields: number}).digest("r") != (asked{fields: texts("customer_id", "5")}).digest("r") {
		t.Error("5 and \"5\", which are stored alike, have two digests")
	}
}

// A request id that was used before is refused by name for any different request, and no change is made. A repetition of the same
// request gets the same result. (Without digests the second request is acknowledged and lost: an editor's order-812 takes the
// place of the shop's create.)
func TestReusedRequestIDIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const id = "order-812"
	set := func(ticket int64, status string) (protocol.RevisionResult, error) {
		return d.Set(t.Context(), &protocol.SetParams{
			Change: protocol.Change{RequestID: id, Remember: time.Minute}, ID: ticket, Fields: texts("status", status),
		})
	}
	first, err := set(1, "open")
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, 2, "open")
	for what, request := range map[string]func() error{
		"another value":  func() error { _, err := set(1, "closed"); return err },
		"another ticket": func() error { _, err := set(2, "open"); return err },
		"a create": func() error {
			_, err := d.Create(t.Context(), &protocol.CreateParams{
				Change: protocol.Change{RequestID: id}, ID: 7, Fields: texts("status", "open"),
			})
			return err
		},
		"a delete": func() error {
			_, err := d.Delete(t.Context(), &protocol.DeleteParams{Change: protocol.Change{RequestID: id}, ID: 2})
			return err
		},
	} {
		var refusal *protocol.Error
		if err := request(); !errors.As(err, &refusal) || refusal.Code != protocol.CodeInvalid || refusal.Field != "request_id" {
			t.Errorf("%s under the same id: %v, want invalid, request_id", what, err)
		}
	}
	again, err := set(1, "open")
	if err != nil || again != first {
		t.Errorf("repetition: %+v (%v), want %+v", again, err, first)
	}
	if _, err := d.Get(t.Context(), &protocol.GetParams{ID: 7}); !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
		t.Errorf("ticket 7: %v, want not_found", err)
	}
	two, err := d.Get(t.Context(), &protocol.GetParams{ID: 2})
	if err != nil {
		t.Errorf("ticket 2: %+v (%v)", two, err)
	}
}

// A create that is repeated with an id from the client is the same request, and so is a pair of set_many that is repeated as a
// set.
func TestRepetitionsInAnotherForm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	fields := texts("status", "open", "updated_at", "2026-01-02 03:04:05")
	made, err := d.Create(t.Context(), &protocol.CreateParams{Change: protocol.Change{RequestID: "c"}, ID: 7, Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(fields)
	again, err := d.Create(t.Context(), &protocol.CreateParams{
		Change: protocol.Change{RequestID: "c", Remember: time.Minute}, ID: 8, Fields: fields,
	})
	if err != nil || again != made {
		t.Errorf("create again: %+v (%v), want %+v", again, err, made)
	}
	several := &protocol.SetManyParams{Change: protocol.Change{RequestID: "m"}}
	for i := range int64(2) {
		several.Tickets = append(several.Tickets, protocol.TicketFields{ID: 7, Fields: texts("status", fmt.Sprint("s", i))})
	}
	results, err := d.SetMany(t.Context(), several)
	if err != nil {
		t.Fatal(err)
	}
	one, err := d.Set(t.Context(), &protocol.SetParams{
		Change: protocol.Change{RequestID: "m#1"}, ID: 7, Fields: several.Tickets[1].Fields,
	})
	if err != nil || one.Revision != results.Outcomes[1].Revision {
		t.Errorf("the second pair again: %+v (%v), want %+v", one, err, results.Outcomes[1])
	}
	several.Tickets[0].Fields = texts("status", "other")
	results, err = d.SetMany(t.Context(), several)
	refusal := results.Outcomes[0].Err
	if err != nil || refusal == nil || refusal.Field != "request_id" || results.Outcomes[1].Err != nil {
		t.Errorf("with a different first pair: %+v (%v), want this pair refused", results, err)
	}
}

// A request is known by the id that the client named, whatever id the ticket has got since. (Otherwise a change that comes again
// from the spool, after a move together with the create, is refused and set aside.)
func TestMovedRequestIsKnownByTheIDItNamed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	set := &protocol.SetParams{Change: protocol.Change{RequestID: "s"}, ID: 1001, Named: 7, Fields: texts("status", "open")}
	first, err := d.Set(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Set(t.Context(), set); err != nil || again != first {
		t.Errorf("again: %+v (%v), want %+v", again, err, first)
	}
	set.ID, set.Named = 7, 0 // as the first time, under the old id
	if again, err := d.Set(t.Context(), set); err != nil || again != first {
		t.Errorf("under the old id: %+v (%v), want %+v", again, err, first)
	}
	remove := &protocol.DeleteParams{Change: protocol.Change{RequestID: "d"}, ID: 1001, Named: 7}
	gone, err := d.Delete(t.Context(), remove)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.Delete(t.Context(), remove); err != nil || again != gone {
		t.Errorf("the deletion again: %+v (%v), want %+v", again, err, gone)
	}
}
