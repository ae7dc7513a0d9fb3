package storetest

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// courierCases are the feed's contract with the couriers: who serves a destination, and how far the destination is.
var courierCases = map[string]func(*testing.T, *follower){
	"one courier serves a destination":                 feedOwner,
	"a courier whose lease is over is replaced":        feedLease,
	"a cursor moves forward, and back for an operator": feedCursors,
	"what every destination has is trimmed":            feedTrim,
	"the letters of a destination":                     feedLetters,
}

func (f *follower) own(t *testing.T, destination, token string, lease time.Duration) (map[int]store.Cursor, error) {
	t.Helper()
	cursors, err := f.Feed.Own(t.Context(), destination, token, lease)
	if err == nil && len(cursors) != f.Feed.Partitions() {
		t.Fatalf("Own returned %d cursors of %d partitions", len(cursors), f.Feed.Partitions())
	}
	return cursors, err
}

func feedOwner(t *testing.T, f *follower) {
	f.on(t)
	f.set(t, of(1), "status", "open")
	ctx, end := t.Context(), f.end(t)
	own := func(destination, token string) error {
		_, err := f.own(t, destination, token, time.Hour)
		return err
	}
	advance := func(token string) error { return f.Feed.Advance(ctx, "crm", token, 0, end) }
	release := func(token string) error { return f.Feed.Release(ctx, "crm", token) }
	if cursors, err := f.own(t, "crm", "a", time.Hour); err != nil || cursors[0] != "" {
		t.Fatalf("Own: %q, %v", cursors[0], err)
	}
	for _, step := range []struct {
		what string
		have error
		want error
	}{
		{"a second courier", own("crm", "b"), store.ErrNotOwner},
		{"another destination", own("bus", "b"), nil},
		{"Advance with another token", advance("b"), store.ErrNotOwner},
		{"Advance", advance("a"), nil},
		{"Release with another token", release("b"), nil}, // changes nothing
		{"a second courier after its Release", own("crm", "b"), store.ErrNotOwner},
		{"Release", release("a"), nil},
	} {
		if !errors.Is(step.have, step.want) {
			t.Errorf("%s: %v, want %v", step.what, step.have, step.want)
		}
	}
	if cursors, err := f.own(t, "crm", "b", time.Hour); err != nil || cursors[0] != end {
		t.Errorf("the next courier begins at %q, want %q: %v", cursors[0], end, err)
	}
	if err := advance("a"); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("Advance of the former courier: %v", err)
	}
	destinations, err := f.Feed.Destinations(ctx)
	if err != nil || len(destinations) != 2 || destinations["crm"].Owner != "b" || destinations["crm"].Cursors[0] != end {
		t.Errorf("destinations %+v, %v", destinations, err)
	}
}

func feedLease(t *testing.T, f *follower) {
	f.on(t)
	if _, err := f.own(t, "brief", "a", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := f.own(t, "brief", "b", time.Hour); err == nil {
			break // the lease of a is over
		} else if !errors.Is(err, store.ErrNotOwner) {
			t.Fatal(err)
		}
	}
}

