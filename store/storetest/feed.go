package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// FeedBackend is a store with a feed under test.
type FeedBackend struct {
	Store store.Store
	Feed  store.Feed
	// Bounded says that FeedSwitch.MaxEvents bounds the feed.
	Bounded bool
}

// RunFeed runs the feed's contract. Every test opens its own store; the tests run in parallel.
func RunFeed(t *testing.T, open func(t *testing.T) FeedBackend) {
	t.Helper()
	cases := maps.Clone(feedCases)
	maps.Copy(cases, courierCases)
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			test(t, &follower{FeedBackend: b, bench: newBench(t, Backend{Store: b.Store})})
		})
	}
}

var feedCases = map[string]func(*testing.T, *follower){
	"each change is an event with its values, old values and origin": eventsOfChanges,
	"a ticket's events name the revision before":                     previousRevisions,
	"what is no change makes no event":                               noEvents,
	"a feed that is off has no events":                               feedOff,
	"a page ends at its limit, and any cursor goes on":               feedPages,
	"lost events are said":                                           feedGap,
	"a dropped letter is told":                                       feedDropped,
	"a long value is named, and left out":                            feedLong,
	"NULL is a value":                                                feedNull,
	"a person's events are erased":                                   feedErase,
	"a reader waits for a change":                                    feedWait,
	"a cursor of another filling begins again":                       feedOtherFilling,
	"a reader begins at a time":                                      feedSince,
	"a large batch":                                                  feedBatch,
}

// follower reads the feed of the partition of ticket [Partitions].
type follower struct {
	FeedBackend
	*bench
}

// of is the n-th ticket of the partition that the follower reads.
func of(n int) ticket.ID { return ticket.ID(n * Partitions) }

func (f *follower) on(t *testing.T) {
	t.Helper()
	f.turn(t, store.FeedSwitch{On: true, MaxBytes: 64 << 20})
}

func (f *follower) turn(t *testing.T, to store.FeedSwitch) {
	t.Helper()
	if err := f.Feed.Switch(t.Context(), to); err != nil {
		t.Fatalf("Switch: %v", err)
	}
}

// page reads a page behind a cursor.
func (f *follower) page(t *testing.T, after store.Cursor, limit int) store.FeedPage {
	t.Helper()
	page, err := f.Feed.Events(t.Context(), 0, after, limit)
	if err != nil {
		t.Fatalf("Events: %v", err)
	}
	if len(page.Events) != len(page.Cursors) || len(page.Events) > limit {
		t.Fatalf("%d events, %d cursors, limit %d", len(page.Events), len(page.Cursors), limit)
	}
	if n := len(page.Cursors); n > 0 && page.Next != page.Cursors[n-1] {
		t.Fatalf("the page ends at %q, its last event at %q", page.Next, page.Cursors[n-1])
	}
	return page
}

// all reads the whole feed.
func (f *follower) all(t *testing.T) []ticket.Event {
	t.Helper()
	var events []ticket.Event
	for cursor := store.Cursor(""); ; {
		page := f.page(t, cursor, 100)
		if len(page.Events) == 0 {
			return events
		}
		events, cursor = append(events, page.Events...), page.Next
	}
}

func (f *follower) end(t *testing.T) store.Cursor {
	t.Helper()
	end, err := f.Feed.End(t.Context(), 0)
	if err != nil {
		t.Fatalf("End: %v", err)
	}
	return end
}

// make applies one mutation, which must succeed.
func (f *follower) make(t *testing.T, m store.Mutation) ticket.Revision {
	t.Helper()
	outcome := f.apply(t, m)[0]
	if outcome.Err != nil {
		t.Fatalf("%+v: %v", m, outcome.Err)
	}
	return outcome.Revision
}

// wantKinds demands these kinds of events, with contiguous numbers from 1.
func wantKinds(t *testing.T, events []ticket.Event, kinds ...ticket.EventKind) {
	t.Helper()
	var have []ticket.EventKind
	for i := range events {
		have = append(have, events[i].Kind)
		if events[i].Number != uint64(i+1) {
			t.Errorf("event %d has the number %d", i+1, events[i].Number)
		}
	}
	if !slices.Equal(have, kinds) {
		t.Fatalf("events %v, want %v", have, kinds)
	}
}

