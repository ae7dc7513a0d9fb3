package journal

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/storetest"
	"github.com/ticketd/ticketd/store/wal"
)

func TestFeed(t *testing.T) {
	t.Parallel()
	storetest.RunFeed(t, func(t *testing.T) storetest.FeedBackend {
		t.Helper()
		s, _, err := Open(t.Context(), t.TempDir(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(t.Context())
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return storetest.FeedBackend{Store: s, Feed: s.Feed()}
	})
}

func (r *rig) events(t *testing.T, after store.Cursor) store.FeedPage {
	t.Helper()
	page, err := r.Feed().Events(t.Context(), 0, after, store.MaxFeedPage)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func (r *rig) change(t *testing.T, id ticket.ID, value string) {
	t.Helper()
	m := store.Mutation{
		Kind: store.Set, ID: id, Fields: ticket.Fields{{Name: "status", Value: ticket.Text(value)}},
		Proposed: ticket.Revision(r.now.UnixMicro()), Due: r.now, By: "user:3", Via: "test",
	}
	if _, err := store.Make(t.Context(), r.Store, m); err != nil {
		t.Fatal(err)
	}
}

// A restart finds the feed as it was: the switch, the numbers, the cursors, the letters and an operator's pause, also when the
// segments that had them were cleaned away.
func TestRestartFindsTheFeed(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Sync: wal.Never, MaxBytes: 64 << 10})
	feed := func() store.Feed { return r.Feed() }
	ctx := t.Context()
	if err := feed().Switch(ctx, store.FeedSwitch{On: true, MaxBytes: 8 << 10}); err != nil {
		t.Fatal(err)
	}
	r.change(t, 1, "open")
	r.change(t, 1, "closed")
	if _, err := feed().Own(ctx, "crm", "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := feed().Own(ctx, "paused", "stopped", 100*365*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	page := r.events(t, "")
	letter := store.FeedLetter{Event: page.Events[0], Reason: "no", At: r.now}
	if err := feed().AddLetter(ctx, "crm", &letter); err != nil {
		t.Fatal(err)
	}
	if err := feed().Advance(ctx, "crm", "a", 0, page.Cursors[0]); err != nil {
		t.Fatal(err)
	}
	r.restartsFeed(t, 2, page.Cursors[0])
	if behind := r.events(t, page.Cursors[0]); len(behind.Events) != 1 || behind.Events[0].Previous != page.Events[0].Revision ||
		behind.Events[0].By != "user:3" || behind.Events[0].Via != "test" {
		t.Fatalf("behind the cursor: %+v", behind.Events)
	}
	for i := range 2000 { // far more than the journal and the feed's share hold
		r.change(t, 2, string(rune('a'+i%26)))
		if i%50 == 0 {
			r.now = r.now.Add(time.Second)
			claims, err := r.ClaimIDs(ctx, r.now, []ticket.ID{1, 2}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range claims {
				if err := r.Ack(ctx, []store.Receipt{{ID: c.ID, Revision: c.Revision}}); err != nil {
					t.Fatal(err)
				}
			}
			r.cleanAll(ctx)
		}
	}
	r.restartsFeed(t, 2002, page.Cursors[0])
	behind := r.events(t, page.Cursors[0])
	gap := &behind.Events[0]
	if gap.Kind != ticket.EventGap || gap.First != 2 || behind.Events[1].Number != gap.Last+1 {
		t.Errorf("behind the slowest destination: %+v, then %+v", gap, behind.Events[1])
	}
	if err := feed().Release(ctx, "paused", "stopped"); err != nil {
		t.Fatal(err)
	}
	r.reopen(t)
	if destinations, err := feed().Destinations(ctx); err != nil || destinations["paused"].Owner != "" {
		t.Errorf("destinations %+v, %v", destinations, err)
	}
}

// restartsFeed demands that a restart finds the feed up to a number, and the destination crm at its cursor, with a letter.
func (r *rig) restartsFeed(t *testing.T, number uint64, cursor store.Cursor) {
	t.Helper()
	r.reopen(t)
	destinations, err := r.Feed().Destinations(t.Context())
	if err != nil || destinations["crm"].Letters != 1 || destinations["crm"].Cursors[0] != cursor {
		t.Fatalf("destinations %+v, %v", destinations, err)
	}
	if destinations["paused"].Owner != "stopped" || destinations["crm"].Owner != "" {
		t.Fatalf("destinations %+v: a pause lasts, a courier's right ends", destinations)
	}
	if end, err := r.Feed().End(t.Context(), 0); err != nil || end.Number() != number {
		t.Fatalf("the feed ends at %q, want %d: %v", end, number, err)
	}
	if usage, err := r.Feed().Usage(t.Context()); err != nil || !usage.On {
		t.Fatalf("usage %+v, %v", usage, err)
	}
}

// Under fsync = always no event is read of a change that a loss of power may take back.
func TestFeedIsDurable(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Sync: wal.Always})
	if err := r.Feed().Switch(t.Context(), store.FeedSwitch{On: true}); err != nil {
		t.Fatal(err)
	}
	m := store.Mutation{
		Kind: store.Set, ID: 1, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
		Proposed: ticket.Revision(r.now.UnixMicro()), Due: r.now,
	}
	_, end, told := r.Store.apply([]store.Mutation{m}) // as Apply, before the wait for the disk
	if page := r.events(t, ""); len(page.Events) != 0 {
		t.Errorf("an event before its change is on disk: %+v", page.Events)
	}
	if err := r.log.Commit(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	r.feed.readableTo(told)
	if page := r.events(t, ""); len(page.Events) != 1 {
		t.Errorf("%d events of a durable change", len(page.Events))
	}
}

// A journal of a build that kept no rights of destinations opens.
func TestARecordOfTheFeedWithoutRightsIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Sync: wal.Never})
	was := (&entry{kind: kindFeed, feed: feedState{
		to: store.FeedSwitch{On: true}, number: 8, cursors: map[string]store.Cursor{"crm": "E.7.1-52"},
		erased: map[ticket.ID]uint64{812: 7},
	}}).encode()
	if _, err := r.log.Append(was[:len(was)-1]); err != nil { // without the count of the rights
		t.Fatal(err)
	}
	r.reopen(t)
	destinations, err := r.Feed().Destinations(t.Context())
	if err != nil || destinations["crm"].Cursors[0] != "E.7.1-52" || !r.feed.on() || r.feed.newest() != 8 {
		t.Errorf("destinations %+v, %v", destinations, err)
	}
}

