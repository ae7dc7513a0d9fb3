package chaos

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
)

// neighbours are the sites and tables beside a site, which the site must not touch.
type neighbours struct {
	// second is another site with the same Redis and MariaDB. Both sites go through the same faults.
	second *site
	// elsewhere is a site that is only a table: daemons with the first site's journal and spool start before the table.
	elsewhere *site
	theirs    []history.Row // elsewhere's rows at the beginning
	// copied is a server with a copy of the first site's table, before which a daemon with the first site's configuration stands.
	copied   *testenv.MariaDB
	copiedDB *sql.DB
	folder   string

	mu     sync.Mutex
	number int
	places []history.Place
}

// newNeighbours makes the neighbours of a site.
func newNeighbours(t *testing.T, s *site) *neighbours {
	t.Helper()
	n := &neighbours{folder: testenv.Folder(t)}
	n.second = &site{
		topology: topology{name: "second", number: 7, hosts: 1, redis: s.redis}, rec: newRecorder(),
		mariadb: s.mariadb, single: s.single, place: s.place,
		database: "second", table: "wp_support_tickets", keyPrefix: "second:",
	}
	n.second.migrate(t)
	n.second.hosts = []*host{newHost(t, n.second, 0)}
	n.second.identity = n.second.readIdentity(t)
	n.elsewhere = &site{
		topology: s.topology, mariadb: s.mariadb, single: s.single, place: s.place,
		database: "elsewhere", table: s.table, keyPrefix: "elsewhere:",
	}
	n.elsewhere.migrate(t)
	n.elsewhere.must(t, "INSERT INTO "+s.table+" ("+s.key()+", "+s.column("subject")+") VALUES (1, 'theirs'), (2000, 'theirs')")
	rows, err := n.elsewhere.rowsIn(t.Context(), n.elsewhere.db)
	if err != nil {
		t.Fatal(err)
	}
	n.theirs = rows
	n.copied = testenv.NewMariaDB(t, testenv.MariaDBOptions{TCP: true})
	s.statementOf(t, n.copied, "CREATE USER "+dbUser+"@'127.0.0.1'")
	if err := n.copied.CreateDatabase(t.Context(), s.database); err != nil {
		t.Fatal(err)
	}
	n.copiedDB = n.copied.DB(t, s.database)
	return n
}

// visit is a daemon before a table of another site, with a client that sends requests.
type visit struct {
	site   *site
	place  history.Place
	db     *sql.DB
	daemon *testenv.Ticketd
	host   *host
	ended  func()
}

