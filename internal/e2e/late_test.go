package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// cutOff are two daemons of a site: the first reaches Redis through the link alone.
func cutOff(t *testing.T) (a, b *rig, link *testenv.Proxy) {
	t.Helper()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	link = testenv.NewProxy(t, redis.Socket(), 0)
	a = newRig(t, rigOptions{redis: redis, link: link})
	text := a.text
	a.text = strings.ReplaceAll(text, link.Socket(), redis.Socket())
	b = a.second(t)
	a.text = text
	return a, b, link
}

// createUpTo makes tickets until a ticket has the id.
func createUpTo(t *testing.T, c *protocol.Client, id int64) {
	t.Helper()
	for {
		switch made := mustCreate(t, c, "customer 4's"); {
		case made == id:
			return
		case made > id:
			t.Fatalf("ids went on to %d: nothing has the id %d, and the test proves nothing", made, id)
		}
	}
}

// aside waits until the daemon has no pending changes and so many files are in bad/ of a folder, each with its reason. It
// returns their paths.
func (r *rig) aside(t *testing.T, c *protocol.Client, folder string, want int64) (paths []string) {
	t.Helper()
	testenv.Eventually(t, 20*time.Second, "the changes that are not made are in bad/", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Journal.Entries == 0 && status.Spool.Files == 0 && status.Spool.Bad == want &&
			strings.Contains(strings.Join(status.Warnings, "\n"), "read the reasons in "+filepath.Join(folder, "bad"))
	})
	paths, err := filepath.Glob(filepath.Join(folder, "bad", "*.frame"))
	if err != nil || int64(len(paths)) != want {
		t.Fatalf("in bad/: %v (%v)", paths, err)
	}
	for _, path := range paths {
		if reason, err := os.ReadFile(path + ".reason"); err != nil || !strings.Contains(string(reason), daemon.ErrPredates.Message) {
			t.Errorf("the reason is %q (%v)", reason, err)
		}
	}
	return paths
}

// own is the spool folder of the daemon's user.
func (r *rig) own() string { return filepath.Join(r.spool(), strconv.Itoa(os.Geteuid())) }

// clean demands that a ticket holds no data of another customer, in Redis and in MySQL.
func (r *rig) clean(t *testing.T, c *protocol.Client, id int64) {
	t.Helper()
	flushed(t, c)
	got, err := c.Get(t.Context(), id)
	subject, message := field(got.Fields, "subject").Text(), field(got.Fields, "message").Text()
	if err != nil || subject != "customer 4's" || message == "private of customer 5" {
		t.Errorf("ticket %d is %+v (%v)", id, got, err)
	}
	if extra := column(t, r.db, "extra", id); extra != "" {
		t.Errorf("the row of ticket %d holds %s", id, extra)
	}
	if column(t, r.db, "deleted_at", id) != "" {
		t.Errorf("the row of ticket %d is deleted", id)
	}
}

// A change or a deletion of an unused id is pending in the journal of a host that is cut off from Redis; meanwhile another
// host creates a ticket of that id. The change was not meant for that ticket, unless an operator says so.
func TestLateChangeMeetsACreate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, c *protocol.Client, id int64) error{
		"Set": func(t *testing.T, c *protocol.Client, id int64) error {
			_, err := c.Set(t.Context(), set(id, "message", "private of customer 5"))
			return err
		},
		"Delete": func(t *testing.T, c *protocol.Client, id int64) error {
			_, err := c.Delete(t.Context(), id, "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, link := cutOff(t)
			ca, cb := a.dial(t), b.dial(t)
			id := mustCreate(t, cb, "first") + 5
			link.Hold()
			testenv.Eventually(t, 10*time.Second, "the journal acknowledges the change", func() bool {
				return change(t, ca, id) == nil
			})
			createUpTo(t, cb, id)
			flushed(t, cb)
			link.Release()
			paths := a.aside(t, ca, a.own(), 1)
			a.clean(t, cb, id)
			if _, err := ca.Get(t.Context(), id); err != nil {
				t.Errorf("on the host that acknowledged the change: %v", err)
			}
			if err := os.Rename(paths[0], filepath.Join(a.own(), filepath.Base(paths[0]))); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, 20*time.Second, "what is put back is made", func() bool {
				got, err := ca.Get(t.Context(), id)
				isDeleted := errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound})
				return isDeleted || err == nil && field(got.Fields, "message").Text() == "private of customer 5"
			})
		})
	}
}

