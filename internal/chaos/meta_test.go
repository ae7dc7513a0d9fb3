package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Sites of post meta have a rule of their own: in the end the rows of wp_postmeta are those that WordPress itself would have
// written. Each writer owns its posts and tells from the daemon's answers which values a key may have in the end.

const (
	metaWriters  = 4
	metaPosts    = 6 // of a writer at a time
	metaKinds    = "status assignee note"
	metaPatience = 90 * time.Second
	metaDelay    = 15 * time.Millisecond // of the data of a statement
)

// metaDesk are daemons with a site of post meta, before servers that are killed.
type metaDesk struct {
	daemons []*testenv.Ticketd
	sockets []string
	mariadb *testenv.MariaDB
	redis   *testenv.Redis // nil: the journal is the store
	db      *sql.DB
}

func newMetaDesk(t *testing.T, withRedis bool) *metaDesk {
	t.Helper()
	d := &metaDesk{mariadb: testenv.NewMariaDB(t, testenv.MariaDBOptions{})}
	const name = "meta"
	if err := d.mariadb.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	d.db = d.mariadb.DB(t, name)
	d.db.SetMaxIdleConns(-1) // closing a connection to a server that was killed meanwhile fails
	for _, statement := range []string{
		"CREATE TABLE wp_posts (ID bigint unsigned NOT NULL auto_increment PRIMARY KEY, post_type varchar(20) NOT NULL)",
		"CREATE TABLE wp_postmeta (meta_id bigint unsigned NOT NULL auto_increment PRIMARY KEY, post_id bigint unsigned NOT NULL, " +
			"meta_key varchar(255), meta_value longtext, KEY post_id (post_id), KEY meta_key (meta_key(191)))",
	} {
		if _, err := d.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	redis, hosts := "", 1
	if withRedis {
		d.redis = testenv.NewRedis(t, durable)
		// Without journals, so that Redis alone orders the changes of both hosts: a journal's changes come later than they are
		// acknowledged.
		redis, hosts = fmt.Sprintf("[journal]\nenabled = false\n[redis]\naddr = %q\n", "unix://"+d.redis.Socket()), 2
	}
	// The delay makes a flush long, so that many faults come in the middle of one.
	proxy := testenv.NewProxy(t, d.mariadb.Socket(), metaDelay)
	for range hosts {
		d.start(t, redis, strings.Replace(d.mariadb.DSN(name), d.mariadb.Socket(), proxy.Socket(), 1))
	}
	return d
}

// start starts a daemon.
func (d *metaDesk) start(t *testing.T, redis, dsn string) {
	t.Helper()
	dir := testenv.Folder(t)
	socket := filepath.Join(dir, "d.sock")
	config := fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\n%s[sites.main]\ndsn = %q\nkind = \"postmeta\"\n"+
		"post_types = [\"ticket\"]\nkeys = { status = \"_status\", assignee = \"_assignee\", note = \"_note\" }\nlinger = \"20ms\"\n"+
		"lease = \"1s\"\n", socket, dir, redis, dsn)
	file := filepath.Join(dir, "migrate.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), ticketdBinary(t), "migrate", "--config", file).CombinedOutput(); err != nil {
		t.Fatalf("ticketd migrate: %v\n%s", err, out)
	}
	d.daemons = append(d.daemons, testenv.NewTicketdOf(t, ticketdBinary(t), testenv.TicketdOptions{Config: config}))
	d.sockets = append(d.sockets, socket)
}

// metaPost is what a writer knows of a post: the last acknowledged value of each field, and the values without an answer. A
// daemon that was paused may make such a change later, above acknowledged ones.
type metaPost struct {
	id      int64
	last    map[string]string
	maybe   map[string][]string
	deleted bool
}

// metaWriter changes its own posts, one call at a time.
type metaWriter struct {
	d     *metaDesk
	r     *rand.Rand
	n     int
	posts []*metaPost
	all   []*metaPost
	next  int64
	host  int
	c     *protocol.Client
	done  int
}

