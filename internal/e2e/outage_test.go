package e2e

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

func asError(err error, target **protocol.Error) bool { return errors.As(err, target) }

// quick is well below the time that a page may wait.
const quick = 700 * time.Millisecond

// Without a journal, changes are refused while Redis is away, at once.
func TestRedisGoneAndBackWithoutJournal(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"appendonly yes", "appendfsync always"}})
	r := newRig(t, rigOptions{redis: server, journal: "enabled = false"})
	c := r.dial(t)
	if _, err := c.Set(t.Context(), set(1, "status", "pending")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	begin := time.Now()
	if _, err := c.Set(t.Context(), set(1, "status", "closed")); code(err) != protocol.CodeUnavailable {
		t.Fatalf("write without Redis: %v", err)
	}
	if took := time.Since(begin); took > quick {
		t.Errorf("it took %v to say so", took)
	}
	status, err := c.Status(t.Context())
	if err != nil || status.Store.State != protocol.StateDown || status.Store.Reason == "" {
		t.Errorf("status %+v (%v), want the store down with a reason", status.Store, err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "writes work again", func() bool {
		_, err := c.Set(t.Context(), set(2, "status", "closed"))
		return err == nil
	})
	testenv.Eventually(t, 5*time.Second, "what was acknowledged before is in MySQL", func() bool {
		return column(t, r.db, "status", 1) == "pending" && column(t, r.db, "status", 2) == "closed"
	})
}

func TestMySQLGoneAndBack(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	r := newRig(t, rigOptions{mariadb: server})
	c := r.dial(t)
	if _, err := c.Create(t.Context(), []protocol.Field{{Name: "subject", Value: protocol.Text("one")}}, ""); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	begin := time.Now()
	made, err := c.Create(t.Context(), []protocol.Field{{Name: "subject", Value: protocol.Text("two")}}, "")
	if err != nil {
		t.Fatalf("create without MySQL: %v", err)
	}
	if ticket, err := c.Get(t.Context(), made.ID); err != nil || field(ticket.Fields, "subject").Text() != "two" {
		t.Errorf("get without MySQL: %v", err)
	}
	if _, err := c.Get(t.Context(), 999); code(err) != protocol.CodeUnavailable {
		t.Errorf("get of a ticket that only MySQL may know: %v", err)
	}
	if took := time.Since(begin); took > quick {
		t.Errorf("the three took %v", took)
	}
	testenv.Eventually(t, 5*time.Second, "status says that MySQL is down", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Sink.State == protocol.StateDown && status.Dirty > 0
	})
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := column(t, r.db, "subject", made.ID); got != "two" {
		t.Errorf("subject %q in MySQL", got)
	}
}

// The daemon starts while Redis and MySQL are away, says so, and recovers by itself.
func TestNothingThereAtStart(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	mariadb := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	r := newRig(t, rigOptions{redis: redis, mariadb: mariadb})
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	redis.Kill()
	mariadb.Kill()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := r.dial(t)
	if _, err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	// With the definition from its disk the daemon needs only its journal.
	if _, err := c.Set(t.Context(), set(1, "status", "open")); err != nil {
		t.Errorf("write without anything: %v", err)
	}
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "Redis is found", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Store.State == protocol.StateUp && status.Journal.Entries == 0
	})
	if _, err := c.Set(t.Context(), set(1, "status", "closed")); err != nil {
		t.Errorf("write without MySQL: %v", err)
	}
	if _, err := c.Set(t.Context(), set(1, "customer_id", "seven")); code(err) != protocol.CodeInvalid {
		t.Errorf("without MySQL the table's rules are not known: %v", err)
	}
	if err := mariadb.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 15*time.Second, "the write is in MySQL", func() bool {
		return column(t, r.db, "status", 1) == "closed"
	})
}

// kill -9 in the middle of 10,000 writes: every acknowledged value is in MySQL after the restart.
func TestKilledInTheMiddleOfWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "lease = \"1s\""})
	const writers, writes, tickets = 4, 2500, 50
	type value struct{ acknowledged, tried int }
	last := make([]map[int64]*value, writers)
	var writing sync.WaitGroup
	killed := make(chan struct{})
	for w := range writers {
		last[w] = map[int64]*value{}
		c := r.dial(t)
		writing.Go(func() {
			for i := 1; i <= writes; i++ {
				id := int64(i%tickets + 1 + w*tickets) // every writer has its own tickets
				v := last[w][id]
				if v == nil {
					v = &value{}
					last[w][id] = v
				}
				v.tried = i
				if _, err := c.Set(t.Context(), set(id, "subject", strconv.Itoa(i))); err != nil {
					return // killed
				}
				v.acknowledged = i
				if w == 0 && i == writes/2 {
					close(killed)
				}
			}
		})
	}
	<-killed
	r.Kill()
	writing.Wait()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.dial(t).Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for w := range writers {
		for id, v := range last[w] {
			got := column(t, r.db, "subject", id)
			// The write that was under way may have been made.
			if got != strconv.Itoa(v.acknowledged) && got != strconv.Itoa(v.tried) && (got != "" || v.acknowledged != 0) {
				t.Errorf("ticket %d: %q in MySQL, %d was acknowledged, %d tried", id, got, v.acknowledged, v.tried)
			}
			acknowledged += v.acknowledged / tickets
		}
	}
	if acknowledged < 1000 {
		t.Errorf("only some %d writes were acknowledged before the kill: this proves little", acknowledged)
	}
}

// SIGTERM flushes dirty tickets and exits with success.
func TestStopFlushesTheBacklog(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\""})
	c := r.dial(t)
	for id := int64(1); id <= 200; id++ {
		if _, err := c.Set(t.Context(), set(id, "status", "closed")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := column(t, r.db, "status", 200); got != "closed" {
		t.Errorf("status %q in MySQL after the stop", got)
	}
}
