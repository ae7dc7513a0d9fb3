package site

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/mysql"
)

// FuzzCursor reads any text as the cursor of a page, which clients hold. The cursor is refused as a wrong parameter, or leads to
// a valid ticket id, and the cursor written again leads to the same ticket. Every written cursor can be read.
func FuzzCursor(f *testing.F) {
	p := &protocol.ListParams{Sort: protocol.SortUpdated}
	for _, mark := range []mysql.Mark{
		{ID: 1}, {ID: 812, Value: ticket.Text("2026-11-24 08:00:00")}, {ID: 1<<63 - 1, Value: ticket.Text("é\"")},
	} {
		text, err := encodeCursor(p, &mark)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, int64(mark.ID), mark.Value.Text(), true)
	}
	f.Add("bnVsbA", int64(0), "", false)
	f.Fuzz(func(t *testing.T, after string, id int64, value string, ascending bool) {
		p := &protocol.ListParams{Sort: protocol.SortUpdated, Ascending: ascending, After: after}
		if mark, err := decodeCursor(p); err != nil {
			var refusal *protocol.Error
			if !errors.As(err, &refusal) || refusal.Code != protocol.CodeInvalid || refusal.Field != "after" {
				t.Errorf("%q: refused with %v", after, err)
			}
		} else if mark != nil {
			requireCursor(t, p, mark)
		}
		if mark := (&mysql.Mark{ID: ticket.ID(id), Value: ticket.Text(value)}); mark.ID.Valid() && utf8.ValidString(value) {
			requireCursor(t, p, mark)
		}
	})
}

// requireCursor writes a mark and reads it again.
func requireCursor(t *testing.T, p *protocol.ListParams, mark *mysql.Mark) {
	t.Helper()
	text, err := encodeCursor(p, mark)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodeCursor(&protocol.ListParams{Sort: p.Sort, Ascending: p.Ascending, After: text})
	if err != nil || *again != *mark {
		t.Errorf("%+v became %+v (%v)", mark, again, err)
	}
}
