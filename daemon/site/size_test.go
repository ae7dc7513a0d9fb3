package site

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
)

// many makes fields without a column, each with a value of the given number of bytes.
func many(name string, n, bytes int) []protocol.Field {
	fields := make([]protocol.Field, n)
	for i := range fields {
		fields[i] = protocol.Field{Name: fmt.Sprintf("%s%d", name, i), Value: protocol.Text(strings.Repeat("x", bytes))}
	}
	return fields
}

// newSpacious is a desk on a table that has a column for fields without one.
func newSpacious(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.db.definition.Extra = "extra"
	return d
}

// wantBound demands that a change is refused with the names of the bound and of a field.
func wantBound(t *testing.T, err error, bound, field string) {
	t.Helper()
	var refused *protocol.Error
	if !errors.As(err, &refused) || refused.Code != protocol.CodeInvalid || !strings.Contains(refused.Message, bound) ||
		!strings.HasPrefix(refused.Field, field) {
		t.Errorf("error %v, want invalid for %s, field %s", err, bound, field)
	}
}

// A ticket does not outgrow a frame, in a single change or in several, and can be read after the refusal. (Without the bound
// three sets of 128 fields make a ticket that no get can read and no list can pass.)
func TestTicketsAreBounded(t *testing.T) {
	t.Parallel()
	for name, grow := range map[string]func(d *desk, fields []protocol.Field) error{
		"set": func(d *desk, fields []protocol.Field) error {
			_, err := d.Set(t.Context(), &protocol.SetParams{ID: 7, Fields: fields})
			return err
		},
		"set_many": func(d *desk, fields []protocol.Field) error {
			half := len(fields) / 2
			result, err := d.SetMany(t.Context(), &protocol.SetManyParams{Tickets: []protocol.TicketFields{
				{ID: 7, Fields: fields[:half]}, {ID: 7, Fields: fields[half:]}, {ID: 8, Fields: fields[:1]},
			}})
			if err == nil && result.Outcomes[2].Err != nil {
				t.Errorf("another ticket of the call: %v", result.Outcomes[2].Err)
			}
			if err == nil && result.Outcomes[1].Err != nil {
				return result.Outcomes[1].Err
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSpacious(t)
			if err := grow(d, many("a", protocol.MaxFields, 30_000)); err != nil {
				t.Fatal(err)
			}
			wantBound(t, grow(d, many("b", protocol.MaxFields, 30_000)), "ticket_bytes", "b")
			if err := grow(d, many("a", protocol.MaxFields, 30_000)); err != nil {
				t.Errorf("the same fields once more: %v", err)
			}
			got, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
			if err != nil || got.Bytes() > protocol.MaxPayload {
				t.Errorf("the ticket takes %d bytes, error %v", got.Bytes(), err)
			}
		})
	}
	d := newSpacious(t)
	var err error
	for i := 0; err == nil && i < 20; i++ {
		_, err = d.Set(t.Context(), &protocol.SetParams{ID: 7, Fields: many(fmt.Sprintf("f%d_", i), protocol.MaxFields, 1)})
	}
	wantBound(t, err, "ticket_fields", "f")
	d.write(t, 7, "open")
	_, err = d.Create(t.Context(), &protocol.CreateParams{ID: 9, Fields: many("c", protocol.MaxFields, 40_000)})
	wantBound(t, err, "ticket_bytes", "c")
}

// A row that is too large, made in SQL or by an earlier version, does not stop lists: pages shrink, and the row is shown cut. The
// row may shrink, and may not grow.
func TestTooLargeRowsArePassed(t *testing.T) {
	t.Parallel()
	d := newSpacious(t)
	for id, bytes := range map[ticket.ID]int{1: 10, 2: 9 << 20, 3: 10, 4: 3 << 20, 5: 3 << 20} {
		text := ticket.Text(strings.Repeat("é", bytes/2))
		d.db.rows[id] = store.Record{ID: id, Revision: 5, Fields: ticket.Fields{
			{Name: "status", Value: ticket.Text("open")}, {Name: "note", Value: text},
		}}
	}
	var ids, cut []int64
	p := &protocol.ListParams{Limit: 4}
	for range 10 {
		page, err := d.List(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if n := protocol.ReplyBytes(&page); n > protocol.MaxPayload {
			t.Errorf("a page takes %d bytes", n)
		}
		for _, found := range page.Tickets {
			ids = append(ids, found.ID)
			if found.Cut {
				cut = append(cut, found.ID)
			}
		}
		if p.After = page.Next; page.Next == "" {
			break
		}
	}
	if fmt.Sprint(ids, cut) != "[1 2 3 4 5] [2]" {
		t.Errorf("the pages have tickets %v, cut are %v", ids, cut)
	}
	_, err := d.Set(t.Context(), &protocol.SetParams{ID: 2, Fields: many("more", 1, largeChange+1)})
	wantBound(t, err, "ticket_bytes", "more")
	shorter := []protocol.Field{{Name: "note", Value: protocol.Text(strings.Repeat("x", largeChange+1))}}
	if _, err := d.Set(t.Context(), &protocol.SetParams{ID: 2, Fields: shorter}); err != nil {
		t.Errorf("shorter: %v", err)
	}
}

// Dead letters larger than a reply are shown cut, each within a share. A small letter is whole, and so is a large letter that is
// requested alone.
func TestLargeDeadLettersAreCut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	letters := pending.New()
	d.store.Store = letters
	for id := ticket.ID(1); id <= 40; id++ {
		bytes := 3 << 20
		if id%2 == 0 {
			bytes = 100
		}
		m := store.Mutation{Kind: store.Set, ID: id, Proposed: ticket.Revision(id), Fields: ticket.Fields{
			{Name: "note", Value: ticket.Text(strings.Repeat("x", bytes))},
		}}
		made, err := store.Make(t.Context(), letters, m)
		if err != nil {
			t.Fatal(err)
		}
		l := ticket.Letter{ID: id, Revision: made.Revision, Reason: "Data too long"}
		if err := letters.Park(t.Context(), []ticket.Letter{l}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := d.DeadList(t.Context(), &protocol.DeadListParams{})
	if err != nil || len(page.Letters) != 40 || protocol.ReplyBytes(&page) > protocol.MaxPayload {
		t.Fatalf("%d letters in %d bytes, error %v", len(page.Letters), protocol.ReplyBytes(&page), err)
	}
	for i := range page.Letters {
		l := &page.Letters[i]
		if small := l.ID%2 == 0; l.Cut == small || len(l.Fields) != 1 || small && len(l.Fields[0].Value.Text()) != 100 {
			t.Errorf("letter %d (cut %v) has %d bytes", l.ID, l.Cut, len(l.Fields[0].Value.Text()))
		}
	}
	alone, err := d.DeadList(t.Context(), &protocol.DeadListParams{After: 2, Limit: 1})
	if err != nil || len(alone.Letters) != 1 || alone.Letters[0].Cut || len(alone.Letters[0].Fields[0].Value.Text()) != 3<<20 {
		t.Errorf("alone: %d letters, error %v", len(alone.Letters), err)
	}
}
