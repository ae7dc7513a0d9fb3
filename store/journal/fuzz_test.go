package journal

import (
	"bytes"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/memory"
)

// samples are one record of each kind.
func samples() []entry {
	at := time.UnixMicro(1_700_000_000_123_456)
	fields := ticket.Fields{
		{Name: "status", Value: ticket.Text("open")}, {Name: "category"}, {Name: "subject", Value: ticket.Text("")},
	}
	letter := store.DeadLetter{ID: 7, Revision: 8, Code: 1406, Reason: "Data too long", At: at}
	return []entry{
		{kind: kindMutation, revision: 9, expires: at, mutation: store.Mutation{
			Kind: store.Create, ID: 812, Fields: fields, Proposed: 8, Due: at, RequestID: "r-1",
		}},
		{kind: kindMutation, revision: 9, mutation: store.Mutation{Kind: store.Delete, ID: 1<<63 - 1, Due: at}},
		{kind: kindAck, receipts: []store.Receipt{{ID: 1, Revision: 2}, {ID: 3, Revision: 1 << 53, Ahead: true}}},
		{kind: kindPark, letters: []store.DeadLetter{letter}},
		{kind: kindRetry, at: at, ids: []ticket.ID{1, 2}},
		{kind: kindDrop, ids: []ticket.ID{1}},
		{kind: kindState, state: memory.State{
			ID: 5, Revision: 6, Full: true, Gone: true, Deleted: 6, Since: at, Due: at, Letter: &letter,
			Fields: []memory.FieldState{{Name: "status", Value: ticket.Text("open"), Changed: 6}, {Name: "category"}},
		}},
		{kind: kindRequests, requests: []memory.Request{{ID: "r-1", Ticket: 1, Revision: 2, Expires: at}}},
		{kind: kindMark, highest: 77, unsure: 70},
	}
}

// FuzzDecode reads anything as a record: what it takes it writes in the one way in which it is written.
func FuzzDecode(f *testing.F) {
	for _, r := range samples() {
		f.Add(r.encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		again, err := decode(r.encode())
		if err != nil {
			t.Fatalf("%x was read, but not what it was written as again: %v", data, err)
		}
		if !bytes.Equal(again.encode(), r.encode()) {
			t.Fatalf("%x changes when it is read and written", data)
		}
	})
}
