package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// each runs a test with Redis and without.
func each(t *testing.T, test func(t *testing.T, o rigOptions)) {
	t.Helper()
	for name, o := range map[string]rigOptions{"Redis": {}, "Journal": {noRedis: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, o)
		})
	}
}

// eachUnflushed runs a test on a rig with Redis and on a rig without, each with a client. Changes are flushed only on
// request.
func eachUnflushed(t *testing.T, test func(t *testing.T, r *rig, c *protocol.Client)) {
	t.Helper()
	each(t, func(t *testing.T, o rigOptions) {
		o.site = never
		r := newRig(t, o)
		test(t, r, r.dial(t))
	})
}

func subject(text string) []protocol.Field {
	return []protocol.Field{{Name: "subject", Value: protocol.Text(text)}}
}

func mustCreate(t *testing.T, c *protocol.Client, text string) int64 {
	t.Helper()
	made, err := c.Create(t.Context(), subject(text), "")
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// precious is a ticket that is a customer's own.
func precious(id int64) protocol.SetParams {
	return protocol.SetParams{ID: id, Fields: []protocol.Field{
		{Name: "subject", Value: protocol.Text("precious")}, {Name: "customer_id", Value: protocol.Text("5")},
		{Name: "message", Value: protocol.Text("private words")},
	}}
}

// untouched demands that the precious ticket is unchanged, in the store and in MySQL.
func untouched(t *testing.T, r *rig, c *protocol.Client, id int64) {
	t.Helper()
	flushed(t, c)
	got, err := c.Get(t.Context(), id)
	if err != nil || field(got.Fields, "subject").Text() != "precious" || field(got.Fields, "message").Text() != "private words" {
		t.Errorf("ticket %d is %+v (%v)", id, got, err)
	}
	if customer := column(t, r.db, "customer_id", id); customer != "5" || column(t, r.db, "subject", id) != "precious" {
		t.Errorf("the row of ticket %d is customer %s's", id, customer)
	}
}

// A client writes to ids inside the block that the daemon has leased: creates skip them, before and after a kill -9.
func TestCreateLeavesTakenIDsAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		r := newRig(t, o)
		c := r.dial(t)
		first := mustCreate(t, c, "first")
		if _, err := c.Set(t.Context(), precious(first+1)); err != nil {
			t.Fatal(err)
		}
		s := &spooler{dir: r.spool()}
		spooled := precious(first + 2)
		spooled.RequestID = "spooled"
		s.put(t, protocol.MethodSet, first+2, &spooled)
		if made := mustCreate(t, c, "mine"); made != first+3 {
			t.Errorf("created %d, want the next free one, %d", made, first+3)
		}
		for id := first + 1; id <= first+2; id++ {
			untouched(t, r, c, id)
			_, err := c.CreateWith(t.Context(), protocol.CreateParams{
				Change: protocol.Change{RequestID: "named"}, ID: id, Fields: subject("mine"),
			})
			wantCode(t, err, protocol.CodeExists)
		}
		if !o.noRedis { // a client of another daemon writes to ids that this daemon has leased
			other := r.second(t).dial(t)
			if _, err := other.Set(t.Context(), precious(first+6)); err != nil {
				t.Fatal(err)
			}
			for _, next := range []int64{4, 5, 7} {
				if made := mustCreate(t, c, "mine"); made != first+next {
					t.Errorf("created %d, want %d", made, first+next)
				}
			}
			untouched(t, r, c, first+6)
		}
		r.Kill()
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = r.dial(t)
		for id := first + 1; id <= first+2; id++ {
			_, err := c.CreateWith(t.Context(), protocol.CreateParams{ID: id, Fields: subject("mine")})
			wantCode(t, err, protocol.CodeExists)
			untouched(t, r, c, id)
		}
	})
}

