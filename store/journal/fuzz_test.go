package journal

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/graves"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/requests"
	"github.com/ticketd/ticketd/store/wal"
)

// samples are one record of each kind.
func samples() []entry {
	at := time.UnixMicro(1_700_000_000_123_456)
	fields := ticket.Fields{ // NULL is last, as an event is read
		{Name: "status", Value: ticket.Text("open")}, {Name: "subject", Value: ticket.Text("")}, {Name: "category"},
	}
	letter := ticket.Letter{ID: 7, Revision: 8, Code: 1406, Reason: "Data too long", At: at}
	return []entry{
		{kind: kindMutation, revision: 9, expires: at, mutation: store.Mutation{
			Kind: store.Create, ID: 812, Fields: fields, Proposed: 8, Due: at, RequestID: "r-1",
		}},
		{kind: kindMutation, revision: 9, mutation: store.Mutation{Kind: store.Delete, ID: 1<<63 - 1, Due: at}},
		{kind: kindAck, receipts: []store.Receipt{{ID: 1, Revision: 2}, {ID: 3, Revision: 1 << 52, Ahead: true}}},
		{kind: kindPark, letters: []ticket.Letter{letter}},
		{kind: kindRetry, at: at, ids: []ticket.ID{1, 2}},
		{kind: kindDrop, ids: []ticket.ID{1}},
		{kind: kindState, state: pending.State{
			ID: 5, Revision: 6, Full: true, Gone: true, Deleted: 6, Since: at, Due: at, Letter: &letter,
			Fields: []pending.FieldState{{Name: "status", Value: ticket.Text("open"), Changed: 6}, {Name: "category"}},
		}},
		{kind: kindHadState, state: pending.State{
			ID: 5, Revision: 6, Born: 4, Created: 3, Had: true, Since: at, Due: at,
			Fields: []pending.FieldState{{Name: "status", Value: ticket.Text("open"), Changed: 6}},
		}},
		{kind: kindOldState, state: pending.State{ID: 5, Revision: 6, Gone: true, Deleted: 6, Since: at, Due: at}},
		{kind: kindGraves, graves: []pending.Grave{
			{Number: 0, Bits: graves.Bitmap{0: 2, 7: 1 << 63}}, {Number: 1<<54 - 1, Bits: graves.Bitmap{3: 5}},
		}},
		{kind: kindMutation, revision: 9, mutation: store.Mutation{
			Kind: store.Begin, ID: 812, Fields: fields, Defaults: 1, Proposed: 8, Due: at, Accepted: 5, At: 6,
		}},
		{kind: kindMutation, revision: 9, expires: at, mutation: store.Mutation{
			Kind: store.Set, ID: 812, Fields: fields, Proposed: 8, Due: at, RequestID: "r-1", Digest: "AAAAAAAAAAE",
		}},
		{kind: kindRequests, requests: []requests.Request{
			{Key: requests.KeyOf("r-1"), Ticket: 1, Revision: 2, Digest: 1 << 63, Expires: time.Unix(at.Unix(), 0)},
		}},
		{kind: kindMark, highest: 77, unsure: 70},
		{kind: kindTold, revision: 9, mutation: store.Mutation{
			Kind: store.Set, ID: 812, Fields: fields, Proposed: 8, Due: at, By: "user:3", Via: "form",
		}, event: ticket.Event{Number: 7, Previous: 8, Was: fields, Recorded: at}},
		{kind: kindEvent, event: ticket.Event{
			Kind: ticket.EventRestated, Ticket: 812, Revision: 9, From: 8, Previous: 8, Number: 8, At: at, Recorded: at,
		}},
		{kind: kindFeed, feed: feedState{
			to: store.FeedSwitch{On: true, MaxEvents: 5, MaxBytes: 6}, number: 8,
			cursors: map[string]store.Cursor{"crm": "E.7.1-52", "bus": ""}, erased: map[ticket.ID]uint64{1: 2, 812: 7},
			rights: map[string]right{"bus": {"stopped", at}},
		}},
		{kind: kindFeedLetter, destination: "crm", letter: store.FeedLetter{
			Key: 3, Event: ticket.Event{
				Kind: ticket.EventUpdated, Ticket: 812, Fields: fields, Omitted: []string{"note"}, At: at, Recorded: at,
			},
			Reason: "422", Answer: []byte("no"), Tries: 2, At: at, Since: at, Held: true,
		}},
		{kind: kindFeedDropped, destination: "crm", keys: []uint64{3, 4}},
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

// FuzzReplay opens a journal whose log holds any records, whole as the log sees them: it never panics, refuses exactly what it
// cannot decode, and shows after another restart what it has shown after the first, and a change made in between.
func FuzzReplay(f *testing.F) {
	var all []byte
	for _, e := range samples() {
		record := e.encode()
		f.Add(append([]byte{byte(len(record))}, record...))
		all = append(append(all, byte(len(record))), record...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, data []byte) {
		records := split(data)
		dir := t.TempDir()
		log, _, err := wal.Open(dir, wal.Options{Sync: wal.Never}, nil)
		if err != nil {
			t.Fatal(err)
		}
		readable := true
		for _, record := range records {
			if _, err := log.Append(record); err != nil {
				t.Fatal(err)
			}
			_, err := decode(record)
			readable = readable && err == nil
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		r := &rig{dir: dir, opts: Options{Sync: wal.Never}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
		r.opts.Now = func() time.Time { return r.now }
		s, _, err := Open(t.Context(), dir, r.opts)
		if (err == nil) != readable || err != nil && !errors.Is(err, ErrRecord) {
			t.Fatalf("Open: %v, all records can be decoded: %v", err, readable)
		}
		if err != nil {
			return
		}
		r.Store = s
		defer func() { r.close(t) }()
		shown := r.waiting(t)
		r.reopen(t)
		wantSame(t, r.waiting(t), shown)
		r.set(t, 812, "open")
		shown = r.waiting(t)
		r.reopen(t)
		wantSame(t, r.waiting(t), shown)
	})
}

// split takes data apart into records: a byte of length, and so many bytes.
func split(data []byte) (records [][]byte) {
	for len(data) > 1 {
		n := min(int(data[0]), len(data)-1)
		if n > 0 {
			records = append(records, data[1:1+n])
		}
		data = data[1+n:]
	}
	return records
}
