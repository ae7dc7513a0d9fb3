package history_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/history"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func database(t *testing.T) *mysql.History {
	t.Helper()
	server, name := testenv.SharedMariaDB(t)
	db, err := mysql.Open(mysql.Config{DSN: server.DSN(name)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	return mysql.NewHistory(db)
}

var noon = time.Date(2026, 11, 29, 12, 0, 0, 123456000, time.UTC)

// Another program's table under the history's name is named; its rows stay as they are.
func TestATableOfAnotherProgram(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	db, err := mysql.Open(mysql.Config{DSN: server.DSN(name)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	_, err = server.DB(t, name).ExecContext(t.Context(), "CREATE TABLE wp_support_tickets_history (id INT, note TEXT)")
	if err != nil {
		t.Fatal(err)
	}
	changes := mysql.NewHistory(db)
	h := history.New(changes, history.Options{})
	for at, err := range []error{changes.Look(t.Context()), h.Probe(t.Context()), h.Publish(t.Context(), []ticket.Event{
		event(812, 1, "status", "open", "closed"),
	})[0].Err} {
		if !errors.Is(err, flush.ErrSinkPaused) || !strings.Contains(err.Error(), "another program's table") {
			t.Errorf("%d: %v", at, err)
		}
	}
}

// event is the nth change of a ticket: name, old, new, …; the old value "?" is not known, the value NULL is null.
func event(id ticket.ID, n int, triples ...string) ticket.Event {
	at := noon.Add(time.Duration(n) * time.Second)
	e := ticket.Event{
		Kind: ticket.EventUpdated, Ticket: id, Revision: ticket.Revision(at.UnixMicro()), Number: uint64(n), At: at, Recorded: at,
		By: "user:3", Via: "wp-admin",
	}
	value := func(text string) ticket.Value {
		if text == "NULL" {
			return ticket.Null
		}
		return ticket.Text(text)
	}
	for i := 0; i < len(triples); i += 3 {
		e.Fields = append(e.Fields, ticket.Field{Name: triples[i], Value: value(triples[i+2])})
		if triples[i+1] != "?" {
			e.Was = append(e.Was, ticket.Field{Name: triples[i], Value: value(triples[i+1])})
		}
	}
	return e
}

func kind(e ticket.Event, k ticket.EventKind) ticket.Event { e.Kind = k; return e }

func publish(t *testing.T, h *history.History, events ...ticket.Event) {
	t.Helper()
	for i, v := range h.Publish(t.Context(), events) {
		if v.Decision != feed.Confirmed {
			t.Fatalf("event %d: %+v", i, v)
		}
	}
}

// shown writes changes as text, newest first.
func shown(t *testing.T, db *mysql.History, q mysql.HistoryQuery) []string {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 20
	}
	changes, more, err := db.Read(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range changes {
		words := []string{strconv.FormatInt(int64(c.At.Sub(noon)/time.Second), 10), c.Kind}
		if c.Values == nil {
			words = append(words, "erased")
		}
		for _, name := range slices.Sorted(maps.Keys(c.Values)) {
			var values []string
			for _, v := range c.Values[name] {
				if v.IsNull() {
					values = append(values, "NULL")
				} else {
					values = append(values, v.Text())
				}
			}
			words = append(words, name+":"+strings.Join(values, "→"))
		}
		if c.Gap {
			words = append(words, "GAP")
		}
		lines = append(lines, strings.Join(words, " "))
	}
	if more {
		lines = append(lines, "more")
	}
	return lines
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func TestChangesAreShownNewestFirst(t *testing.T) {
	t.Parallel()
	db := database(t)
	h := history.New(db, history.Options{Omit: []string{"customer_email"}, Touched: func() string { return "updated_at" }})
	events := []ticket.Event{
		kind(event(812, 1, "subject", "?", "Printer", "category", "?", "NULL"), ticket.EventCreated),
		event(812, 2, "status", "open", "pending", "assigned_to", "NULL", "3"),
		event(812, 3, "status", "pending", "pending", "updated_at", "?", "2026"), // changes nothing
		event(812, 4, "customer_email", "a@b.example", "c@d.example"),
		event(812, 5, "status", "?", "closed"), // the store did not know the old value
		event(813, 6, "status", "open", "closed"),
		kind(event(812, 7), ticket.EventDeleted),
		kind(event(812, 7), ticket.EventRestated), kind(event(812, 8), ticket.EventSnapshot),
	}
	events[1].Omitted = []string{"notes"}
	publish(t, h, events...) // makes the table
	publish(t, h, events...) // a repetition
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 812}),
		"7 deleted", "5 updated status:pending→closed", "4 updated customer_email:",
		"2 updated assigned_to:NULL→3 notes: status:open→pending", "1 created subject:NULL→Printer")
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 812, Limit: 2}), "7 deleted", "5 updated status:pending→closed", "more")
	fifth := ticket.Revision(noon.Add(5 * time.Second).UnixMicro())
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 812, Before: fifth, Limit: 1}), "4 updated customer_email:", "more")
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 812, Field: "status"}),
		"5 updated status:pending→closed", "2 updated assigned_to:NULL→3 notes: status:open→pending")
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 812, Field: "statu_"}))
	changes, _, err := db.Read(t.Context(), mysql.HistoryQuery{Ticket: 813, Limit: 1})
	if err != nil || changes[0].By != "user:3" || changes[0].Via != "wp-admin" || !changes[0].At.Equal(noon.Add(6*time.Second)) {
		t.Errorf("%+v, %v", changes, err)
	}
}