func wantCode(t *testing.T, err error, want protocol.Code) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// A set with must_exist makes no ticket and does not move the numbering.
func TestMistypedSetMakesNoGhost(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		r := newRig(t, o)
		c := r.dial(t)
		first := mustCreate(t, c, "first")
		ghost := set(888888, "status", "closed")
		ghost.MustExist = true
		_, err := c.Set(t.Context(), ghost)
		wantCode(t, err, protocol.CodeNotFound)
		flushed(t, c)
		if got := column(t, r.db, "status", 888888); got != "" {
			t.Errorf("there is a row with status %q", got)
		}
		exists := set(first, "status", "closed")
		exists.MustExist = true
		if _, err := c.Set(t.Context(), exists); err != nil {
			t.Errorf("set of a ticket that exists: %v", err)
		}
		if !o.noRedis { // a ticket that only MySQL has
			flushed(t, c)
			r.redis.Del(t.Context(), r.prefix+"ticket:"+strconv.FormatInt(first, 10))
			if _, err := c.Set(t.Context(), exists); err != nil {
				t.Errorf("set of a ticket that Redis does not hold: %v", err)
			}
		}
	})
}

// A deleted ticket stays deleted when the store has dropped it: after a kill -9, after the copy has expired, after Redis was
// emptied, and while MySQL is away.
func TestDeletedStaysDeleted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		o.mariadb = testenv.NewMariaDB(t, testenv.MariaDBOptions{})
		r := newRig(t, o)
		c := r.dial(t)
		id := mustCreate(t, c, "precious")
		flushed(t, c)
		if _, err := c.Delete(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := r.db.ExecContext(t.Context(),
			"INSERT INTO wp_support_tickets (ticket_id, subject, deleted_at) VALUES (?, 'in SQL', NOW())", id+5000); err != nil {
			t.Fatal(err)
		}
		flushed(t, c)
		refused := func(when string) {
			t.Helper()
			for _, gone := range []int64{id, id + 5000} {
				_, err := c.Set(t.Context(), set(gone, "subject", "overwritten"))
				many, failed := c.SetMany(t.Context(), []protocol.TicketFields{{ID: gone, Fields: subject("overwritten")}}, "")
				_, created := c.CreateWith(t.Context(), protocol.CreateParams{ID: gone, Fields: subject("overwritten")})
				if code(err) != protocol.CodeNotFound || code(created) != protocol.CodeExists {
					t.Errorf("%s: ticket %d: set %v, create %v", when, gone, err, created)
				}
				if failed != nil || many[0].Err == nil || many[0].Err.Code != protocol.CodeNotFound {
					t.Errorf("%s: ticket %d: set_many %+v (%v)", when, gone, many, failed)
				}
			}
		}
		r.Kill()
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = r.dial(t)
		tombstones(t, c, id+5000)
		refused("after kill -9")
		if !o.noRedis {
			r.redis.Del(t.Context(), r.prefix+"ticket:"+strconv.FormatInt(id, 10))
			refused("after the copy has expired")
		}
		o.mariadb.Kill()
		refused("while MySQL is away")
		if err := o.mariadb.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := column(t, r.db, "subject", id); got != "precious" || column(t, r.db, "subject", id+5000) != "in SQL" {
			t.Errorf("the deleted rows hold %q", got)
		}
	})
}

// tombstones waits until the store knows of a ticket that SQL has deleted.
func tombstones(t *testing.T, c *protocol.Client, id int64) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, "the store knows the deleted rows", func() bool {
		_, err := c.Set(t.Context(), set(id, "subject", "overwritten"))
		return code(err) == protocol.CodeNotFound
	})
}

