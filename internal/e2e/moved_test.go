package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// lazy is a site that flushes only on request.
const lazy = "strategy = \"interval\"\nperiod = \"24h\"\nmax_age = \"24h\"\n"

// oldStranger puts a ticket of long ago into Redis, as if made by another host.
func (r *rig) oldStranger(t *testing.T, id int64) {
	t.Helper()
	fields := []any{"_rev", 5, "_born", 5, "_dirty", 1, "subject", "precious", "message", "private words", "customer_id", "5"}
	for _, name := range []string{"subject", "message", "customer_id"} {
		fields = append(fields, "_d:"+name, 5)
	}
	err := errors.Join(
		r.redis.HSet(t.Context(), r.prefix+"ticket:"+strconv.FormatInt(id, 10), fields...).Err(),
		r.redis.ZAdd(t.Context(), r.prefix+"ticket:dirty",
			goredis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()), Member: strconv.FormatInt(id, 10)}).Err(),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// moved waits until no changes are pending, and returns, by the id told to the client, the new ids that status names for
// moved creates.
func (r *rig) moved(t *testing.T, c *protocol.Client) map[int64]int64 {
	t.Helper()
	var status protocol.StatusResult
	testenv.Eventually(t, 20*time.Second, "nothing waits in journal and spool", func() bool {
		now, err := c.Status(t.Context())
		status = now
		return err == nil && now.Spool.Files == 0 && (now.Journal.Entries == 0 || r.redis == nil)
	})
	ids := map[int64]int64{}
	for _, w := range status.Warnings {
		var from, to int64
		var at string
		_, err := fmt.Sscanf(w, "a create was acknowledged with the id %d, which belongs to another ticket; at %s the new ticket got "+
			"the id %d:", &from, &at, &to)
		if err == nil {
			ids[from] = to
		}
	}
	return ids
}

// wantMoved demands that a create with a told id is now a different, complete ticket, and that the ticket of the told id is
// unchanged.
func (r *rig) wantMoved(t *testing.T, c *protocol.Client, id int64) {
	t.Helper()
	to := r.moved(t, c)[id]
	if to == 0 {
		t.Fatal("status names no other id")
	}
	got, err := c.Get(t.Context(), to)
	if err != nil || field(got.Fields, "subject").Text() != "mine" || field(got.Fields, "message").Text() != "words of the new one" {
		t.Errorf("ticket %d is %+v (%v)", to, got, err)
	}
	untouched(t, r, c, id)
	if column(t, r.db, "subject", to) != "mine" {
		t.Errorf("the row of ticket %d is not the create's", to)
	}
}

// restart starts the daemon again and connects.
func (r *rig) restart(t *testing.T) *protocol.Client {
	t.Helper()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.dial(t)
}

func (s *spooler) create(t *testing.T, id int64, requestID string) {
	t.Helper()
	s.put(t, protocol.MethodCreate, id, &protocol.CreateParams{
		Change: protocol.Change{RequestID: requestID}, ID: id, Fields: subject("mine"),
	})
}

// A create is pending in the journal, and later acknowledged changes in the spool: the journal is replayed before the spool
// is ingested, the create meets a stranger's ticket, and the changes in the spool follow the create.
func TestSpooledChangeFollowsACreateThatTheJournalMoves(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: redis, site: lazy})
	c := r.dial(t)
	id := mustCreate(t, c, "first") + 1
	redis.Kill()
	storeIsDown(t, c)
	if made := mustCreate(t, c, "mine"); made != id {
		t.Fatalf("created %d, want %d", made, id)
	}
	r.Kill()
	s := &spooler{dir: r.spool()}
	s.set(t, id, "message", "words of the new one", "s1")
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.oldStranger(t, id)
	r.wantMoved(t, r.restart(t), id)
}

func storeIsDown(t *testing.T, c *protocol.Client) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, "the daemon sees that Redis is away", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Store.State == protocol.StateDown
	})
}

