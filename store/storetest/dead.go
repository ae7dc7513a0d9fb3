package storetest

import (
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

var deadCases = cases{
	"Letters/ShowWhatIsRefused": testLetters,
	"Letters/PageByPage":        testLetterPages,
	"Retry/DueNow":              testRetry,
	"Letters/OlderThanTheRow":   testOldLetter,
	"Retry/AVanishedRow":        testRetryVanished,
	"Drop/ForgetsTheTicket":     testDrop,
	"Drop/ChangedTicketStays":   testDropChanged,
}

// dead makes a ticket's status a dead letter and returns the ticket's revision.
func (b *bench) dead(t *testing.T, id ticket.ID) ticket.Revision {
	t.Helper()
	b.set(t, id, "status", "bad")
	claims, err := b.Store.ClaimIDs(t.Context(), b.now, []ticket.ID{id}, lease)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %+v (%v), want ticket %d", claims, err, id)
	}
	b.park(t, claims[0])
	return claims[0].Revision
}

func (b *bench) letters(t *testing.T, after ticket.ID, limit int) []ticket.Letter {
	t.Helper()
	letters, err := b.Store.Letters(t.Context(), after, limit)
	if err != nil {
		t.Fatalf("Letters: %v", err)
	}
	return letters
}

func testLetters(t *testing.T, b *bench) {
	b.set(t, 1, "category", "billing")
	b.advance(linger)
	b.ack(t, 1, b.claimOne(t).Revision)
	revision := b.dead(t, 1)
	b.set(t, 2, "status", "open")
	letters := b.letters(t, 0, 10)
	if len(letters) != 1 {
		t.Fatalf("letters %+v, want one", letters)
	}
	l := letters[0]
	refused := l.Code == 1406 && l.Reason == "Data too long" && l.At.Equal(b.now)
	if l.ID != 1 || l.Revision != revision || !refused || l.Deleted {
		t.Fatalf("letter %+v", l)
	}
	wantFields(t, l.Fields, "status", "bad")

	b.apply(t, b.mutation(store.Delete, 1, nil))
	if letters := b.letters(t, 0, 10); len(letters) != 0 {
		t.Fatalf("letters %+v after a later write", letters)
	}
	claims, err := b.Store.ClaimIDs(t.Context(), b.now, []ticket.ID{1}, lease)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %+v (%v)", claims, err)
	}
	b.park(t, claims[0])
	if letters := b.letters(t, 0, 10); len(letters) != 1 || !letters[0].Deleted {
		t.Fatalf("letters %+v, want that of a deletion", letters)
	}
}

func testLetterPages(t *testing.T, b *bench) {
	for _, id := range []ticket.ID{30, 4, 200, 11} { // neither in the order of time nor in the order of text
		b.dead(t, id)
	}
	var seen []ticket.ID
	for after := ticket.ID(0); ; {
		page := b.letters(t, after, 3)
		for _, l := range page {
			seen = append(seen, l.ID)
			after = l.ID
		}
		if len(page) < 3 {
			break
		}
	}
	if len(seen) != 4 || seen[0] != 4 || seen[1] != 11 || seen[2] != 30 || seen[3] != 200 {
		t.Fatalf("letters of %v, want 4, 11, 30, 200", seen)
	}
}

func testRetry(t *testing.T, b *bench) {
	b.dead(t, 1)
	b.set(t, 2, "status", "open")
	n, err := b.Store.Retry(t.Context(), b.now, []ticket.ID{1, 2, 3})
	if err != nil || n != 1 {
		t.Fatalf("retried %d (%v), want the dead letter alone", n, err)
	}
	if got := b.backlog(t); got.Dead != 0 || got.Dirty != 2 {
		t.Fatalf("backlog %+v, want two dirty tickets", got)
	}
	c := b.claimOne(t) // ticket 2 is not due yet
	if c.ID != 1 || !c.Due.Equal(b.now) {
		t.Fatalf("claimed %+v, want ticket 1, due now", c)
	}
	wantFields(t, c.Fields, "status", "bad")
	b.park(t, c)
	if got := b.backlog(t); got.Dead != 1 {
		t.Fatalf("backlog %+v, want what is refused again to be dead again", got)
	}
}

