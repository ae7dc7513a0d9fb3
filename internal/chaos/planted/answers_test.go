package planted

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// answers are the invariants of the answers about each ticket, and of the effects of a ticket on other tickets.
var answers = map[string]invariant{
	"each change of a call has its own answer from the journal that is the store": {
		plants: []plant{{
			file: "store/pending/apply.go", text: "outcomes[i], refused = store.Outcome{ID: m.ID, Err: err}, err",
			instead: "for j := range outcomes[:i+1] {\n\t\t\t\toutcomes[j] = store.Outcome{ID: mutations[j].ID, Err: err}\n\t\t\t}\n" +
				"\t\t\trefused = err",
		}},
		with: "answers", site: never + "[journal]\nmax_entries = 2", journal: true, provoke: halfOfThem, rule: check.RuleNowhere,
	},
	"each change of a call has its own answer from the journal before Redis": {
		plants: []plant{{
			file: "store/outbox/apply.go", text: "outcomes[n] = store.Outcome{ID: m.ID, Err: err}\n\t\t\tcontinue",
			instead: "for _, n := range at {\n\t\t\t\toutcomes[n] = store.Outcome{ID: mutations[n].ID, Err: err}\n\t\t\t}\n\t\t\tcontinue",
		}},
		with: "answers", site: never + "ack = \"journal\"\n[journal]\nmax_entries = 2", provoke: halfOfThemHeld,
		rule: check.RuleNowhere,
	},
	"each client of a round of the event loop has its own answer": {
		plants: []plant{{
			file: "daemon/site/batch.go", text: "c.outcome = outcomes[n]\n", instead: "c.outcome = outcomes[(n+1)%len(outcomes)]\n",
		}},
		site: never, journal: true, provoke: twoInARound, rule: check.RuleNowhere,
	},
	"an unknown answer of MySQL is about a row": {
		plants: []plant{{
			file: "sync/mysql/errors.go", text: "default:\n\t\treturn unknown", instead: "default:\n\t\treturn down",
		}},
		with: "answers", site: never, provoke: unknownNumber, rule: check.RuleMissing,
	},
	"a set that makes a ticket says when": {
		plants: []plant{{
			file: "sync/table/complete.go", text: `if d.CreatedAt == "" || !there || given`, instead: `if true || !there || given`,
		}},
		with: "answers", site: never, provoke: madeBySet, rule: check.RuleBorn,
	},
	"a ticket that is held in the spool is held alone": {
		plants: []plant{{
			file: "daemon/spool/intake.go", text: "if in.refused++; isHanging || in.refused >= maxRefused || in.hold != nil {",
			instead: "if in.refused++; true {",
		}},
		with: "answers", site: never + oneDirty, provoke: heldBySpool, rule: check.RuleHeld,
	},
	"the daemon's time ends before its client's": {
		plants: []plant{{file: "daemon/dispatch.go", text: "min(d.timeout, p.Waits()/5*4)", instead: "d.timeout"}},
		with:   "answers", site: never, patient: true, provoke: listBehindLock, rule: check.RuleDeadline,
	},
	"the order of the spool is no clock's": {
		plants: []plant{{
			file:    "php-client/ticketd/src/Client/Order.php",
			text:    "$next = max( $now_us, 1 + ( preg_match( self::NUMBER, $last ) ? (int) $last : $highest() ) );",
			instead: "$next = $now_us;",
		}},
		with: "answers", site: never, provoke: clockSetBack, rule: check.RuleFinal,
	},
}

// setMany writes the subjects of tickets in a single call. The history has a client for each ticket, because the changes are
// made at once.
func (r *rig) setMany(t *testing.T, h *host, subjects ...string) {
	t.Helper()
	var tickets []protocol.TicketFields
	for i, subject := range subjects {
		tickets = append(tickets, protocol.TicketFields{ID: int64(1 + i), Fields: params(0, subject).Fields})
	}
	c, end := h.dial(t)
	defer end()
	op := history.Op{Host: h.number, Via: "go", Kind: history.Set, Call: time.Since(r.began)}
	outcomes, err := c.SetMany(t.Context(), tickets, "")
	if err != nil {
		t.Fatal(err)
	}
	op.Return = time.Since(r.began)
	for i, o := range outcomes {
		op.Client, op.Ticket, op.Revision = 100+i, tickets[i].ID, o.Revision
		op.Fields = map[string]history.Value{"subject": &subjects[i]}
		op.Outcome, op.Code = history.Done, ""
		if o.Err != nil {
			op.Outcome, op.Code = history.Refused, string(o.Err.Code)
		}
		r.history.Ops = append(r.history.Ops, op)
	}
	if !slices.ContainsFunc(outcomes, func(o protocol.SetOutcome) bool { return o.Err != nil }) {
		t.Fatal("there was room for all: this proves nothing")
	}
}

// halfOfThem changes four tickets in a single call of a store with room for two.
func halfOfThem(t *testing.T, r *rig) {
	r.setMany(t, r.host(t), "one", "two", "three", "four")
}

// halfOfThemHeld is halfOfThem while Redis accepts no writes.
func halfOfThemHeld(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 10, "greeted", "")
	r.arrived(t, h)
	h.redis.Hold()
	r.setMany(t, h, "one", "two", "three", "four")
	h.redis.Release()
	r.arrived(t, h)
}

// unknownNumber makes MySQL refuse a ticket with an error number that ticketd does not list (1526: no partition for the id),
// and flushes another ticket beside.
func unknownNumber(t *testing.T, r *rig) {
	h := r.host(t)
	r.alter(t, "PARTITION BY RANGE (ticket_id) (PARTITION few VALUES LESS THAN (1000))")
	r.set(t, h, 2000, "refused", "")
	r.set(t, h, 1, "beside", "")
}

