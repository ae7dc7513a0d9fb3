package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
)

func feedOn(t *testing.T, s *redis.Store) {
	t.Helper()
	if err := s.Feed().Switch(t.Context(), store.FeedSwitch{On: true}); err != nil {
		t.Fatal(err)
	}
}

// events returns the feed behind a cursor, and the cursor behind it.
func events(t *testing.T, s *redis.Store, after store.Cursor) ([]ticket.Event, store.Cursor) {
	t.Helper()
	page, err := s.Feed().Events(t.Context(), 0, after, store.MaxFeedPage)
	if err != nil {
		t.Fatal(err)
	}
	return page.Events, page.Next
}

// wantEvents demands events of these texts: kind, ticket and revisions, as told writes them.
func wantEvents(t *testing.T, have []ticket.Event, want ...string) {
	t.Helper()
	texts := make([]string, len(have))
	for i := range have {
		texts[i] = told(&have[i])
	}
	if !slices.Equal(texts, want) {
		t.Errorf("events\n\t%s\nwant\n\t%s", strings.Join(texts, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func told(e *ticket.Event) string {
	return fmt.Sprint(e.Number, e.Kind, e.Ticket, e.Previous, e.Revision, "from", e.From, "ack", e.Acknowledged)
}

func mustApply(t *testing.T, s *redis.Store, m store.Mutation) ticket.Revision {
	t.Helper()
	outcomes, err := s.Apply(t.Context(), []store.Mutation{m})
	if err = errors.Join(err, outcomes[0].Err); err != nil {
		t.Fatal(err)
	}
	return outcomes[0].Revision
}

// A direct write arrives although its client got the journal's answer, and the journal repeats the write: one event tells the
// change, and one its new revision, also where Redis has forgotten the ticket. A change that the journal acknowledged before a
// newer change of another host has the acknowledged revision beside its own. No repetition of the replay is told.
func TestReplayIsTold(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	s := open(t, server.Client(t), redis.Options{Prefix: prefix, Journal: "a"})
	feedOn(t, s)
	m := change(1, field("subject", "x"))
	m.Due, m.RequestID, m.Remember, m.By, m.Via = time.Now(), "asked", time.Minute, "user:3", "form"
	forgotten := m
	forgotten.ID, forgotten.RequestID = 2, "forgotten"
	r1, f1 := mustApply(t, s, m), mustApply(t, s, forgotten)
	newer := mustApply(t, s, change(3, field("subject", "newer")))
	receipts := []store.Receipt{{ID: 2, Revision: f1}}
	if err := errors.Join(s.Ack(t.Context(), receipts), server.Client(t).Del(t.Context(), prefix+"ticket:2").Err()); err != nil {
		t.Fatal(err)
	}
	_, end := events(t, s, "")

	late := change(3, field("subject", "late"))
	late.By = "peer:33"
	entries := []store.Entry{
		{Sequence: 1, Revision: newer + 1000, Mutation: m}, {Sequence: 2, Revision: newer + 2000, Mutation: forgotten},
		{Sequence: 3, Revision: newer - 1, Mutation: late},
	}
	outcomes := replayed(t, s, entries)
	replayed(t, s, entries)
	all, _ := events(t, s, end)
	r2, raised := newer+1000, outcomes[2].Revision
	wantEvents(
		t, all,
		fmt.Sprint(4, ticket.EventRestated, 1, r1, r2, "from", r1, "ack", 0),
		fmt.Sprint(5, ticket.EventRestated, 2, 0, newer+2000, "from", f1, "ack", 0),
		fmt.Sprint(6, ticket.EventUpdated, 3, newer, raised, "from", 0, "ack", newer-1),
	)
	if len(all) == 3 && (all[0].By != "user:3" || all[0].Via != "form" || all[2].By != "peer:33") {
		t.Errorf("origins %q %q, %q", all[0].By, all[0].Via, all[2].By)
	}
	records, err := s.Get(t.Context(), ids(1, 3))
	if err != nil || records[0].Revision != r2 || records[1].Revision != raised {
		t.Errorf("the feed and the store part: %+v, %v", records, err)
	}
}

// Revisions that are raised above MySQL's highest are told.
func TestRaisedRevisionIsTold(t *testing.T) {
	t.Parallel()
	client := testenv.NewRedis(t, testenv.RedisOptions{}).Client(t)
	sink, away := ticket.Revision(time.Now().Add(time.Hour).UnixMicro()), errors.New("MySQL is away")
	s := open(t, client, redis.Options{Floor: func(context.Context) (ticket.Revision, error) { return sink, away }})
	feedOn(t, s)
	before := mustSet(t, s, 1, "subject", "x")
	away = nil
	claims, err := s.ClaimIDs(t.Context(), time.Now(), ids(1), leaseTime)
	if err != nil || len(claims) != 1 {
		t.Fatal(claims, err)
	}
	all, _ := events(t, s, "")
	after := mustSet(t, s, 1, "subject", "y")
	wantEvents(
		t, all,
		fmt.Sprint(1, ticket.EventUpdated, 1, 0, before, "from", 0, "ack", 0),
		fmt.Sprint(2, ticket.EventRestated, 1, before, claims[0].Revision, "from", before, "ack", 0),
	)
	if all, _ = events(t, s, ""); all[2].Previous != claims[0].Revision || all[2].Revision != after {
		t.Errorf("the next change is told as %+v", all[2])
	}
}

// Redis is emptied: the switch is set again, the feed begins with a reset, the changes that are applied again are told, and a
// destination, whose cursor is gone, begins there. A daemon that does not switch the feed writes events, too.
func TestFeedOfAnEmptiedRedis(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	h := (&pair{path: server.Socket()}).host(t, "a")
	other := open(t, server.Client(t), redis.Options{})
	feedOn(t, h.Store)
	revision := h.must(t, change(1, field("status", "open")))
	_, cursor := events(t, h.Store, "")
	if err := server.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	holds(t, h.get(t, 1), revision)
	second := mustSet(t, other, 2, "status", "open")
	all, _ := events(t, h.Store, "")
	wantEvents(
		t, all,
		fmt.Sprint(1, ticket.EventReset, 0, 0, 0, "from", 0, "ack", 0),
		fmt.Sprint(2, ticket.EventUpdated, 1, 0, revision, "from", 0, "ack", 0),
		fmt.Sprint(3, ticket.EventUpdated, 2, 0, second, "from", 0, "ack", 0),
	)
	if later, _ := events(t, h.Store, cursor); len(later) != 4 || later[0].Kind != ticket.EventReset {
		t.Errorf("behind a cursor of before come %+v", later)
	}
	if cursors, err := h.Feed().Own(t.Context(), "crm", "a", time.Minute); err != nil || cursors[0] != "" {
		t.Errorf("a destination begins at %q: %v", cursors[0], err)
	}
}

// A fail-over loses changes with their events and a destination's cursor. The changes are back and told, later changes follow
// without a hole in the numbers, and a reader with a lost cursor is told to begin again.
func TestFeedAfterAFailover(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	h := p.host(t, "a")
	feedOn(t, h.Store)
	first := h.must(t, change(1, field("status", "open")))
	own := func() store.Cursor {
		cursors, err := h.Feed().Own(t.Context(), "crm", "token", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return cursors[0]
	}
	own()
	_, arrived := events(t, h.Store, "")
	advance := func(to store.Cursor) {
		if err := h.Feed().Advance(t.Context(), "crm", "token", 0, to); err != nil {
			t.Fatal(err)
		}
	}
	advance(arrived)
	p.behind(t)
	h.must(t, change(1, field("status", "pending"), ticket.Field{Name: "note"}))
	second := h.must(t, change(1, field("status", "closed")))
	h.must(t, store.Mutation{Kind: store.Delete, ID: 2})
	_, lost := events(t, h.Store, arrived)
	advance(lost)
	p.fail(t)
	h.comesBack(t)
	third := h.must(t, change(1, field("status", "open")))

	if cursor := own(); cursor != arrived {
		t.Errorf("the destination is at %q, want %q", cursor, arrived)
	}
	all, _ := events(t, h.Store, arrived)
	if len(all) != 3 {
		t.Fatalf("events %+v", all)
	}
	wantEvents(
		t, all,
		fmt.Sprint(2, ticket.EventUpdated, 1, first, second, "from", 0, "ack", 0),
		fmt.Sprint(3, ticket.EventDeleted, 2, 0, all[1].Revision, "from", 0, "ack", 0),
		fmt.Sprint(4, ticket.EventUpdated, 1, second, third, "from", 0, "ack", 0),
	)
	if v, _ := all[0].Fields.Get("note"); len(all[0].Fields) != 2 || !v.IsNull() {
		t.Errorf("the changes that are back: %+v", all[0].Fields)
	}
	again, next := events(t, h.Store, lost)
	if len(again) == 0 || again[0].Kind != ticket.EventReset && again[0].Revision != third {
		t.Errorf("behind a lost cursor come %+v", again)
	}
	if rest, _ := events(t, h.Store, next); len(rest) != 0 {
		t.Errorf("then %+v", rest)
	}
}

// Redis is out of memory: a refused change has no event, and a change that is made has one. Cursors of before stay usable.
func TestFeedOfAFullRedis(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	client := server.Client(t)
	s := open(t, client, redis.Options{})
	feedOn(t, s)
	made := 0
	try := func() {
		for i := range 20 {
			if _, err := set(t.Context(), s, ticket.ID(i+1), "status", "open"); err == nil {
				made++
			} else if !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
		}
	}
	limit := func(to string) {
		if err := client.ConfigSet(t.Context(), "maxmemory", to).Err(); err != nil {
			t.Fatal(err)
		}
	}
	try()
	if _, err := s.Feed().Own(t.Context(), "crm", "a", time.Minute); err != nil {
		t.Fatal(err)
	}
	limit("1")
	try()
	if _, err := s.Feed().Own(t.Context(), "crm", "a", time.Minute); err != nil {
		t.Errorf("renewing a lease: %v", err)
	}
	if err := s.Feed().Trim(t.Context(), time.Hour); err != nil {
		t.Errorf("trimming: %v", err)
	}
	limit("0")
	try()
	if all, _ := events(t, s, ""); made != 40 || len(all) != made || all[made-1].Number != uint64(made) {
		t.Errorf("%d events of %d changes", len(all), made)
	}
}

// Another program has a value under the feed's name: changes are made, and a reader gets a gap.
func TestFeedNeverFailsAChange(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix})
	feedOn(t, s)
	mustSet(t, s, 1, "status", "open")
	_, cursor := events(t, s, "")
	feed, aside := prefix+"ticket:feed", prefix+"ticket:aside"
	if err := errors.Join(client.Rename(t.Context(), feed, aside).Err(), client.Set(t.Context(), feed, "x", 0).Err()); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, 1, "status", "pending")
	if err := client.Rename(t.Context(), aside, feed).Err(); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, 1, "status", "closed")
	all, _ := events(t, s, cursor)
	if len(all) != 2 || all[0].Kind != ticket.EventGap || all[0].First != 2 || all[0].Last != 2 || all[1].Number != 3 {
		t.Errorf("events %+v", all)
	}
}

// A reader is woken by the change of another daemon.
func TestOtherDaemonsChangeWakesAReader(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	s := open(t, server.Client(t), redis.Options{Prefix: prefix})
	other := open(t, server.Client(t), redis.Options{Prefix: prefix})
	feedOn(t, s)
	end, err := s.Feed().End(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan error, 1)
	go func() { woken <- s.Feed().Wait(t.Context(), []store.Cursor{end}) }()
	mustSet(t, other, 1, "status", "open")
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
}

// A change that is applied again below the ticket's revision may have been replaced elsewhere: its event names the field alone.
func TestAChangeBelowTheTicketIsToldWithoutItsValue(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, b := p.host(t, "a"), p.host(t, "b")
	feedOn(t, a.Store)
	a.must(t, change(1, field("status", "open")))
	_, before := events(t, a.Store, "")
	p.behind(t)
	a.must(t, change(1, field("note", "lost")))
	p.fail(t)
	b.comesBack(t)
	newer := b.must(t, change(1, field("status", "closed")))
	a.comesBack(t)
	all, _ := events(t, a.Store, before)
	if len(all) == 0 {
		t.Fatal("no event")
	}
	last := all[len(all)-1]
	if last.Revision != newer+1 || len(last.Fields) != 0 || !slices.Equal(last.Omitted, []string{"note"}) {
		t.Errorf("the change that is back: %+v", last)
	}
}
