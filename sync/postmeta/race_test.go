package postmeta_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/postmeta"
)

// once calls f before the first step of that name.
func (d *desk) once(step string, f func()) {
	var once sync.Once
	d.sink.OnStep(func(name string) {
		if name == step {
			once.Do(f)
		}
	})
}

// Four daemons write a post without rows: a row for each key, at the last revision, although the table has no unique key.
func TestFourWriters(t *testing.T) {
	t.Parallel()
	const writers, writes = 4, 25
	server, name := testenv.SharedMariaDB(t)
	d := openDesk(t, tickets(), server.DSN(name), server.DSN(name), true)
	d.posts(t, 812)
	var all sync.WaitGroup
	for n := range writers {
		sink := d.sink
		if n > 0 {
			sink = openDesk(t, tickets(), server.DSN(name), server.DSN(name), false).sink
		}
		all.Go(func() {
			for i := range writes {
				revision := ticket.Revision(i*writers + n + 1)
				for stored := false; !stored; {
					results, err := sink.Write(context.WithoutCancel(t.Context()), []store.Claim{
						set(812, revision, "status", fmt.Sprint(revision), "assignee", fmt.Sprint(revision)),
					})
					if err != nil || results[0].Refused != nil {
						t.Errorf("write: %+v (%v)", results, err)
						return
					}
					stored = results[0].Later == nil
				}
			}
		})
	}
	all.Wait()
	d.wantRows(t, 812, "_wpas_assignee=100 _wpas_status=100")
	d.wantSide(t, 812, "100")
}

// INSERTs and other statements of other plugins do not wait while a flush holds its locks.
func TestNobodyWaitsForAFlush(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 811, 812, 813)
	d.meta(t, 812, "_wpas_status", "open")
	d.once("commit", func() {
		conn, err := d.sql.Conn(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		for _, query := range []string{
			"SET innodb_lock_wait_timeout=1",
			"INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (811,'_x','1')",
			"INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (812,'_x','1')",
			"INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (813,'_x','1')",
			"INSERT INTO wp_posts (ID,post_title,post_type) VALUES (900,'','ticket')",
			"INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (900,'_wpas_status','new')",
			"UPDATE wp_postmeta SET meta_value='2' WHERE post_id=811 AND meta_key='_x'",
			"UPDATE wp_posts SET post_title='x' WHERE ID=811",
		} {
			if _, err := conn.ExecContext(t.Context(), query); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
	})
	d.stored(t, 5, set(812, 5, "status", "closed", "assignee", "7"), set(813, 5, "status", "open"),
		set(899, 5, "status", "open"))
	d.wantRows(t, 900, "_wpas_status=new")
}

// A post that is deleted while a flush is under way leaves no row.
func TestPostDeletedDuringAFlush(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1, 2)
	d.meta(t, 1, "_wpas_status", "open")
	d.once("posts", func() { // between the look-up of the rows and the lock of the post, as wp_delete_post does
		d.exec(t, "DELETE FROM wp_postmeta WHERE post_id=1")
		d.exec(t, "DELETE FROM wp_posts WHERE ID=1")
	})
	d.stored(t, 5, set(1, 5, "status", "closed", "assignee", "7"), set(2, 5, "status", "open"))
	d.wantRows(t, 1, "")
	d.wantRows(t, 2, "_wpas_status=open")
	// The same with all rows there: the update by meta_id does not bring one back.
	d.posts(t, 3)
	d.meta(t, 3, "_wpas_status", "open")
	d.once("posts", func() {
		d.exec(t, "DELETE FROM wp_postmeta WHERE post_id=3")
		d.exec(t, "DELETE FROM wp_posts WHERE ID=3")
	})
	d.stored(t, 5, set(3, 5, "status", "closed"))
	d.wantRows(t, 3, "")
}

// A flush that is killed before its commit has written nothing, and its repetition writes all.
func TestKilledBeforeTheCommit(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1)
	d.meta(t, 1, "_wpas_status", "open")
	d.once("commit", func() {
		for id := range strings.FieldsSeq(d.list(t, "SELECT id FROM information_schema.processlist WHERE db=DATABASE() AND "+
			"id<>CONNECTION_ID()")) {
			_, _ = d.sql.ExecContext(t.Context(), "KILL "+id) // one of them may be this client's other connection
		}
	})
	if results, err := d.sink.Write(t.Context(), []store.Claim{set(1, 5, "status", "closed", "assignee", "7")}); err == nil {
		t.Fatalf("the write of a killed connection succeeded: %+v", results)
	}
	d.wantRows(t, 1, "_wpas_status=open")
	d.wantSide(t, 1, "")
	d.stored(t, 5, set(1, 5, "status", "closed", "assignee", "7"))
	d.wantRows(t, 1, "_wpas_assignee=7 _wpas_status=closed")
}