func feedCursors(t *testing.T, f *follower) {
	f.on(t)
	for i := range 3 {
		f.set(t, of(i+1), "status", "open")
	}
	ctx, page := t.Context(), f.page(t, "", 10)
	cursor := func() store.Cursor {
		cursors, err := f.own(t, "crm", "a", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return cursors[0]
	}
	cursor()
	for _, step := range []struct{ to, want int }{{1, 1}, {0, 1}, {1, 1}, {2, 2}} {
		if err := f.Feed.Advance(ctx, "crm", "a", 0, page.Cursors[step.to]); err != nil {
			t.Fatal(err)
		}
		if have := cursor(); have != page.Cursors[step.want] {
			t.Errorf("after Advance to event %d the cursor is %q", step.to+1, have)
		}
	}
	to := make([]store.Cursor, f.Feed.Partitions())
	to[0] = page.Cursors[0]
	if err := f.Feed.Rewind(ctx, "crm", to); err != nil {
		t.Fatal(err)
	}
	if err := f.Feed.Advance(ctx, "crm", "a", 0, page.Cursors[2]); !errors.Is(err, store.ErrNotOwner) {
		t.Errorf("Advance after Rewind: %v", err)
	}
	if have := cursor(); have != page.Cursors[0] {
		t.Errorf("after Rewind the cursor is %q, want %q", have, page.Cursors[0])
	}
	if err := f.Feed.Forget(ctx, "crm"); err != nil {
		t.Fatal(err)
	}
	if all, err := f.Feed.Destinations(ctx); err != nil || len(all) != 0 {
		t.Errorf("after Forget: %+v, %v", all, err)
	}
}

func feedTrim(t *testing.T, f *follower) {
	f.on(t)
	batch := make([]store.Mutation, 0, 600)
	for i := range 600 {
		batch = append(batch, f.mutation(store.Set, of(i+1), fields("status", "open")))
	}
	f.apply(t, batch...)
	ctx, end := t.Context(), f.end(t)
	trimmed := func() int64 {
		if err := f.Feed.Trim(ctx, 0); err != nil {
			t.Fatal(err)
		}
		usage, err := f.Feed.Usage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return usage.Events
	}
	if n := trimmed(); n != 600 {
		t.Fatalf("%d events without destinations", n)
	}
	for _, name := range []string{"crm", "bus"} {
		if _, err := f.own(t, name, "a", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	f.deliver(t, "crm", end)
	if n := trimmed(); n != 600 {
		t.Errorf("%d events while a destination has none", n)
	}
	if err := f.Feed.Trim(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	f.deliver(t, "bus", f.page(t, "", 450).Next)
	if n := f.page(t, f.page(t, "", 450).Next, 1000); len(n.Events) != 150 {
		t.Errorf("%d events behind the slowest destination, want 150", len(n.Events))
	}
	trimmed()
	behind := f.page(t, store.NewCursor(end.Filling(), 450, place(t, f, 450)), 1000)
	if len(behind.Events) != 150 || behind.Events[0].Number != 451 {
		t.Errorf("%d events behind the slowest destination after Trim, want 150", len(behind.Events))
	}
	f.set(t, of(1), "status", "closed")
	if f.end(t).Number() != 601 {
		t.Errorf("after Trim numbers go on with %d", f.end(t).Number())
	}
}

// deliver advances a destination of the courier a: to a cursor, and to the end in the other partitions.
func (f *follower) deliver(t *testing.T, destination string, to store.Cursor) {
	t.Helper()
	for p := range f.Feed.Partitions() {
		cursor := to
		if p > 0 {
			cursor, _ = f.Feed.End(t.Context(), p)
		}
		if err := f.Feed.Advance(t.Context(), destination, "a", p, cursor); err != nil {
			t.Fatal(err)
		}
	}
}

// place is the place of the cursor behind an event.
func place(t *testing.T, f *follower, number uint64) string {
	t.Helper()
	cursors, err := f.Feed.Destinations(t.Context())
	if err != nil || cursors["bus"].Cursors[0].Number() != number {
		t.Fatalf("the slowest destination is at %+v: %v", cursors["bus"], err)
	}
	return cursors["bus"].Cursors[0].Place()
}

func feedLetters(t *testing.T, f *follower) {
	f.on(t)
	f.make(t, f.mutation(store.Set, of(7), ticket.Fields{{Name: "status", Value: ticket.Text("open")}, {Name: "due"}}))
	event := f.all(t)[0]
	for i := range 3 {
		letter := store.FeedLetter{
			Event: event, Reason: "422 " + strconv.Itoa(i), Answer: []byte("no\x00"), Tries: 3, At: f.now,
			Since: f.now.Add(-time.Hour), Held: i == 0,
		}
		if err := f.Feed.AddLetter(t.Context(), "crm", &letter); err != nil || letter.Key == 0 {
			t.Fatalf("AddLetter: %d, %v", letter.Key, err)
		}
	}
	letters := f.letters(t, "crm", 0, 2)
	if len(letters) != 2 || len(f.letters(t, "crm", letters[1].Key, 10)) != 1 || letters[0].Key >= letters[1].Key {
		t.Fatalf("letters %+v", letters)
	}
	wantLetter(t, &letters[0], &event, f.now)
	if letters[1].Held {
		t.Errorf("letter %+v is held", letters[1])
	}
	if one := f.letters(t, "crm", letters[1].Key-1, 1); len(one) != 1 || one[0].Key != letters[1].Key {
		t.Errorf("read by its key: %+v", one)
	}
	known, unknown := letters[0].Key, letters[0].Key+1<<40
	if n, err := f.Feed.DropLetters(t.Context(), "crm", []uint64{known, unknown}); n != 1 || err != nil {
		t.Errorf("DropLetters: %d, %v", n, err)
	}
	if left := f.letters(t, "crm", 0, 10); len(left) != 2 {
		t.Errorf("letters after DropLetters: %+v", left)
	}
	if other := f.letters(t, "bus", 0, 10); len(other) != 0 {
		t.Errorf("another destination's letters: %v", other)
	}
}

func (f *follower) letters(t *testing.T, destination string, after uint64, limit int) []store.FeedLetter {
	t.Helper()
	letters, err := f.Feed.FeedLetters(t.Context(), destination, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	return letters
}

// wantLetter demands the first letter that feedLetters adds.
func wantLetter(t *testing.T, l *store.FeedLetter, event *ticket.Event, now time.Time) {
	t.Helper()
	if l.Reason != "422 0" || string(l.Answer) != "no\x00" || l.Tries != 3 || !l.Held {
		t.Errorf("letter %+v", l)
	}
	if !l.At.Equal(now) || !l.Since.Equal(now.Add(-time.Hour)) {
		t.Errorf("letter at %v, since %v, want %v and an hour before", l.At, l.Since, now)
	}
	if l.Event.ID() != event.ID() || l.Event.Number != 1 || !l.Event.At.Equal(event.At) {
		t.Errorf("letter of %+v, want %+v", l.Event, event)
	}
	if v, there := l.Event.Fields.Get("due"); !there || !v.IsNull() {
		t.Errorf("fields %v", l.Event.Fields)
	}
}