func eventsOfChanges(t *testing.T, f *follower) {
	f.on(t)
	create := f.mutation(store.Create, of(1), fields("status", "open", "subject", "Help"))
	create.By, create.Via = "user:3", "wp-admin"
	r1 := f.make(t, create)
	set := f.mutation(store.Set, of(1), fields("status", "pending"))
	set.By = "peer:33"
	r2 := f.make(t, set)
	part := f.mutation(store.Set, of(2), fields("status", "closed"))
	r3 := f.make(t, part)
	r4 := f.make(t, f.mutation(store.Delete, of(1), nil))

	events := f.all(t)
	wantKinds(t, events, ticket.EventCreated, ticket.EventUpdated, ticket.EventUpdated, ticket.EventDeleted)
	for i, want := range []struct {
		ticket             ticket.ID
		revision, previous ticket.Revision
		complete           bool
		by, via            string
		fields, was        []string
	}{
		{of(1), r1, 0, true, "user:3", "wp-admin", []string{"status", "open", "subject", "Help"}, nil},
		{of(1), r2, r1, false, "peer:33", "", []string{"status", "pending"}, []string{"status", "open"}},
		{of(2), r3, 0, false, "", "", []string{"status", "closed"}, nil}, // the store does not hold the ticket, so Was is not known
		{of(1), r4, r2, false, "", "", nil, nil},
	} {
		e := &events[i]
		if e.Ticket != want.ticket || e.Revision != want.revision || e.Previous != want.previous || e.Complete != want.complete {
			t.Errorf("%s: %+v", e.Kind, e)
		}
		if e.By != want.by || e.Via != want.via {
			t.Errorf("%s by %q via %q, want %q and %q", e.Kind, e.By, e.Via, want.by, want.via)
		}
		wantFields(t, e.Fields, want.fields...)
		wantFields(t, e.Was, want.was...)
	}
	created := &events[0]
	if at := created.At.Sub(f.now).Abs(); at > time.Second {
		t.Errorf("created at %v, want about %v", created.At, f.now)
	}
	if created.Recorded.IsZero() || created.Partition != 0 {
		t.Errorf("recorded %v in partition %d", created.Recorded, created.Partition)
	}
}

func previousRevisions(t *testing.T, f *follower) {
	f.on(t)
	for i := range 30 {
		f.make(t, f.mutation(store.Set, of(1+i%3), fields("priority", strconv.Itoa(i))))
	}
	last := map[ticket.ID]ticket.Revision{}
	for i, e := range f.all(t) {
		if e.Number != uint64(i+1) {
			t.Errorf("event %d has the number %d", i+1, e.Number)
		}
		if e.Previous != last[e.Ticket] || e.Revision <= e.Previous {
			t.Errorf("event %d of ticket %d goes from %d to %d, want from %d", e.Number, e.Ticket, e.Previous, e.Revision, last[e.Ticket])
		}
		last[e.Ticket] = e.Revision
	}
}

func noEvents(t *testing.T, f *follower) {
	f.on(t)
	set := f.mutation(store.Set, of(1), fields("status", "open"))
	set.RequestID = "once"
	f.make(t, set)
	f.make(t, set) // a repetition
	f.make(t, f.mutation(store.Delete, of(2), nil))
	refused := []store.Mutation{
		f.mutation(store.Set, of(1), fields("status", "closed")),
		f.mutation(store.Set, of(2), fields("status", "closed")),
		f.mutation(store.Create, of(1), fields("status", "new")),
		f.mutation(store.Set, of(3), fields("status", "closed")),
	}
	refused[0].IfRevision = 1
	refused[3].MustExist = true
	for i, outcome := range f.apply(t, refused...) {
		if outcome.Err == nil {
			t.Fatalf("mutation %d was made", i)
		}
	}
	again := f.mutation(store.Delete, of(2), nil) // deleted already
	again.RequestID = "twice"
	f.make(t, again)
	wantKinds(t, f.all(t), ticket.EventUpdated, ticket.EventDeleted)
}

func feedOff(t *testing.T, f *follower) {
	f.set(t, of(1), "status", "open")
	if end := f.end(t); end.Number() != 0 || len(f.all(t)) != 0 {
		t.Fatalf("a feed that was never on ends at %q", end)
	}
	f.on(t)
	f.set(t, of(1), "status", "pending")
	f.turn(t, store.FeedSwitch{})
	f.set(t, of(1), "status", "closed")
	f.on(t)
	f.set(t, of(1), "status", "open")
	events := f.all(t)
	wantKinds(t, events, ticket.EventUpdated, ticket.EventReset, ticket.EventUpdated)
	if told := &events[1]; told.Note == "" || told.At.IsZero() {
		t.Errorf("changes are missing, and the event is %+v", told)
	}
	wantFields(t, events[2].Was, "status", "closed")
	usage, err := f.Feed.Usage(t.Context())
	if err != nil || !usage.On || usage.Events != 3 || usage.Bytes == 0 || usage.Oldest.IsZero() {
		t.Errorf("usage %+v, %v", usage, err)
	}
}