// The same of a change that waits in the spool.
func TestSpooledChangeMeetsACreate(t *testing.T) {
	t.Parallel()
	a := newRig(t, rigOptions{redis: testenv.NewRedis(t, testenv.RedisOptions{})})
	b := a.second(t)
	cb := b.dial(t)
	id := mustCreate(t, cb, "first") + 5
	a.Kill()
	s := &spooler{dir: a.spool()}
	s.set(t, id, "message", "private of customer 5", "s1")
	s.put(t, protocol.MethodDelete, id, &protocol.DeleteParams{Change: protocol.Change{RequestID: "d1"}, ID: id})
	createUpTo(t, cb, id)
	ca := a.restart(t)
	a.aside(t, ca, a.spool(), 2)
	a.clean(t, cb, id)
}

// The same with a change that was in Redis, which then lost all data: the daemon applies its acknowledged changes again.
func TestKeptChangeMeetsACreate(t *testing.T) {
	t.Parallel()
	a := newRig(t, rigOptions{redis: testenv.NewRedis(t, testenv.RedisOptions{}), site: lazy})
	b := a.second(t)
	ca, cb := a.dial(t), b.dial(t)
	id := mustCreate(t, cb, "first") + 5
	mustSet(t, ca, id, "message", "private of customer 5")
	if err := a.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := a.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "creates go on", func() bool {
		_, err := cb.Create(t.Context(), subject("customer 4's"), "")
		return err == nil
	})
	createUpTo(t, cb, id)
	if err := a.Resume(); err != nil {
		t.Fatal(err)
	}
	ca = a.dial(t)
	testenv.Eventually(t, 10*time.Second, "the daemon applies again what it keeps", func() bool {
		_, err := ca.Set(t.Context(), set(id+1000, "subject", "x"))
		return err == nil
	})
	a.aside(t, ca, a.own(), 1)
	a.clean(t, cb, id)
}

// A create is a dead letter, because its id belongs to another program's row in MySQL. A client of another host changes or
// deletes its ticket. The first host dies together with Redis' data, so that the second host applies again a change without
// its create: the other program's row is not touched.
func TestKeptChangeWithoutItsCreate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, c *protocol.Client, id int64){
		"Set": func(t *testing.T, c *protocol.Client, id int64) {
			t.Helper()
			mustSet(t, c, id, "message", "private of customer 4")
		},
		"Delete": func(t *testing.T, c *protocol.Client, id int64) {
			t.Helper()
			if _, err := c.Delete(t.Context(), id, ""); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newRig(t, rigOptions{redis: testenv.NewRedis(t, testenv.RedisOptions{}), site: lazy})
			b := a.second(t)
			ca, cb := a.dial(t), b.dial(t)
			id := mustCreate(t, ca, "customer 4's")
			if _, err := a.db.ExecContext(t.Context(), "INSERT INTO wp_support_tickets (ticket_id, subject, customer_id) "+
				"VALUES (?, 'of customer 7', 7)", id); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, 15*time.Second, "the create is a dead letter", func() bool {
				_, _ = ca.Flush(t.Context(), nil, nil)
				status, err := ca.Status(t.Context())
				return err == nil && status.Dead == 1
			})
			change(t, cb, id)
			a.Kill()
			if err := a.redis.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, 10*time.Second, "what is kept is applied again and settled", func() bool {
				_, err := cb.Set(t.Context(), set(id+1000, "subject", "x"))
				return err == nil
			})
			testenv.Eventually(t, 20*time.Second, "it is settled", func() bool {
				_, _ = cb.Flush(t.Context(), nil, nil)
				status, err := cb.Status(t.Context())
				return err == nil && status.Dirty == 0
			})
			if extra, gone := column(t, a.db, "extra", id), column(t, a.db, "deleted_at", id); extra != "" || gone != "" {
				t.Errorf("the row of customer 7 has extra %q and deleted_at %q", extra, gone)
			}
		})
	}
}