func TestGapsAreShownAndNotFilledOver(t *testing.T) {
	t.Parallel()
	db := database(t)
	h := history.New(db, history.Options{})
	gap := store.GapEvent(0, 2, 4, noon.Add(time.Hour))
	publish(t, h, event(1, 1, "status", "?", "open"), event(2, 1, "status", "?", "open"), *gap,
		event(1, 5, "status", "?", "pending"), event(1, 6, "status", "?", "closed"), event(2, 7, "priority", "?", "high"))
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 1}),
		"6 updated status:pending→closed", "5 updated status:pending GAP", "1 updated status:open")
	// The page ends between the change and the one before the gap.
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 1, Limit: 2}), "6 updated status:pending→closed",
		"5 updated status:pending GAP", "more")
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 2}), "7 updated priority:high GAP", "1 updated status:open")
}

// The first change makes the table. Before that, a ticket has no changes, and nothing is to be erased or removed.
func TestBeforeTheFirstChange(t *testing.T) {
	t.Parallel()
	db := database(t)
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 1, Limit: 10}))
	if n, err := db.Erase(t.Context(), []ticket.ID{1}, ticket.Ceiling); n != 0 || err != nil {
		t.Errorf("erasing: %d, %v", n, err)
	}
	if n, err := db.Purge(t.Context(), time.Now(), 10); n != 0 || err != nil {
		t.Errorf("removing old changes: %d, %v", n, err)
	}
}

func TestManyFieldsAndLargeValues(t *testing.T) {
	t.Parallel()
	db := database(t)
	h := history.New(db, history.Options{})
	var triples []string
	for i := range 128 {
		triples = append(triples, fmt.Sprintf("field_%03d", i), "?", strings.Repeat("ü\"", 1000))
	}
	var events []ticket.Event
	for n := range 20 {
		events = append(events, event(1, n, triples...))
	}
	publish(t, h, events...)
	if got := shown(t, db, mysql.HistoryQuery{Ticket: 1, Field: "field_127"}); len(got) != 20 {
		t.Errorf("%d changes, want 20", len(got))
	}
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 1, Field: "field_128"}))
}