// alter changes the table.
func (r *rig) alter(t *testing.T, how string) {
	t.Helper()
	if _, err := r.db.ExecContext(t.Context(), "ALTER TABLE wp_support_tickets "+how); err != nil {
		t.Fatal(err)
	}
}

// madeBySet reads a ticket made by a set before and after its flush, from a table with exact times.
func madeBySet(t *testing.T, r *rig) {
	h := r.host(t)
	r.alter(t, "MODIFY created_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)")
	h.Kill()
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.set(t, h, 1, "first", "")
	r.get(t, h, 1)
	h.flush(t)
	r.get(t, h, 1)
	for _, op := range r.history.Ops[1:] {
		if op.Created == 0 {
			t.Fatal("no exact time of creation is read: this proves nothing")
		}
	}
}

// oneDirty allows a single ticket to be pending for MySQL at a time.
const oneDirty = "max_dirty = 1\n"

// heldBySpool leaves a change in the spool for which the site has no room, and changes a ticket that has room.
func heldBySpool(t *testing.T, r *rig) {
	const full = 2
	h := r.host(t)
	r.set(t, h, 1, "first", "")
	from := time.Since(r.began)
	r.leave(t, h, full, "waits")
	r.change(t, h, 1, "second", "", false)
	r.get(t, h, 1)
	r.history.Faults = append(r.history.Faults, history.Fault{
		Kind: "quota", Target: "ticket " + strconv.Itoa(full), Ticket: full, From: from, To: time.Since(r.began),
	})
	if left := h.status(t).Spool.Files; left != 1 {
		t.Fatalf("%d changes are left in the spool: this proves nothing", left)
	}
	r.site = never
	h.Kill()
	if err := h.WriteConfig(r.config(h, r.dsn)); err != nil {
		t.Fatal(err)
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// clockSetBack leaves two changes of a ticket in the spool through the plugin's client class, and sets its clock back in
// between.
func clockSetBack(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "zero", "")
	h.Kill()
	now := time.Now()
	r.spool(t, h, 1, "older", now)
	r.spool(t, h, 1, "newer", now.Add(-30*time.Second))
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, patience, "the spool is ingested", func() bool { return h.status(t).Spool.Files == 0 })
	r.get(t, h, 1)
}

// listBehindLock lists tickets while the table is locked. The client waits as long as the suite's clients.
func listBehindLock(t *testing.T, r *rig) {
	const waits = 3 * time.Second
	h := r.host(t)
	lock, err := r.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if _, err := lock.ExecContext(t.Context(), "LOCK TABLES wp_support_tickets WRITE"); err != nil {
		t.Fatal(err)
	}
	done := r.try(t, h, history.Op{Kind: history.List}, func(c *protocol.Client, op *history.Op) error {
		ctx, cancel := context.WithTimeout(t.Context(), waits)
		defer cancel()
		_, err := c.List(ctx, protocol.ListParams{Limit: 1})
		if errors.Is(err, context.DeadlineExceeded) {
			op.Outcome, op.Code, err = history.Refused, "timeout", nil
		}
		return err
	})
	if done {
		t.Fatal("the list did not need the table: this proves nothing")
	}
	if _, err := lock.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	r.set(t, h, 1, "later", "")
}

// twoInARound has two clients create a ticket each while the daemon is stopped: the event loop finds both requests at once.
func twoInARound(t *testing.T, r *rig) {
	h := r.host(t)
	creators := make([]*creator, 2)
	for i := range creators {
		creators[i] = r.creator(t, h, i)
		creators[i].ask(t, "first of "+strconv.Itoa(i)) // from here on the loop serves the connection
		creators[i].hear(t)
	}
	if err := h.Pause(); err != nil {
		t.Fatal(err)
	}
	for i, c := range creators {
		c.ask(t, "second of "+strconv.Itoa(i))
	}
	if err := h.Resume(); err != nil {
		t.Fatal(err)
	}
	for _, c := range creators {
		c.hear(t)
	}
}

// creator creates tickets over one connection, and sends each request without waiting for the reply.
type creator struct {
	rig  *rig
	conn net.Conn
	op   history.Op
	host *host
	// number tells the creator from other clients.
	number int
}

func (r *rig) creator(t *testing.T, h *host, number int) *creator {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", h.socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &creator{rig: r, conn: conn, host: h, number: number}
}

// ask sends a create.
func (c *creator) ask(t *testing.T, subject string) {
	t.Helper()
	c.op = history.Op{
		Client: c.number, Host: c.host.number, Via: "go", Kind: history.Create,
		Fields: map[string]history.Value{"subject": &subject}, Call: time.Since(c.rig.began),
	}
	frame, err := new(protocol.Encoder).Request(1, protocol.MethodCreate, &protocol.CreateParams{
		Fields: []protocol.Field{{Name: "subject", Value: protocol.Text(subject)}},
	})
	if err == nil {
		_, err = c.conn.Write(frame)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hear reads the reply.
func (c *creator) hear(t *testing.T) {
	t.Helper()
	var answer protocol.Answer
	var made protocol.CreateResult
	payload, err := protocol.ReadFrame(c.conn, nil)
	if err == nil {
		answer, err = protocol.DecodeAnswer(payload)
	}
	if err == nil && answer.Reply.Err != nil {
		err = answer.Reply.Err
	}
	if err == nil {
		err = made.Decode(answer.Reply.Result)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.op.Outcome, c.op.Ticket, c.op.Revision, c.op.Return = history.Done, made.ID, made.Revision, time.Since(c.rig.began)
	c.rig.history.Ops = append(c.rig.history.Ops, c.op)
}