// A commit whose reply is lost has written all; the repetition changes nothing, not even what others have written since.
func TestLostReplyOfTheCommit(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	proxy := testenv.NewProxy(t, server.Socket(), 0)
	dsn := strings.Replace(server.DSN(name), server.Socket(), proxy.Socket(), 1)
	d := openDesk(t, tickets(), dsn+"?readTimeout=500ms", server.DSN(name), true)
	d.posts(t, 1)
	d.once("commit", proxy.Hold) // the server gets the COMMIT when the client has given up
	claim := set(1, 5, "status", "closed")
	results, err := d.sink.Write(t.Context(), []store.Claim{claim})
	if err == nil {
		t.Fatalf("a write without a reply succeeded: %+v", results)
	}
	proxy.Release()
	testenv.Eventually(t, 10*time.Second, "the commit has its effect", func() bool { return d.rows(t, 1) == "_wpas_status=closed" })
	d.exec(t, "UPDATE wp_postmeta SET meta_value='theirs'")
	d.stored(t, 5, claim)
	d.wantRows(t, 1, "_wpas_status=theirs")
	d.wantSide(t, 1, "5")
}

// A row that another client holds locked is left for later, and holds up no other.
func TestALockedRowIsLeft(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1, 2, 3)
	for id := 1; id <= 3; id++ {
		d.meta(t, id, "_wpas_status", "open")
	}
	tx, err := d.sql.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "UPDATE wp_postmeta SET meta_value='theirs' WHERE meta_id=2"); err != nil {
		t.Fatal(err)
	}
	results := d.write(t, set(1, 5, "status", "a"), set(2, 5, "status", "b"), set(3, 5, "status", "c"))
	for i, r := range results {
		if (r.Later != nil) != (i == 1) || r.Refused != nil {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	if n := d.sink.Conflicts(); n != 1 {
		t.Errorf("%d lock waits, want 1: the locked row is looked for, not found by halving", n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	d.stored(t, 5, set(2, 5, "status", "b"))
	d.wantRows(t, 2, "_wpas_status=b")
}

// Fifty tickets are flushed while other plugins add meta to new posts and WordPress updates the same tickets: no error reaches
// WordPress, and all changes arrive.
func TestFlushesBesideOthers(t *testing.T) {
	t.Parallel()
	const posts = 50
	d := newDesk(t, tickets())
	for id := 1; id <= posts; id++ {
		d.posts(t, id)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for n := 1000; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, query := range []string{
				fmt.Sprintf("INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (%d,'_x','1')", n),
				fmt.Sprintf("UPDATE wp_postmeta SET meta_value='%d' WHERE post_id=%d AND meta_key='_y'", n, n%posts+1),
				fmt.Sprintf("INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (%d,'_y','1')", n%posts+1),
			} {
				if _, err := d.sql.ExecContext(context.WithoutCancel(t.Context()), query); err != nil {
					t.Errorf("%s: %v", query, err)
				}
			}
		}
	})
	for revision := ticket.Revision(1); revision <= 10; revision++ {
		var claims []store.Claim
		for id := ticket.ID(1); id <= posts; id++ {
			claims = append(claims, set(id, revision, "status", fmt.Sprint(revision), "assignee", "7", "last_reply", "NULL"))
		}
		for i, r := range d.write(t, claims...) {
			if r.Revision != revision || r.Refused != nil || r.Later != nil {
				t.Fatalf("result %d: %+v", i, r)
			}
		}
	}
	close(stop)
	others.Wait()
	if got := one(t.Context(), d.sql, "SELECT GROUP_CONCAT(DISTINCT n) FROM (SELECT COUNT(*) AS n FROM wp_postmeta WHERE meta_key "+
		"LIKE '!_wpas!_%' ESCAPE '!' GROUP BY post_id,meta_key) AS counted"); got != "1" {
		t.Errorf("rows of a key: %s, want 1", got)
	}
}

// The tables are missing, or not WordPress': the sink pauses and parks nothing.
func TestMissingTables(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1)
	d.stored(t, 5, set(1, 5, "status", "open"))
	d.exec(t, "RENAME TABLE wp_ticketd_revisions TO aside")
	if results, err := d.sink.Write(t.Context(), []store.Claim{set(1, 6, "status", "closed")}); err == nil {
		t.Fatalf("written without the side table: %+v", results)
	}
	d.exec(t, "RENAME TABLE aside TO wp_ticketd_revisions")
	d.stored(t, 6, set(1, 6, "status", "closed"))
	d.exec(t, "DROP TABLE wp_ticketd_revisions")
	done, err := d.db.Migrate(t.Context(), mysql.MigrateOptions{})
	if err != nil || len(done) != 1 {
		t.Errorf("migrated %q (%v)", done, err)
	}
	engines, err := d.db.Engines(t.Context(), d.config.Tables()...)
	if err != nil || len(engines) != 3 || engines["wp_ticketd_revisions"] != "InnoDB" {
		t.Errorf("engines %v (%v)", engines, err)
	}
	var none postmeta.Config
	none.Type, none.Prefix = postmeta.Post, "other_"
	table, key := none.Name()
	server, name := testenv.SharedMariaDB(t)
	db, err := mysql.Open(mysql.Config{DSN: server.DSN(name), Table: table, Key: key, Layout: none.Layout()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err == nil || !strings.Contains(err.Error(), "table_prefix") {
		t.Errorf("migrate without WordPress: %v", err)
	}
}