func TestDroppedAndErasedChanges(t *testing.T) {
	t.Parallel()
	db := database(t)
	h := history.New(db, history.Options{})
	dropped := event(1, 2)
	dropped.Kind = ticket.EventDropped
	erased := event(2, 4)
	erased.Kind = ticket.EventErased
	publish(t, h, event(1, 1, "status", "?", "open"), event(1, 2, "status", "open", "pending"), dropped,
		event(1, 3, "status", "?", "closed"),
		event(2, 1, "status", "?", "open"), event(2, 2, "status", "open", "closed"), erased, event(2, 5, "status", "closed", "open"))
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 1}),
		"3 updated status:closed", "2 dropped status:open→pending", "1 updated status:open")
	want(t, shown(t, db, mysql.HistoryQuery{Ticket: 2}), "5 updated status:closed→open", "2 updated erased", "1 updated erased")
}

func TestThePurgeRemovesWhatIsOldInSteps(t *testing.T) {
	t.Parallel()
	db := database(t)
	h := history.New(db, history.Options{Keep: 24 * time.Hour, Every: time.Millisecond})
	now := time.Now()
	var events []ticket.Event
	for i := range 2500 {
		e := event(ticket.ID(i+1), 1, "status", "?", "open")
		e.At = now.Add(-25 * time.Hour)
		events = append(events, e)
	}
	fresh := event(5000, 1, "status", "?", "open")
	fresh.At = now
	publish(t, h, append(events, fresh)...)
	h.Start(t.Context())
	for n := 1; n > 0; {
		n = 0
		for id := range ticket.ID(25) {
			n += len(shown(t, db, mysql.HistoryQuery{Ticket: id*100 + 1}))
		}
	}
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, db, mysql.HistoryQuery{Ticket: 5000}); len(got) != 1 {
		t.Errorf("a fresh change is gone: %v", got)
	}
}

// The courier, the store's feed and MySQL together: what the table has is what the feed has told.
func TestACourierWritesTheHistory(t *testing.T) {
	t.Parallel()
	db := database(t)
	s := pending.New()
	source := s.Feed()
	if err := source.Switch(t.Context(), store.FeedSwitch{On: true}); err != nil {
		t.Fatal(err)
	}
	h := history.New(db, history.Options{})
	c := feed.New(source, h, feed.Options{Name: history.Name})
	c.Start(t.Context())
	clock := ticket.NewClock(time.Now)
	const tickets, changes = 20, 10
	for n := range changes {
		for id := range ticket.ID(tickets) {
			_, err := store.Make(t.Context(), s, store.Mutation{
				Kind: store.Set, ID: id + 1, Proposed: clock.Propose(), By: "cli",
				Fields: ticket.Fields{{Name: "status", Value: ticket.Text(fmt.Sprint("s", n))}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		c.Wake()
	}
	end, err := source.End(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for !c.Passed([]store.Cursor{end}) {
		c.Wake()
	}
	if err := c.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	for id := range ticket.ID(tickets) {
		got := shown(t, db, mysql.HistoryQuery{Ticket: id + 1})
		if len(got) != changes || !strings.HasSuffix(got[0], "updated status:s8→s9") {
			t.Errorf("ticket %d: %v", id+1, got)
		}
	}
}

// down is a MySQL that answers with an error.
type down struct {
	history.Database
	err error
	n   int
}

func (d *down) Add(context.Context, []mysql.Change) error { d.n++; return d.err }

func (d *down) Make(context.Context) error { return d.err }

func (d *down) Look(context.Context) error { return d.err }

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err      error
		served   error
		decision feed.Decision
	}{
		"down":    {err: flush.ErrSinkDown, decision: feed.Later},
		"paused":  {err: flush.ErrSinkPaused, decision: feed.Paused},
		"foreign": {served: errors.New("another table"), decision: feed.Paused},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &down{err: test.err}
			h := history.New(d, history.Options{Served: func() error { return test.served }})
			v := h.Publish(t.Context(), []ticket.Event{event(1, 1, "status", "?", "open")})
			if v[0].Decision != test.decision || v[0].Err == nil || h.Probe(t.Context()) == nil {
				t.Errorf("%s: %+v", name, v[0])
			}
			if test.served != nil && d.n > 0 {
				t.Errorf("%s: wrote into another site's table", name)
			}
		})
	}
}