// What an operator has asked for is an error where the journal does not keep it, and changes nothing.
func TestAnOperatorsWordThatTheJournalDoesNotKeepIsAnError(t *testing.T) {
	t.Parallel()
	const pause = 100 * 365 * 24 * time.Hour
	for name, fails := range map[string]func(*disk){
		"full": func(d *disk) { d.set(true, 0) }, "sync": func(d *disk) { d.set(false, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &disk{}
			r := newRig(t, Options{Sync: wal.Always, OpenFile: d.open})
			if err := r.Feed().Switch(t.Context(), store.FeedSwitch{On: true}); err != nil {
				t.Fatal(err)
			}
			r.change(t, 1, "open")
			steps := []struct {
				what string
				do   func() error
				done func() bool
			}{
				{"pause", func() error {
					_, err := r.Feed().Own(t.Context(), "crm", "stopped", pause)
					return err
				}, func() bool { return r.feed.destinations.All()["crm"].Owner == "stopped" }},
				{"resume", func() error { return r.Feed().Release(t.Context(), "crm", "stopped") }, func() bool {
					return r.feed.destinations.All()["crm"].Owner == ""
				}},
				{"erase", func() error {
					_, err := r.Feed().Erase(t.Context(), []ticket.ID{1})
					return err
				}, func() bool { return len(r.events(t, "").Events) == 0 }},
			}
			for _, step := range steps {
				fails(d)
				if err := step.do(); err == nil || step.done() {
					t.Errorf("%s on a disk that fails: %v, done: %v", step.what, err, step.done())
				}
				d.set(false, 0)
				if err := step.do(); err != nil || !step.done() {
					t.Errorf("%s: %v, done: %v", step.what, err, step.done())
				}
				r.reopen(t)
				if !step.done() {
					t.Errorf("%s is lost", step.what)
				}
			}
		})
	}
}