// The next place is ahead of a letter's older change: the later change alone is left of the letter; then of both: none is left.
func testOldLetter(t *testing.T, b *bench) {
	older := b.set(t, 1, "status", "bad")
	later := b.set(t, 1, "category", "worse")
	b.advance(linger)
	b.park(t, b.claimOne(t))
	if l := b.letters(t, 0, 10); len(l) != 1 || l[0].Oldest != older || l[0].Revision != later {
		t.Fatalf("letters %+v, want changes from %d to %d", l, older, later)
	}
	ack := func(revision ticket.Revision) {
		if err := b.Store.Ack(t.Context(), []store.Receipt{{ID: 1, Revision: revision, Ahead: true}}); err != nil {
			t.Fatal(err)
		}
	}
	ack(older)
	l := b.letters(t, 0, 10)
	if len(l) != 1 || l[0].Oldest != later {
		t.Fatalf("letters %+v, want the later change", l)
	}
	wantFields(t, l[0].Fields, "category", "worse")
	ack(later)
	r := b.get(t, 1)
	if got := b.backlog(t); got.Dead != 0 || got.Dirty != 0 || r.Held() {
		t.Fatalf("backlog %+v, ticket %+v", got, r)
	}
}

// The row of a ticket has vanished, and the store holds none of the ticket's other fields: after a retry, or another change, the
// claim still says that the next place had the ticket. Otherwise the next place would make a row of the changed fields alone.
func testRetryVanished(t *testing.T, b *bench) {
	for _, revive := range []func(){
		func() {
			if n, err := b.Store.Retry(t.Context(), b.now, []ticket.ID{1}); err != nil || n != 1 {
				t.Fatalf("retried %d (%v)", n, err)
			}
		},
		func() { b.set(t, 1, "status", "open"); b.advance(linger) },
	} {
		b.set(t, 1, "category", "billing")
		b.advance(linger)
		c := b.claimOne(t)
		letter := ticket.Letter{ID: 1, Revision: c.Revision, Code: ticket.RowVanished, Reason: "The row has vanished", At: b.now}
		if err := b.Store.Park(t.Context(), []ticket.Letter{letter}); err != nil {
			t.Fatal(err)
		}
		revive()
		if c := b.claimOne(t); !c.Follows() {
			t.Fatalf("claim %+v, want it to follow a row", c)
		}
		b.ack(t, 1, b.get(t, 1).Revision)
	}
}

func testDrop(t *testing.T, b *bench) {
	revision := b.dead(t, 1)
	b.set(t, 2, "status", "open")
	n, err := b.Store.Drop(t.Context(), []ticket.ID{1, 2, 3})
	if err != nil || n != 1 {
		t.Fatalf("dropped %d (%v), want the dead letter alone", n, err)
	}
	if got := b.get(t, 1); got.Held() {
		t.Fatalf("a dropped ticket is still held: %+v", got)
	}
	if got := b.get(t, 2); !got.Dirty {
		t.Fatal("a ticket that was no dead letter was dropped")
	}
	if got := b.backlog(t); got.Dead != 0 || got.Dirty != 1 {
		t.Fatalf("backlog %+v", got)
	}
	if next := b.set(t, 1, "status", "good"); next <= revision {
		t.Fatalf("revision %d after a dropped one of %d", next, revision)
	}
}

// A write revives a dead letter: the operator saw the earlier content, so Drop keeps the new content.
func testDropChanged(t *testing.T, b *bench) {
	b.dead(t, 1)
	b.set(t, 1, "status", "good")
	if n, err := b.Store.Drop(t.Context(), []ticket.ID{1}); err != nil || n != 0 {
		t.Fatalf("dropped %d (%v), want none", n, err)
	}
	b.advance(linger)
	wantFields(t, b.claimOne(t).Fields, "status", "good")
}