// A create of the spool gets a different id, and the daemon ends, in order or by kill -9, before it has ingested the
// following files, because the site has no room for a change in between. The request's repetition is answered with the ticket
// made for it.
func TestSpooledChangeFollowsAMovedCreateAfterARestart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		o.site = lazy + "max_dirty = 3\n"
		r := newRig(t, o)
		c := r.dial(t)
		id := mustCreate(t, c, "first") + 1
		if o.noRedis {
			mustPrecious(t, c, id)
		} else {
			r.oldStranger(t, id)
		}
		r.Kill()
		s := &spooler{dir: r.spool()}
		s.create(t, id, "order-812")
		const inVain = 3 // refusals in a row, after which the site's other files wait
		for other := range int64(inVain) {
			s.set(t, 5000+other, "status", "pending", fmt.Sprintf("other-%d", other))
		}
		s.set(t, id, "message", "words of the new one", "s1")
		c = r.restart(t)
		if status, err := c.Status(t.Context()); err != nil || status.Spool.Files != inVain+1 {
			t.Fatalf("%d files wait (%v), want all behind the create", status.Spool.Files, err)
		}
		if o.noRedis {
			r.Kill()
		} else if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteConfig(strings.Replace(r.text, "max_dirty = 3", "max_dirty = 30", 1)); err != nil { // as the message says
			t.Fatal(err)
		}
		c = r.restart(t)
		r.wantMoved(t, c, id)
		again, err := c.CreateWith(t.Context(), protocol.CreateParams{
			Change: protocol.Change{RequestID: "order-812"}, Fields: subject("mine"),
		})
		if want := r.moved(t, c)[id]; err != nil || again.ID != want {
			t.Errorf("the repeated request is told %d (%v), want %d", again.ID, err, want)
		}
	})
}

func mustPrecious(t *testing.T, c *protocol.Client, id int64) {
	t.Helper()
	if _, err := c.Set(t.Context(), precious(id)); err != nil {
		t.Fatal(err)
	}
}

// The journal accepts a create of the spool and has no room for the changes after it. Then the journal moves the create, and
// the changes in the spool follow.
func TestSpooledChangeFollowsACreateThatTheJournalTook(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: redis, site: lazy, journal: "max_entries = 1\n"})
	c := r.dial(t)
	id := mustCreate(t, c, "first") + 1
	r.oldStranger(t, id)
	r.Kill()
	redis.Kill()
	s := &spooler{dir: r.spool()}
	s.create(t, id, "c1")
	s.set(t, id, "message", "words of the new one", "s1")
	c = r.restart(t)
	if status, err := c.Status(t.Context()); err != nil || status.Spool.Files != 1 || status.Journal.Entries != 1 {
		t.Fatalf("%+v, %+v (%v), want the create in the journal", status.Spool, status.Journal, err)
	}
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantMoved(t, c, id)
}

// The journal accepts a create and a change of the same ticket from the spool, and the daemon ends before it removes the
// files; then the journal moves both changes. The repeated files are recognized: no ticket is made twice, and no change is
// set aside.
func TestTakenInFilesComeAgainAfterAMove(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: redis, site: lazy})
	c := r.dial(t)
	id := mustCreate(t, c, "first") + 1
	r.oldStranger(t, id)
	r.Kill()
	redis.Kill()
	s := &spooler{dir: r.spool()}
	s.create(t, id, "order-812")
	s.set(t, id, "message", "words of the new one", "s1")
	files := map[string][]byte{}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".frame") {
			continue
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(s.dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	c = r.restart(t)
	if status, err := c.Status(t.Context()); err != nil || status.Spool.Files != 0 || status.Journal.Entries != 2 {
		t.Fatalf("%+v, %+v (%v), want both in the journal", status.Spool, status.Journal, err)
	}
	r.Kill()
	for name, content := range files {
		s.write(t, name, content)
	}
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = r.restart(t)
	r.wantMoved(t, c, id)
	if status, err := c.Status(t.Context()); err != nil || status.Spool.Bad != 0 {
		t.Errorf("%d files are set aside (%v)", status.Spool.Bad, err)
	}
	var made int
	err = r.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM wp_support_tickets WHERE subject = 'mine'").Scan(&made)
	if err != nil || made != 1 {
		t.Errorf("%d tickets of the one create (%v)", made, err)
	}
}

// Status names all moved creates, also after a restart, whichever place moved them.
func TestStatusNamesAllMovedCreates(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		r := newRig(t, o)
		c := r.dial(t)
		first := mustCreate(t, c, "first")
		ids := []int64{first + 1, first + 2, first + 3}
		for _, id := range ids {
			if o.noRedis {
				mustPrecious(t, c, id)
			} else {
				r.oldStranger(t, id)
			}
		}
		r.Kill()
		s := &spooler{dir: r.spool()}
		for _, id := range ids {
			s.create(t, id, "c"+strconv.FormatInt(id, 10))
		}
		c = r.restart(t)
		before := r.moved(t, c)
		r.Kill()
		after := r.moved(t, r.restart(t))
		for _, id := range ids {
			if before[id] == 0 || before[id] != after[id] || slices.Contains(ids, after[id]) {
				t.Errorf("ticket %d got the id %d as status says, and %d after a restart", id, before[id], after[id])
			}
		}
	})
}