func (w *metaWriter) run(ctx context.Context) {
	defer func() {
		if w.c != nil {
			_ = w.c.Close()
		}
	}()
	for ctx.Err() == nil {
		w.n++
		switch {
		case len(w.posts) < metaPosts:
			w.make(ctx)
		case w.r.IntN(40) == 0:
			w.remove(ctx)
		case w.r.IntN(6) == 0: // a change that is lost shows only in a post that is not changed again
			at := w.r.IntN(len(w.posts))
			w.posts = slices.Delete(w.posts, at, at+1)
		default:
			w.change(ctx)
		}
		time.Sleep(time.Duration(w.r.IntN(5)) * time.Millisecond)
	}
}

// make makes a post as WordPress does, in SQL.
func (w *metaWriter) make(ctx context.Context) {
	id := w.next
	if _, err := w.d.db.ExecContext(ctx, "INSERT IGNORE INTO wp_posts (ID,post_type) VALUES (?,'ticket')", id); err != nil {
		return
	}
	w.next++
	p := &metaPost{id: id, last: map[string]string{}, maybe: map[string][]string{}}
	w.posts, w.all = append(w.posts, p), append(w.all, p)
}

// call makes a call with a connection that is made again after a fault.
func (w *metaWriter) call(ctx context.Context, do func(ctx context.Context, c *protocol.Client) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if w.c == nil {
		w.host++
		c, err := protocol.Dial(ctx, w.d.sockets[w.host%len(w.d.sockets)])
		if err != nil {
			return err
		}
		w.c = c
	}
	err := do(ctx, w.c)
	if errors.Is(err, protocol.ErrBroken) {
		_ = w.c.Close()
		w.c = nil
	}
	return err
}

func (w *metaWriter) change(ctx context.Context) {
	p := w.posts[w.r.IntN(len(w.posts))]
	set := protocol.SetParams{ID: p.id}
	for field := range strings.FieldsSeq(metaKinds) {
		if w.r.IntN(2) == 0 {
			set.Fields = append(set.Fields, protocol.Field{Name: field, Value: protocol.Text(fmt.Sprintf("%d.%d", p.id, w.n))})
		}
	}
	if len(set.Fields) == 0 {
		return
	}
	if w.n%50 == 0 && w.c != nil { // now and then the other host
		_ = w.c.Close()
		w.c = nil
	}
	err := w.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		_, err := c.Set(ctx, set)
		return err
	})
	var refused *protocol.Error
	for _, f := range set.Fields {
		switch {
		case err == nil:
			p.last[f.Name] = f.Value.Text()
		case errors.As(err, &refused) && refused.Code != protocol.CodeUnavailable: // not made
		default:
			p.maybe[f.Name] = append(p.maybe[f.Name], f.Value.Text())
		}
	}
	if err == nil {
		w.done++
	}
}