// visitor starts the daemon of a host's folders before the table of a site. h has the daemon's own socket.
func (s *site) visitor(ctx context.Context, name string, h *host, of *site, dsn string) (*visit, error) {
	s.beside.mu.Lock()
	s.beside.number++
	dir := filepath.Join(s.beside.folder, strconv.Itoa(s.beside.number))
	s.beside.mu.Unlock()
	h.socket, h.metrics = filepath.Join(dir, "d.sock"), filepath.Join(dir, "m.sock")
	if h.dir == "" {
		h.dir, h.journal, h.spool = dir, filepath.Join(dir, "j"), filepath.Join(dir, "spool")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	binary, err := skewedBinary()
	if err != nil {
		return nil, err
	}
	daemon, err := testenv.StartTicketd(ctx, dir, binary, testenv.TicketdOptions{
		Config: h.config(of, s.single.Addr(), dsn), Env: h.env(),
	})
	if err != nil {
		return nil, err
	}
	return &visit{site: of, place: history.Place{Name: name}, daemon: daemon, host: h}, nil
}

// ask sends every kind of request to the daemon until the visit ends.
func (v *visit) ask(ctx context.Context, s *site, rec *recorder) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		calls := &goCaller{host: v.host}
		defer calls.close()
		number := rec.client()
		r := rand.New(rand.NewPCG(uint64(number), 3))
		for n := 1; ctx.Err() == nil; n++ {
			text := fmt.Sprintf("c%d-%d", number, n)
			op := &history.Op{
				Client: number, Via: "visitor", Tries: 1, Request: "r" + text[1:],
				Ticket: []int64{1 + r.Int64N(100), s.firstHot() + r.Int64N(hotTickets), s.firstCold() + r.Int64N(coldTickets)}[r.IntN(3)],
			}
			op.Kind = []history.Kind{history.Set, history.Get, history.Create, history.List, history.Delete}[n%5]
			if op.Kind == history.Set || op.Kind == history.Create {
				op.Fields = map[string]history.Value{"subject": &text}
			}
			if op.Kind == history.Create || op.Kind == history.List {
				op.Ticket = 0
			}
			op.Call = rec.now()
			calls.call(ctx, op)
			op.Return = rec.now()
			v.place.Ops = append(v.place.Ops, *op)
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	v.ended = func() { cancel(); <-done }
}

// end ends the daemon and records the final rows of the table.
func (v *visit) end(ctx context.Context, n *neighbours) error {
	if v.ended != nil {
		v.ended()
		v.ended = nil
	}
	if err := v.daemon.Stop(); err != nil {
		v.daemon.Kill()
	}
	rows, err := v.site.rowsIn(ctx, v.db)
	if err != nil {
		return err
	}
	v.place.After = rows
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.places { // changes of an earlier visitor may arrive later
		if v.place.Configured && n.places[i].Configured {
			v.place.Ops = append(v.place.Ops, n.places[i].Ops...)
		}
	}
	n.places = append(n.places, v.place)
	return nil
}

// cloned copies the site's table to another server, and starts a daemon for the copy with the site's configuration.
func (s *site) cloned() fault {
	var v *visit
	return fault{
		target: "the clone", part: "clone",
		apply: func(ctx context.Context) (err error) {
			n := s.beside
			if err := s.dump(ctx); err != nil {
				return err
			}
			before, err := s.rowsIn(ctx, n.copiedDB)
			if err != nil {
				return err
			}
			twin := *s
			v, err = s.visitor(ctx, "the clone", &host{clock: s.hosts[0].clock}, &twin, s.dsn(n.copied.Addr()))
			if err != nil {
				return err
			}
			v.db, v.place.Before = n.copiedDB, before
			v.ask(ctx, s, s.rec)
			return nil
		},
		heal: func(ctx context.Context) error {
			if v == nil {
				return nil
			}
			err := v.end(ctx, s.beside)
			if err == nil {
				v = nil
			}
			return err
		},
	}
}

// dump copies the site's database to the other server.
func (s *site) dump(ctx context.Context) error {
	var sql, stderr bytes.Buffer
	dump := exec.CommandContext(ctx, "mariadb-dump", "--no-defaults", "-u", "root", "--single-transaction",
		"-S", s.mariadb.Socket(), s.database)
	dump.Stdout, dump.Stderr = &sql, &stderr
	if err := dump.Run(); err != nil {
		return fmt.Errorf("mariadb-dump: %w\n%s", err, stderr.String())
	}
	restore := exec.CommandContext(ctx, "mariadb", "--no-defaults", "-u", "root", "-S", s.beside.copied.Socket(), s.database)
	restore.Stdin, restore.Stderr = &sql, &stderr
	if err := restore.Run(); err != nil {
		return fmt.Errorf("restoring the dump: %w\n%s", err, stderr.String())
	}
	return s.grantTo(ctx, s.beside.copiedDB)
}

// withoutRedis is how long a site's changes go into the journal before the journal is moved.
const withoutRedis = 300 * time.Millisecond

// moved kills a host's daemon while changes are pending in its journal and spool, and starts a daemon with the host's folders
// before another site's table.
func (s *site) moved(h *host) fault {
	var v *visit
	restart := process("", "kill", h.Ticketd).heal
	return fault{
		target: "folders of daemon 0", part: fmt.Sprintf("daemon %d", h.number),
		apply: func(ctx context.Context) (err error) {
			away := toxic(h.redis, "reset", 0)
			if err := away.apply(ctx); err != nil {
				return errors.Join(err, away.heal(ctx))
			}
			select {
			case <-ctx.Done():
			case <-time.After(withoutRedis):
			}
			h.Kill()
			if err := away.heal(ctx); err != nil {
				return err
			}
			of := s.beside.elsewhere
			moved := &host{dir: h.dir, journal: h.journal, spool: h.spool, clock: h.clock}
			v, err = s.visitor(ctx, "another site's table, under the journal and the spool", moved, of, of.dsn(s.mariadb.Addr()))
			if err != nil {
				return err
			}
			v.db, v.place.Before, v.place.Configured = of.db, s.beside.theirs, true
			v.ask(ctx, s, s.rec)
			return nil
		},
		heal: func(ctx context.Context) error {
			if v != nil {
				if err := v.end(ctx, s.beside); err != nil {
					return err
				}
				v = nil
			}
			return restart(ctx)
		},
	}
}