// The deletion of a dead letter reaches MySQL alone, whatever rule of the table the letter broke.
func TestDeletedDeadLetter(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{
		"CHECK": "ALTER TABLE wp_support_tickets ADD CONSTRAINT no_forbidden CHECK (priority <> 'forbidden')",
		"Trigger": "CREATE TRIGGER no_forbidden BEFORE UPDATE ON wp_support_tickets FOR EACH ROW BEGIN " +
			"IF NEW.priority = 'forbidden' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'forbidden'; END IF; END",
		"ForeignKey": "ALTER TABLE wp_support_tickets ADD CONSTRAINT no_forbidden FOREIGN KEY (priority) REFERENCES priorities (name)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{})
			for _, statement := range []string{
				"CREATE TABLE priorities AS SELECT priority AS name FROM wp_support_tickets WHERE 1=0",
				"ALTER TABLE priorities ADD PRIMARY KEY (name)", "INSERT INTO priorities VALUES ('low'), ('normal')", rule,
			} {
				if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			c := r.dial(t)
			mustSet(t, c, 1, "priority", "low")
			flushed(t, c)
			mustSet(t, c, 1, "priority", "forbidden")
			testenv.Eventually(t, 10*time.Second, "a dead letter", func() bool { return dead(t, c) == 1 })
			if _, err := c.Delete(t.Context(), 1, ""); err != nil {
				t.Fatal(err)
			}
			flushed(t, c)
			if column(t, r.db, "deleted_at", 1) == "" || column(t, r.db, "priority", 1) != "low" || dead(t, c) != 0 {
				t.Errorf("deleted at %q, priority %q, %d dead letters", column(t, r.db, "deleted_at", 1),
					column(t, r.db, "priority", 1), dead(t, c))
			}
			listed, err := c.List(t.Context(), protocol.ListParams{})
			if err != nil || len(listed.Tickets) != 0 {
				t.Errorf("listed are %+v (%v)", listed.Tickets, err)
			}
		})
	}
}

// A daemon that is cut off from Redis gives a create the id of another ticket: when Redis is back the create, and later
// changes of its ticket, have a different id, the other ticket is unchanged, and status names each of the two ids. The daemon
// may die at any time.
func TestCreateWhoseIDTurnsOutToBeTaken(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: redis})
	c := r.dial(t)
	id := mustCreate(t, c, "first") + 1
	redis.Kill()
	testenv.Eventually(t, 10*time.Second, "the daemon sees that Redis is away", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Store.State == protocol.StateDown
	})
	if made := mustCreate(t, c, "mine"); made != id {
		t.Fatalf("created %d, want %d", made, id)
	}
	mustSet(t, c, id, "status", "pending")
	r.Kill()
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A stranger's ticket, made long ago by a client that did not receive the id.
	key := r.prefix + "ticket:" + strconv.FormatInt(id, 10)
	err := r.redis.HSet(t.Context(), key, "_rev", 5, "_born", 5, "_dirty", 1, "_d:subject", 5, "subject", "precious").Err()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = r.dial(t)
	var warning string
	testenv.Eventually(t, 20*time.Second, "status names both ids", func() bool {
		status, err := c.Status(t.Context())
		for _, w := range status.Warnings {
			if strings.Contains(w, "with the id "+strconv.FormatInt(id, 10)) {
				warning = w
			}
		}
		return err == nil && warning != "" && status.Journal.Entries == 0
	})
	_, text, _ := strings.Cut(warning, "the new ticket got the id ")
	text, _, _ = strings.Cut(text, ":")
	moved, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%q: %v", warning, err)
	}
	got, err := c.Get(t.Context(), moved)
	if err != nil || field(got.Fields, "subject").Text() != "mine" || field(got.Fields, "status").Text() != "pending" {
		t.Errorf("ticket %d is %+v (%v)", moved, got, err)
	}
	other, err := r.redis.HGetAll(t.Context(), key).Result()
	if err != nil || other["subject"] != "precious" || other["status"] != "" || other["_rev"] != "5" {
		t.Errorf("the other ticket is %v (%v)", other, err)
	}
}

// deleted_at is no field.
func TestDeletedAtIsNoField(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	_, err := c.Set(t.Context(), set(1, "deleted_at", "2026-01-02 03:04:05"))
	var refused *protocol.Error
	if !asError(err, &refused) || refused.Code != protocol.CodeInvalid || refused.Field != "deleted_at" {
		t.Errorf("set: %v", err)
	}
}