func feedPages(t *testing.T, f *follower) {
	f.on(t)
	for i := range 7 {
		f.set(t, of(i+1), "status", "open")
	}
	whole := f.page(t, "", 100)
	if len(whole.Events) != 7 || whole.Next != f.end(t) {
		t.Fatalf("%d events up to %q, the feed ends at %q", len(whole.Events), whole.Next, f.end(t))
	}
	for i, cursor := range whole.Cursors {
		if checked, err := store.ParseCursor(string(cursor)); err != nil || checked.Number() != uint64(i+1) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
		next := f.page(t, cursor, 2)
		if want := min(2, 6-i); len(next.Events) != want {
			t.Fatalf("%d events behind event %d, want %d", len(next.Events), i+1, want)
		}
		if len(next.Events) > 0 && next.Events[0].Number != uint64(i+2) {
			t.Errorf("behind event %d comes event %d", i+1, next.Events[0].Number)
		}
	}
	if !whole.Cursors[6].Reached(f.end(t)) || whole.Cursors[5].Reached(f.end(t)) {
		t.Error("a cursor does not know whether it has reached the end")
	}
}

func feedGap(t *testing.T, f *follower) {
	if !f.Bounded {
		t.Skip("bounded by bytes alone")
	}
	f.turn(t, store.FeedSwitch{On: true, MaxEvents: 10 * int64(f.Feed.Partitions())})
	f.set(t, of(1), "status", "open")
	first := f.page(t, "", 1)
	for range 6 {
		batch := make([]store.Mutation, 100)
		for i := range batch {
			batch[i] = f.mutation(store.Set, of(i+1), fields("status", "open"))
		}
		f.apply(t, batch...)
	}
	page := f.page(t, first.Next, 5)
	gap := &page.Events[0]
	if gap.Kind != ticket.EventGap || gap.First != 2 || gap.Lost != gap.Last-1 || gap.Lost < 100 {
		t.Fatalf("after lost events: %+v", gap)
	}
	if page.Events[1].Number != gap.Last+1 || len(page.Events) != 5 {
		t.Errorf("behind the gap up to %d comes %d", gap.Last, page.Events[1].Number)
	}
	behind := f.page(t, page.Cursors[0], 1)
	if behind.Events[0].Number != gap.Last+1 {
		t.Errorf("the gap's cursor leads to %+v", behind.Events[0])
	}
}

