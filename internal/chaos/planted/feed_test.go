package planted

import (
	"context"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// withFeed switches a site's feed on, and the tickets' history. It comes behind the site's other keys.
const withFeed = "[sites.main.feed]\nenabled = true\n[sites.main.history]\nenabled = true\n"

// feeds are the invariants of the feed, and of the history that follows the feed.
var feeds = map[string]invariant{
	"a change and its event are made together": {
		plants: []plant{{
			file: "store/redis/apply.lua", text: "if feed.keep then\n\t\t\t\ttold(", instead: "if revision % 2 < 0 then\n\t\t\t\ttold(",
		}},
		with: "untold", site: never + withFeed, provoke: changedTwice, rule: check.RuleUntold,
	},
	"a journal's record tells its change": {
		plants: []plant{{file: "store/journal/feed.go", text: "if e.Previous == e.Revision {", instead: "if e.Revision > 0 {"}},
		with:   "untold", site: never + withFeed, journal: true, provoke: changedTwice, rule: check.RuleUntold,
	},
	"a change under a higher revision is restated": {
		plants: []plant{{
			file: "store/redis/apply.lua",
			text: "feed.restated(id, rev, string.format('%.0f', stands), held[1], at, origin, promised)\n",
		}},
		with: "feed", site: never + withFeed, forgetful: true, provoke: repeatedByTheJournal, rule: check.RuleChain,
	},
	"what Redis loses in a fail-over is told again": {
		plants: []plant{{
			file: "store/redis/again.lua", text: "if feed.keep then\n\t\ttold(", instead: "if revision < 0 then\n\t\ttold(",
		}},
		with: "feed", site: never + withFeed, forgetful: true, provoke: wentBack, rule: check.RuleUntold,
	},
	"the history's cursor moves after the commit": {
		plants: []plant{{
			file: "sync/feed/history/history.go", text: "case errors.Is(err, flush.ErrSinkPaused), errors.Is(err, flush.ErrSinkForeign):",
			instead: "case true:\n\t\treturn feed.Verdict{Decision: feed.Confirmed}\n\tcase errors.Is(err, flush.ErrSinkForeign):",
		}},
		with: "feed", site: never + withFeed, provoke: keptLater, rule: check.RuleKept,
	},
	"a courier that has lost its destination moves no cursor": {
		plants: []plant{{
			file: "store/redis/feed_advance.lua", text: "if redis.call('GET', KEYS[1]) ~= ARGV[2] then", instead: "if false then",
		}},
		with: "feed", site: never + withFeed, provoke: rewoundMeanwhile, rule: check.RuleKept,
	},
}

// changedTwice changes a ticket twice.
func changedTwice(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "first", "")
	r.set(t, h, 1, "second", "")
}

// repeatedByTheJournal pauses Redis while a change is on its way. The journal acknowledges another change of the ticket
// meanwhile, and then this one, under a higher revision than Redis gives it before the journal's repetition comes.
func repeatedByTheJournal(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "zero", "")
	h.connect(t)
	h.redis.Hold()
	first := make(chan history.Op)
	go func() { first <- r.aside(t, h, 1, "first", "request") }()
	testenv.Eventually(t, patience, "the change is under way", func() bool { return h.redis.Holds("first") })
	if err := r.redis.Pause(); err != nil {
		t.Fatal(err)
	}
	h.redis.Release()
	r.set(t, h, 1, "second", protocol.AckJournal)
	r.history.Ops = append(r.history.Ops, <-first)
	if err := r.redis.Resume(); err != nil {
		t.Fatal(err)
	}
	r.arrived(t, h)
	r.set(t, h, 1, "third", "")
}

// aside writes a ticket's subject as another client of the host.
func (r *rig) aside(t *testing.T, h *host, id int64, subject, request string) history.Op {
	t.Helper()
	op := history.Op{
		Client: 100 + h.number, Host: h.number, Via: "go", Kind: history.Set, Ticket: id, Request: request,
		Fields: map[string]history.Value{"subject": &subject}, Outcome: history.Done, Call: time.Since(r.began),
	}
	c, end := h.dial(t)
	defer end()
	p := params(id, subject)
	p.RequestID = request
	var err error
	if op.Revision, err = c.Set(t.Context(), p); err != nil {
		t.Errorf("set %d: %v", id, err)
	}
	op.Return = time.Since(r.began)
	return op
}

// keptLater changes a ticket while MySQL refuses the rows of the tickets' history.
func keptLater(t *testing.T, r *rig) {
	const history = "_history"
	h := r.host(t)
	r.set(t, h, 1, "first", "")
	testenv.Eventually(t, patience, "the first change is kept", func() bool { return r.kept(t) == 1 })
	r.alterTable(t, history, "RENAME COLUMN changes TO renamed")
	r.set(t, h, 1, "second", "")
	testenv.Eventually(t, patience, "the courier has tried, or given up", func() bool {
		c, end := h.dial(t)
		defer end()
		status, err := c.FeedStatus(t.Context())
		return err == nil && len(status.Destinations) == 1 &&
			(status.Destinations[0].State != "up" || status.Destinations[0].Sent == 2)
	})
	r.alterTable(t, history, "RENAME COLUMN renamed TO changes")
}

// kept counts the rows of the tickets' history.
func (r *rig) kept(t *testing.T) (rows int) {
	t.Helper()
	_ = r.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM wp_support_tickets_history").Scan(&rows)
	return rows
}

// rewoundMeanwhile loses a row of the tickets' history and has the daemon tell everything again, while its courier waits for
// MySQL's answer about a later row.
func rewoundMeanwhile(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "first", "")
	testenv.Eventually(t, patience, "the first change is kept", func() bool { return r.kept(t) == 1 })
	h.mariadb.Hold()
	r.set(t, h, 1, "second", "")
	testenv.Eventually(t, patience, "the second change's row is under way", func() bool { return h.mariadb.Holds("second") })
	if _, err := r.db.ExecContext(t.Context(), "DELETE FROM wp_support_tickets_history"); err != nil {
		t.Fatal(err)
	}
	c, end := h.dial(t)
	defer end()
	if err := c.FeedControl(t.Context(), "history", protocol.FeedRewind, r.began.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	h.mariadb.Release()
}

// alterTable changes a table beside the tickets' table.
func (r *rig) alterTable(t *testing.T, suffix, how string) {
	t.Helper()
	if _, err := r.db.ExecContext(t.Context(), "ALTER TABLE wp_support_tickets"+suffix+" "+how); err != nil {
		t.Fatal(err)
	}
}

// feed reads the whole feed, and the tickets' history once it has all events or after a while.
func (r *rig) feed(t *testing.T) *history.Feed {
	t.Helper()
	c, end := r.hosts[0].dial(t)
	defer end()
	var feed history.Feed
	for p := (protocol.FeedReadParams{After: []string{"0:"}, Limit: protocol.MaxTickets}); ; {
		page, err := c.FeedRead(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Events {
			feed.Events = append(feed.Events, history.EventOf(&page.Events[i], time.Since(r.began)))
		}
		if p.After = page.Next; len(page.Events) == 0 {
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), keptWithin)
	defer cancel()
	if err := testenv.Until(ctx, func() error { return feed.ReadKept(ctx, r.db, "wp_support_tickets") }); err != nil {
		t.Log(err) // the rules say what is missing
	}
	return &feed
}

// keptWithin is how long the tickets' history may take: a courier tries again after a pause.
const keptWithin = 10 * time.Second