// remove deletes a post as wp_delete_post does: the meta, the post, and then the plugin's call.
func (w *metaWriter) remove(ctx context.Context) {
	at := w.r.IntN(len(w.posts))
	p := w.posts[at]
	for _, query := range []string{"DELETE FROM wp_postmeta WHERE post_id=?", "DELETE FROM wp_posts WHERE ID=?"} {
		for { // a page that has failed is loaded again
			if _, err := w.d.db.ExecContext(context.WithoutCancel(ctx), query, p.id); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	p.deleted = true
	w.posts = slices.Delete(w.posts, at, at+1)
	for {
		err := w.call(ctx, func(ctx context.Context, c *protocol.Client) error {
			_, err := c.Delete(ctx, p.id, "")
			return err
		})
		if err == nil || errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
			return
		}
		time.Sleep(20 * time.Millisecond) // as the spool repeats it
	}
}

// plague kills the servers in turn and starts them again.
func (d *metaDesk) plague(ctx context.Context, t *testing.T, r *rand.Rand) (faults int) {
	for {
		select {
		case <-ctx.Done():
			return faults
		case <-time.After(300*time.Millisecond + time.Duration(r.IntN(700))*time.Millisecond):
		}
		faults++
		daemon := d.daemons[r.IntN(len(d.daemons))]
		var err error
		switch n := r.IntN(5); {
		case n == 0:
			d.mariadb.Kill()
			err = d.mariadb.Restart(context.WithoutCancel(ctx))
		case n == 1 && d.redis != nil:
			d.redis.Kill()
			err = d.redis.Restart(context.WithoutCancel(ctx))
		case n <= 2 && len(d.daemons) > 1: // for longer than its leases: the other daemon flushes its claims
			if err = daemon.Pause(); err == nil {
				time.Sleep(1500 * time.Millisecond)
				err = daemon.Resume()
			}
		default:
			daemon.Kill()
			err = daemon.Restart(context.WithoutCancel(ctx))
		}
		if err != nil {
			t.Error(err)
			return faults
		}
	}
}

// Rows equal core's: after kills and pauses of daemons, MySQL and Redis, each key of each post has one row with the last
// acknowledged value, a deleted post has none, and what other plugins wrote is there.
//
//nolint:paralleltest // beside other tests it would be too much for two processors
func TestMetaRowsEqualCores(t *testing.T) {
	for name, withRedis := range map[string]bool{"Redis": true, "Journal": false} {
		t.Run(name, func(t *testing.T) {
			number := seed(t)
			d := newMetaDesk(t, withRedis)
			ctx, cancel := context.WithTimeout(t.Context(), max(duration(t)/6, 5*time.Second))
			defer cancel()
			var writers []*metaWriter
			var all sync.WaitGroup
			for i := range metaWriters {
				w := &metaWriter{d: d, r: rand.New(rand.NewPCG(uint64(number), uint64(i))), next: int64(i+1) * 1_000_000}
				writers = append(writers, w)
				all.Go(func() { w.run(ctx) })
			}
			others := 0
			all.Go(func() { // another plugin
				for ctx.Err() == nil {
					const insert = "INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (7,'_other','x')"
					if _, err := d.db.ExecContext(ctx, insert); err == nil {
						others++
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
			faults := d.plague(ctx, t, rand.New(rand.NewPCG(uint64(number), 99)))
			all.Wait()
			d.wantRows(t, writers, others)
			done := 0
			for _, w := range writers {
				done += w.done
			}
			t.Logf("TICKETD_TEST_SEED=%d: %d faults, %d changes acknowledged, %d rows of another plugin", number, faults, done, others)
		})
	}
}

// wantRows flushes and compares all rows.
func (d *metaDesk) wantRows(t *testing.T, writers []*metaWriter, others int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), metaPatience)
	defer cancel()
	if err := testenv.Until(ctx, func() error {
		w := &metaWriter{d: d}
		return w.call(ctx, func(ctx context.Context, c *protocol.Client) error {
			if _, err := c.Flush(ctx, nil, nil); err != nil {
				return err
			}
			status, err := c.Status(ctx)
			if err == nil && status.Dirty+status.Dead > 0 {
				err = fmt.Errorf("%d dirty, %d dead", status.Dirty, status.Dead)
			}
			return err
		})
	}); err != nil {
		t.Fatalf("not settled: %v", err)
	}
	have := map[int64]map[string][]string{}
	rows, err := d.db.QueryContext(ctx, "SELECT post_id,meta_key,meta_value FROM wp_postmeta ORDER BY meta_id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var key, value string
		if err := rows.Scan(&id, &key, &value); err != nil {
			t.Fatal(err)
		}
		if have[id] == nil {
			have[id] = map[string][]string{}
		}
		have[id][key] = append(have[id][key], value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if n := len(have[7]["_other"]); n < others {
		t.Errorf("%d rows of another plugin, want %d", n, others)
	}
	for _, w := range writers {
		for _, p := range w.all {
			for field := range strings.FieldsSeq(metaKinds) {
				got := have[p.id]["_"+field]
				last, wrote := p.last[field]
				switch {
				case p.deleted && len(got) > 0:
					t.Errorf("post %d is deleted and has %s=%q", p.id, field, got)
				case p.deleted, !wrote && len(got) == 0:
				case len(got) != 1 || got[0] != last && !slices.Contains(p.maybe[field], got[0]):
					t.Errorf("post %d: rows of %s are %q, WordPress would have one with %q (or %q)", p.id, field, got, last, p.maybe[field])
				}
			}
		}
	}
}