func feedDropped(t *testing.T, f *follower) {
	f.on(t)
	revision := f.set(t, of(1), "status", "nonsense")
	claim := f.claimed(t)
	letter := ticket.Letter{ID: claim.ID, Revision: claim.Revision, Code: 1406, Reason: "too long", At: f.now}
	if err := f.Store.Park(t.Context(), []ticket.Letter{letter}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Store.Drop(t.Context(), []ticket.ID{of(1), of(2)}); n != 1 || err != nil {
		t.Fatalf("Drop: %d, %v", n, err)
	}
	events := f.all(t)
	wantKinds(t, events, ticket.EventUpdated, ticket.EventDropped)
	if events[1].Ticket != of(1) || events[1].Revision != revision {
		t.Errorf("dropped: %+v", events[1])
	}
}

// claimed claims the only dirty ticket.
func (f *follower) claimed(t *testing.T) store.Claim {
	t.Helper()
	f.advance(time.Minute)
	return f.claimOne(t)
}

func feedLong(t *testing.T, f *follower) {
	f.on(t)
	long, short := strings.Repeat("x", store.MaxFeedValue+1), strings.Repeat("y", store.MaxFeedValue)
	f.set(t, of(1), "subject", long, "note", short)
	f.set(t, of(1), "subject", "short", "note", "short")
	events := f.all(t)
	wantFields(t, events[0].Fields, "note", short)
	if !slices.Equal(events[0].Omitted, []string{"subject"}) {
		t.Errorf("omitted %v", events[0].Omitted)
	}
	wantFields(t, events[1].Was, "note", short) // the old value of subject is too long, and so not known
	if record := f.get(t, of(1)); record.Revision != events[1].Revision {
		t.Errorf("the ticket is at %d, the feed at %d", record.Revision, events[1].Revision)
	}
}

func feedNull(t *testing.T, f *follower) {
	f.on(t)
	f.make(t, f.mutation(store.Create, of(1), ticket.Fields{{Name: "status", Value: ticket.Text("")}, {Name: "due"}}))
	f.make(t, f.mutation(store.Set, of(1), ticket.Fields{{Name: "status"}, {Name: "due", Value: ticket.Text("today")}}))
	events := f.all(t)
	value := func(of ticket.Fields, name string) string {
		v, there := of.Get(name)
		switch {
		case !there:
			return "missing"
		case v.IsNull():
			return "NULL"
		}
		return strconv.Quote(v.Text())
	}
	have := []string{
		value(events[0].Fields, "status"), value(events[0].Fields, "due"),
		value(events[1].Fields, "status"), value(events[1].Fields, "due"), value(events[1].Was, "status"), value(events[1].Was, "due"),
	}
	if want := []string{`""`, "NULL", "NULL", `"today"`, `""`, "NULL"}; !slices.Equal(have, want) {
		t.Errorf("values %v, want %v", have, want)
	}
}

func feedErase(t *testing.T, f *follower) {
	f.on(t)
	for i := range 4 {
		f.set(t, of(1+i%2), "email", strconv.Itoa(i)+"@example.com")
	}
	erased := ticket.Event{Kind: ticket.EventErased, Ticket: of(2), At: f.now, By: "user:1"}
	if err := f.Feed.Append(t.Context(), []ticket.Event{erased}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Feed.Erase(t.Context(), []ticket.ID{of(2)}); n != 2 || err != nil {
		t.Fatalf("Erase: %d, %v", n, err)
	}
	var have []ticket.EventKind
	for _, e := range f.all(t) {
		have = append(have, e.Kind)
		if e.Ticket == of(2) && e.Kind != ticket.EventErased {
			t.Errorf("event of an erased ticket: %+v", e)
		}
	}
	if want := []ticket.EventKind{ticket.EventUpdated, ticket.EventUpdated, ticket.EventErased}; !slices.Equal(have, want) {
		t.Errorf("events %v, want %v", have, want)
	}
	if err := f.Feed.Append(t.Context(), []ticket.Event{{Kind: ticket.EventReset, At: f.now, Note: "restored"}}); err != nil {
		t.Fatal(err)
	}
	last := f.all(t)[3]
	if last.Kind != ticket.EventReset || last.Note != "restored" || last.Number != 6 {
		t.Errorf("reset: %+v", last)
	}
}

func feedWait(t *testing.T, f *follower) {
	f.on(t)
	ends := make([]store.Cursor, f.Feed.Partitions())
	for p := range ends {
		ends[p], _ = f.Feed.End(t.Context(), p)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Feed.Wait(ended, ends); !errors.Is(err, context.Canceled) {
		t.Fatalf("Wait without a change: %v", err)
	}
	woken := make(chan error, 1)
	go func() { woken <- f.Feed.Wait(t.Context(), ends) }()
	f.set(t, of(1), "status", "open")
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	if err := f.Feed.Wait(t.Context(), ends); err != nil { // the change is there already
		t.Fatal(err)
	}
}

func feedOtherFilling(t *testing.T, f *follower) {
	f.on(t)
	f.set(t, of(1), "status", "open")
	end := f.end(t)
	page := f.page(t, store.NewCursor("another", 77, end.Place()), 10)
	if len(page.Events) != 2 || page.Events[0].Kind != ticket.EventReset || page.Events[1].Number != 1 {
		t.Fatalf("page %+v", page)
	}
	if next := f.page(t, page.Cursors[0], 10); len(next.Events) != 1 {
		t.Errorf("behind the reset come %+v", next.Events)
	}
	if !end.Reached(store.NewCursor("another", 77, "0-0")) {
		t.Error("a reader of the present filling has not reached the end of a former filling")
	}
}

func feedSince(t *testing.T, f *follower) {
	f.on(t)
	f.set(t, of(1), "status", "open")
	first := f.all(t)[0].Recorded
	for f.end(t).Number() < 2 || !f.all(t)[f.end(t).Number()-1].Recorded.After(first) { // until the store's clock has moved
		f.set(t, of(1), "status", "pending")
	}
	events := f.all(t)
	last := events[len(events)-1]
	cursor, err := f.Feed.Since(t.Context(), 0, last.Recorded)
	if err != nil {
		t.Fatal(err)
	}
	if page := f.page(t, cursor, 1); page.Events[0].Recorded.Before(last.Recorded) || page.Events[0].Number == 1 {
		t.Errorf("since %v: %+v", last.Recorded, page.Events[0])
	}
	if cursor, err := f.Feed.Since(t.Context(), 0, last.Recorded.Add(time.Hour)); err != nil || cursor != f.end(t) {
		t.Errorf("since a later time: %q, %v", cursor, err)
	}
	cursor, err = f.Feed.Since(t.Context(), 0, time.Time{})
	if err != nil || f.page(t, cursor, 1).Events[0].Number != 1 {
		t.Errorf("since ever: %q, %v", cursor, err)
	}
}

func feedBatch(t *testing.T, f *follower) {
	f.on(t)
	const n = 300
	batch := make([]store.Mutation, n)
	for i := range batch {
		batch[i] = f.mutation(store.Set, of(1+i%50), fields("priority", strconv.Itoa(i)))
	}
	outcomes := f.apply(t, batch...)
	events := f.all(t)
	if len(events) != n {
		t.Fatalf("%d events of %d changes", len(events), n)
	}
	for i := range events {
		if events[i].Revision != outcomes[i].Revision || events[i].Ticket != outcomes[i].ID || events[i].Number != uint64(i+1) {
			t.Fatalf("event %d is %+v, its change %+v", i, events[i], outcomes[i])
		}
	}
}
