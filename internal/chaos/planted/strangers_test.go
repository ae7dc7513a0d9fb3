package planted

import (
	"database/sql"
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

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// strangers are the invariants at the borders of a daemon's world.
var strangers = map[string]invariant{
	"a create meets what the store holds": {
		plants: []plant{{
			file: "store/redis/apply.lua",
			text: "\tif held[1] then\n\t\treturn apart(since", instead: "\tdo return end\n\tif held[1] then\n\t\treturn apart(since",
		}},
		with: "first", site: never, provoke: typedIn, rule: check.RuleIDs,
	},
	"a create that names a taken id": {with: "first", site: never, provoke: namedAgain, rule: check.RuleIDs},
	"digest of requests": {
		plants: []plant{{
			file: "store/redis/apply.lua", text: "local reused = done and asked ~= digest and asked ~= '' and digest ~= ''",
			instead: "local reused = false",
		}},
		with: "first", site: never, provoke: requestTwice, rule: check.RuleReused,
	},
	"identity of a journal": {
		plants: []plant{{file: "daemon/boot/custody.go", text: "case owner == c.identity:", instead: "case true:"}},
		with:   "first", site: never, provoke: movedJournal, rule: check.RuleForeign,
	},
	"identity of a journal that is the store": {
		with: "first", site: never, journal: true, provoke: movedJournal, rule: check.RuleForeign,
	},
	"ids that rows have": {
		plants: []plant{{
			file: "sync/ids/allocator.go", text: "known, taken := a.vetted.look(id, now)", instead: "known, taken := true, false",
		}},
		with: "second", site: never, provoke: inSQL, rule: check.RuleIDs,
	},
	"tombstones": {
		plants: []plant{{
			file: "store/redis/apply.lua", text: "elseif not held[1] and redis.pcall('SISMEMBER', graves, id) == 1 then",
			instead: "elseif false then",
		}},
		with: "second", site: never + "clean_ttl = \"1s\"", provoke: forgotten, rule: check.RuleDeleted,
	},
	"identity of the spool": {
		plants: []plant{{
			file: "daemon/boot/custody.go", text: `return c.identity == "" || identity == c.identity ||`, instead: `return true ||`,
		}},
		with: "second", site: never, provoke: movedSpool, rule: check.RuleForeign,
	},
	"rows that a create meets in MySQL": {
		plants: []plant{{file: "sync/mysql/plan.go", text: "floor: floorOf(c.Created, p.now)}", instead: "floor: 0}"}},
		with:   "third", site: never, provoke: inSQLAfter, rule: check.RuleOwner,
	},
	"rows that a create meets where it is read": {
		plants: []plant{{
			file: "daemon/site/read.go", text: "if row != nil && row.Revision < record.Created {", instead: "if false {",
		}},
		with: "second", site: never, provoke: rowUnderCreate, rule: check.RuleOwner,
	},
	"a deletion carries its mark alone": {
		plants: []plant{ // the store enforces the rule at the deletion and at the claim, and so does the sink
			{file: "store/redis/claim.go", text: "return revision(hash[markPrefix+fieldGone])", instead: "return 0"},
			{file: "store/redis/apply.lua", text: "bury(ticket, names)\n\t\t\t\tlocal new", instead: "local new"},
			{file: "sync/mysql/sink.go", text: `if !c.Deleted || d.DeletedAt == "" {`, instead: `if true {`},
		},
		with: "third", site: never, provoke: deadAndDeleted, rule: check.RuleDeleted,
	},
	"owner of the keys": {
		plants: []plant{{
			file: "store/redis/seed.lua", text: "if owner ~= '' and owner ~= ARGV[3] and owner ~= ARGV[5] then", instead: "if false then",
		}},
		with: "third", site: never, provoke: sameKeys, rule: check.RuleForeign,
	},
	"owner of what is in the spool": {
		plants: []plant{ // the file is checked twice: before opening, and after
			{
				file: "daemon/spool/folder.go", text: "case owner >= 0 && int64(stat.Uid) != owner:\n\t\treturn errStranger",
				instead: "case false:\n\t\treturn errStranger",
			},
			{
				file: "daemon/spool/folder.go", text: "case owner >= 0 && int64(stat.Uid) != owner:\n\t\treturn nil",
				instead: "case false:\n\t\treturn nil",
			},
		},
		with: "second", site: never, provoke: forged, rule: check.RuleNowhere,
	},
	"what is older than its ticket is set aside": {
		plants: []plant{{
			file: "store/outbox/forward.go", text: "if s.opts.Aside != nil {\n\t\terr = s.opts.Aside(m, at)",
			instead: "if err = nil; at.IsZero() {",
		}},
		with: "third", site: never, provoke: createdMeanwhile, rule: check.RuleLate,
	},
	"owner of what is read": {
		plants: []plant{
			{file: "store/redis/guard.go", text: "if have == expected[i] ||", instead: "if have == have ||"},
			{file: "store/redis/guard.lua", text: "if filling ~= table.remove(ARGV) then", instead: "if not table.remove(ARGV) then"},
		},
		with: "first", site: never, provoke: keysReplaced, rule: check.RuleNowhere,
	},
}

// typedIn writes to ids on another host, within the block of this host's next creates, so that only the store knows of these
// tickets.
func typedIn(t *testing.T, r *rig) {
	here, there := r.host(t), r.host(t)
	id := r.met(t, here, func(id int64) { r.set(t, there, id, "stranger", "") })
	r.get(t, here, id)
	r.get(t, here, r.create(t, here, 0, "third", ""))
}

// namedAgain makes a ticket under the id of an existing ticket.
func namedAgain(t *testing.T, r *rig) {
	h := r.host(t)
	id := r.create(t, h, 0, "first", "")
	r.create(t, h, id, "second", "")
	r.get(t, h, id)
}

// stale is how old an answer of MySQL about ids is that no create trusts any more.
const stale = 200 * time.Millisecond

// inSQL adds rows in SQL under the ids that the next creates would get.
func inSQL(t *testing.T, r *rig) {
	r.met(t, r.host(t), func(id int64) { r.insert(t, id, "sql") })
}

// met makes tickets through another host under the ids of the host's next creates, and creates a ticket. A slow create, such
// as the first create of a daemon on a busy machine, excuses itself and the creates soon after: then a further create
// follows.
func (r *rig) met(t *testing.T, h *host, other func(id int64)) (last int64) {
	t.Helper()
	last = r.create(t, h, 0, "first", "")
	for begun, made := time.Now(), last; time.Since(begun) < patience; {
		for id := max(last, made) + 1; id <= last+3; id++ {
			other(id)
			made = id
		}
		from, pause := time.Now(), stale
		if r.slow() {
			pause = check.Impatience
		}
		testenv.Eventually(t, patience, "no excuse counts any more", func() bool { return time.Since(from) > pause })
		last = r.create(t, h, 0, "second", "")
		if !r.slow() {
			return last
		}
	}
	t.Fatal("every create was slow: this proves nothing")
	return 0
}

// slow says whether the last create was.
func (r *rig) slow() bool {
	for _, op := range slices.Backward(r.history.Ops) {
		if op.Kind == history.Create {
			return op.Return-op.Call >= check.Slow
		}
	}
	return false
}

// inSQLAfter adds a row in SQL under the id of a ticket that MySQL does not have yet.
func inSQLAfter(t *testing.T, r *rig) {
	h := r.host(t)
	r.insert(t, r.create(t, h, 0, "first", ""), "sql")
	h.flush(t)
}

// rowUnderCreate adds a row in SQL under the id that a create has named, and reads the ticket: ticketd does not know that a
// create with a named id is the whole ticket.
func rowUnderCreate(t *testing.T, r *rig) {
	h := r.host(t)
	id := r.create(t, h, 50, "first", "")
	category := "sql"
	op := history.Op{Kind: history.Insert, Ticket: id, Fields: map[string]history.Value{"category": &category}}
	r.record(t, h, op, func(*history.Op) error {
		_, err := r.db.ExecContext(t.Context(), "INSERT INTO wp_support_tickets (ticket_id, category) VALUES (?, ?)", id, category)
		return err
	})
	r.get(t, h, id)
}

// forgotten changes a ticket whose deletion was so long ago that the store has dropped its copy.
func forgotten(t *testing.T, r *rig) {
	h := r.host(t)
	id := r.create(t, h, 0, "first", "")
	r.remove(t, h, id)
	h.flush(t)
	if r.journal {
		h.Kill()
		if err := h.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	} else {
		key := r.keys.Keys(t.Context(), r.prefix+"ticket:*").Val()
		if len(key) == 0 {
			t.Fatal("the deleted ticket is not in Redis: this proves nothing")
		}
		hash := r.prefix + "ticket:" + strconv.FormatInt(id, 10)
		testenv.Eventually(t, patience, "Redis has forgotten the ticket", func() bool {
			return r.keys.Exists(t.Context(), hash).Val() == 0
		})
	}
	r.change(t, h, id, "second", "", false)
}

// deadAndDeleted deletes a ticket with a change that MySQL refuses.
func deadAndDeleted(t *testing.T, r *rig) {
	h := r.host(t)
	id := r.create(t, h, 0, "first", "")
	h.flush(t)
	if _, err := r.db.ExecContext(t.Context(),
		"ALTER TABLE wp_support_tickets ADD CONSTRAINT refuses CHECK (subject <> 'refused')"); err != nil {
		t.Fatal(err)
	}
	r.set(t, h, id, "refused", "")
	h.flush(t)
	if n := len(r.letters(t)); n != 1 {
		t.Fatalf("there are %d dead letters: this proves nothing", n)
	}
	r.remove(t, h, id)
}

// requestTwice reuses request ids on another host for different requests: other fields, a deletion of a deleted ticket.
func requestTwice(t *testing.T, r *rig) {
	here, there := r.host(t), r.host(t)
	r.change(t, here, 1, "first", "order-812", false)
	r.change(t, there, 1, "second", "order-812", true)
	id := r.create(t, here, 0, "third", "order-813")
	r.remove(t, here, id)
	r.try(t, there, history.Op{Kind: history.Delete, Ticket: id, Request: "order-813", Reused: true},
		func(c *protocol.Client, op *history.Op) (err error) {
			op.Revision, err = c.Delete(t.Context(), id, "order-813")
			return err
		})
}

// elsewhere is another database with its own table, and its rows at the beginning.
type elsewhere struct {
	dsn   string
	db    *sql.DB
	place history.Place
}

// elsewhere makes a database with its tables, and a row of its own.
func (r *rig) elsewhere(t *testing.T) *elsewhere {
	t.Helper()
	_, name := testenv.SharedMariaDB(t)
	e := &elsewhere{dsn: r.mariadb.DSN(name), db: r.mariadb.DB(t, name), place: history.Place{Name: "another site's table"}}
	r.migrate(t, testenv.Folder(t), r.config(r.hosts[0], e.dsn))
	if _, err := e.db.ExecContext(t.Context(),
		"INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (1, 'theirs')"); err != nil {
		t.Fatal(err)
	}
	e.place.Before = rowsIn(t, e.db)
	return e
}

// left records the final rows of the other table.
func (r *rig) left(t *testing.T, e *elsewhere) {
	t.Helper()
	e.place.After = rowsIn(t, e.db)
	r.history.Places = append(r.history.Places, e.place)
}

// twin starts a daemon before another table, with the rig's keys in Redis.
func (r *rig) twin(t *testing.T, e *elsewhere) *host {
	t.Helper()
	twin := &host{
		dir: testenv.Folder(t), redis: testenv.NewProxy(t, r.redis.Socket(), 0), mariadb: testenv.NewProxy(t, r.mariadb.Socket(), 0),
	}
	twin.Ticketd = testenv.NewTicketdOf(t, r.daemon, testenv.TicketdOptions{Config: r.config(twin, e.dsn)})
	return twin
}

// sameKeys starts a daemon before another table with the first daemon's keys in Redis, flushes, and sends requests.
func sameKeys(t *testing.T, r *rig) {
	here := r.host(t)
	r.set(t, here, 1, "ours", "")
	e := r.elsewhere(t)
	twin := r.twin(t, e)
	c, end := twin.dial(t)
	defer end()
	_, err := c.Get(t.Context(), 1)
	e.asked(history.Op{Kind: history.Get, Ticket: 1}, err)
	_, err = c.Set(t.Context(), params(2, "visitor"))
	e.asked(history.Op{Kind: history.Set, Ticket: 2}, err)
	_, _ = c.Flush(t.Context(), nil, nil)
	twin.Kill()
	r.left(t, e)
}

// keysReplaced replaces a running daemon's keys by another table's keys, and reads a ticket of them.
func keysReplaced(t *testing.T, r *rig) {
	h := r.host(t)
	r.set(t, h, 1, "ours", "")
	e := r.elsewhere(t)
	ours := r.prefix
	r.prefix = ours + "theirs:"
	theirs := r.prefix
	twin := r.twin(t, e)
	r.prefix = ours
	c, end := twin.dial(t)
	if _, err := c.Set(t.Context(), params(1, "foreign")); err != nil {
		t.Fatal(err)
	}
	end()
	twin.Kill()
	r.rename(t, ours, ours+"aside:", theirs)
	r.rename(t, theirs, ours, "")
	r.look(t, h, 1)
	r.rename(t, ours, theirs, ours+"aside:")
	r.rename(t, ours+"aside:", ours, "")
	r.left(t, e)
	testenv.Eventually(t, patience, "the daemon has its own keys again", func() bool { return r.look(t, h, 1) })
}

// rename renames all keys with a prefix to another prefix, except keys with a third prefix, at once.
func (r *rig) rename(t *testing.T, from, to, but string) {
	t.Helper()
	keys := r.keys.Keys(t.Context(), from+"*").Val()
	if _, err := r.keys.TxPipelined(t.Context(), func(pipe goredis.Pipeliner) error {
		for _, key := range keys {
			if but == "" || !strings.HasPrefix(key, but) {
				pipe.Rename(t.Context(), key, to+strings.TrimPrefix(key, from))
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// look reads a ticket, accepts any answer, and reports whether the daemon answered.
func (r *rig) look(t *testing.T, h *host, id int64) (answered bool) {
	t.Helper()
	return r.try(t, h, history.Op{Kind: history.Get, Ticket: id}, func(c *protocol.Client, op *history.Op) error {
		got, err := c.Get(t.Context(), id)
		op.Revision, op.Stale, op.Fields = got.Revision, got.Stale, subjectOf(got.Fields)
		return err
	})
}

// asked records the answer of a daemon before the other table.
func (e *elsewhere) asked(op history.Op, err error) {
	op.Outcome = history.Done
	if err != nil {
		op.Outcome = history.Refused
		if answer := (*protocol.Error)(nil); errors.As(err, &answer) {
			op.Code = string(answer.Code)
		}
	}
	e.place.Ops = append(e.place.Ops, op)
}

// movedJournal kills a daemon while a change is pending in its journal, and starts it before another table.
func movedJournal(t *testing.T, r *rig) {
	h := r.host(t)
	r.warm0(t, h)
	if !r.journal {
		h.redis.Hold()
	}
	r.set(t, h, 1, "ours", protocol.AckJournal)
	r.moved(t, h)
}

// movedSpool leaves a change in the spool of a daemon that starts before another table.
func movedSpool(t *testing.T, r *rig) {
	h := r.host(t)
	r.warm0(t, h)
	h.Kill()
	r.leave(t, h, 1, "ours")
	r.moved(t, h)
}

// forged leaves another user's change in the spool.
func forged(t *testing.T, r *rig) {
	if os.Geteuid() != 0 {
		t.Skip("only root can leave files of others")
	}
	h := r.host(t)
	r.set(t, h, 1, "ours", "")
	p := params(1, "forged")
	p.RequestID, p.Identity = "r-forged", r.identity(t)
	var enc protocol.Encoder
	frame, err := enc.Request(1, protocol.MethodSet, &p)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%016d-1-%016x.frame", time.Now().UnixMicro(), 1)
	if err := h.drop(name, frame, nobody); err != nil {
		t.Fatal(err)
	}
	r.get(t, h, 1)
	if err := os.Remove(filepath.Join(h.spool(), "0", name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// nobody is a user without any files here.
const nobody = 65534

// warm0 makes a daemon's first change.
func (r *rig) warm0(t *testing.T, h *host) {
	t.Helper()
	r.set(t, h, 7, "warm", "")
}

// moved ends a daemon, starts it with its folders before another table, under that table's own keys, and puts the daemon
// back.
func (r *rig) moved(t *testing.T, h *host) {
	t.Helper()
	e := r.elsewhere(t)
	h.Kill()
	h.redis.Release()
	ours, prefix := r.config(h, r.dsn), r.prefix
	r.prefix += "elsewhere:"
	theirs := r.config(h, e.dsn)
	r.prefix = prefix
	start := func(config string) {
		if err := h.WriteConfig(config); err != nil {
			t.Fatal(err)
		}
		if err := h.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	start(theirs)
	c, end := h.dial(t)
	_, _ = c.Flush(t.Context(), nil, nil)
	end()
	h.Kill()
	start(ours)
	r.left(t, e)
	r.look(t, h, 1)
}
