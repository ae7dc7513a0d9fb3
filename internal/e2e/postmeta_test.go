package e2e

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// metaTables are WordPress' tables of posts and of users, as far as a site with meta needs them.
var metaTables = []string{
	`CREATE TABLE wp_posts (ID bigint unsigned NOT NULL auto_increment PRIMARY KEY, post_title text NOT NULL,
		post_status varchar(20) NOT NULL default 'publish', post_modified datetime NOT NULL default '2026-01-01 00:00:00',
		post_modified_gmt datetime NOT NULL default '2026-01-01 00:00:00', post_type varchar(20) NOT NULL default 'post')`,
	`CREATE TABLE wp_postmeta (meta_id bigint unsigned NOT NULL auto_increment PRIMARY KEY,
		post_id bigint unsigned NOT NULL default 0,
		meta_key varchar(255) default NULL, meta_value longtext, KEY post_id (post_id), KEY meta_key (meta_key(191)))`,
	`INSERT INTO wp_posts (ID,post_title,post_type) VALUES (1,'','ticket'),(2,'','ticket'),(3,'','page'),(4,'','ticket')`,
}

const metaSite = `kind = "postmeta"
post_types = ["ticket"]
keys = { status = "_wpas_status", assignee = "_wpas_assignee" }
posts = { updated_at = "post_modified" }
strategy = "interval"
period = "24h"
max_age = "24h"
`

func metaRows(ctx context.Context, t *testing.T, db *sql.DB, id int) string {
	t.Helper()
	var all sql.NullString
	err := db.QueryRowContext(ctx, "SELECT GROUP_CONCAT(meta_key,'=',COALESCE(meta_value,'NULL') ORDER BY meta_key,meta_id "+
		"SEPARATOR ' ') FROM wp_postmeta WHERE post_id=?", id).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all.String
}

// A site of post meta: changes wait, reads lay them over the rows as they are now, flushes bring them, posts stay WordPress'.
func TestPostMeta(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]rigOptions{
		"Redis": {}, "Journal": {noRedis: true}, "JournalBeforeRedis": {site: "ack = \"journal\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.site += metaSite
			o.tables = metaTables
			r := newRig(t, o)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			m := metaClient{r.dial(t), r.db}
			m.layOver(ctx, t)
			m.outliveNoPost(ctx, t)
			m.refuse(ctx, t)
			m.describe(ctx, t)
		})
	}
}

// metaClient changes the meta of posts, and looks at the rows.
type metaClient struct {
	*protocol.Client
	db *sql.DB
}

func (m metaClient) change(ctx context.Context, t *testing.T, id int64, fields ...string) {
	t.Helper()
	p := protocol.SetParams{ID: id}
	for i := 0; i < len(fields); i += 2 {
		p.Fields = append(p.Fields, protocol.Field{Name: fields[i], Value: protocol.Text(fields[i+1])})
	}
	if _, err := m.Set(ctx, p); err != nil {
		t.Fatal(err)
	}
}

func (m metaClient) field(ctx context.Context, t *testing.T, id int64, name string) string {
	t.Helper()
	got, err := m.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := got.Fields.Get(name)
	return v.Text()
}

func (m metaClient) exec(ctx context.Context, t *testing.T, query string) {
	t.Helper()
	if _, err := m.db.ExecContext(ctx, query); err != nil {
		t.Fatal(err)
	}
}

// flush flushes the posts, by default all, and demands the rows of one.
func (m metaClient) flush(ctx context.Context, t *testing.T, ids []int64, of int, want string) {
	t.Helper()
	if _, err := m.Flush(ctx, ids, nil); err != nil {
		t.Fatal(err)
	}
	if got := metaRows(ctx, t, m.db, of); got != want {
		t.Errorf("meta of post %d after a flush: %q, want %q", of, got, want)
	}
}

// layOver demands that the pending values of post 1, and these alone, are laid over the rows until a flush.
func (m metaClient) layOver(ctx context.Context, t *testing.T) {
	t.Helper()
	m.change(ctx, t, 1, "status", "open", "assignee", "7")
	if got := metaRows(ctx, t, m.db, 1); got != "" {
		t.Fatalf("in MySQL before the flush: %s", got)
	}
	waiting, err := m.Waiting(ctx, []int64{2, 1})
	if err != nil || waiting.Stale || waiting.Tickets[0] != nil || len(waiting.Tickets[1].Fields) != 2 {
		t.Fatalf("waiting %+v (%v)", waiting, err)
	}
	if got := m.field(ctx, t, 1, "status"); got != "open" {
		t.Errorf("get: %q", got)
	}
	m.flush(ctx, t, nil, 1, "_wpas_assignee=7 _wpas_status=open")
	// Another plugin writes the row: the store's copy of the value does not count.
	m.exec(ctx, t, "UPDATE wp_postmeta SET meta_value='theirs' WHERE meta_key='_wpas_assignee'")
	m.change(ctx, t, 1, "status", "closed")
	if status, assignee := m.field(ctx, t, 1, "status"), m.field(ctx, t, 1, "assignee"); status != "closed" || assignee != "theirs" {
		t.Errorf("get: status %q, assignee %q", status, assignee)
	}
	waiting, err = m.Waiting(ctx, []int64{1})
	if err != nil || len(waiting.Tickets[0].Fields) != 1 || waiting.Tickets[0].Fields[0].Name != "status" {
		t.Errorf("waiting %+v (%v), want the status alone", waiting.Tickets[0], err)
	}
	m.flush(ctx, t, []int64{1}, 1, "_wpas_assignee=theirs _wpas_status=closed")
}

// outliveNoPost demands that changes of post 2, which WordPress deletes while a change waits, leave no meta.
func (m metaClient) outliveNoPost(ctx context.Context, t *testing.T) {
	t.Helper()
	m.change(ctx, t, 2, "status", "open")
	m.exec(ctx, t, "DELETE FROM wp_posts WHERE ID=2")
	if _, err := m.Delete(ctx, 2, ""); err != nil {
		t.Fatal(err)
	}
	m.flush(ctx, t, nil, 2, "")
	for _, id := range []int64{2, 3, 99} { // deleted, another type, none
		if _, err := m.Get(ctx, id); !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
			t.Errorf("get of %d: %v", id, err)
		}
	}
	if _, err := m.Set(ctx, set(2, "status", "late")); !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
		t.Errorf("a change of a deleted post: %v", err)
	}
	if got := metaRows(ctx, t, m.db, 2); got != "" {
		t.Errorf("meta of a deleted post: %s", got)
	}
}

// describe demands the site's description. The site is found by its table, and never by that of support tickets.
func (m metaClient) describe(ctx context.Context, t *testing.T) {
	t.Helper()
	d, err := m.Describe(ctx)
	if err != nil || d.Kind != protocol.KindPostMeta || d.Keys["status"] != "_wpas_status" || d.Posts["updated_at"] !=
		"post_modified" || d.Types["status"] != "text" || d.Types["updated_at"] != "datetime" || d.PostTypes[0] != "ticket" ||
		!d.AddsBehind || d.QueryWait != 250*time.Millisecond || !strings.HasSuffix(d.Table, ".wp_postmeta") {
		t.Errorf("describe %+v (%v)", d, err)
	}
	m.Table = d.Table
	if _, err := m.Get(ctx, 1); err != nil {
		t.Error(err)
	}
	m.Table = strings.Replace(d.Table, "wp_postmeta", "wp_support_tickets", 1)
	if _, err := m.Get(ctx, 1); !errors.Is(err, &protocol.Error{Code: protocol.CodeForbidden}) {
		t.Errorf("get by the name of a table of tickets: %v", err)
	}
}

// refuse demands that what WordPress does itself is refused with a sentence, and values that MySQL would change, too.
func (m metaClient) refuse(ctx context.Context, t *testing.T) {
	t.Helper()
	_, created := m.Create(ctx, []protocol.Field{{Name: "status", Value: protocol.Text("open")}}, "")
	_, listed := m.List(ctx, protocol.ListParams{})
	_, counted := m.Count(ctx, protocol.Selection{})
	for what, err := range map[string]error{"create": created, "list": listed, "count": counted} {
		if !errors.Is(err, &protocol.Error{Code: protocol.CodeInvalid}) || !strings.Contains(err.Error(), "WordPress") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, p := range []protocol.SetParams{
		set(1, "priority", "2"), set(1, "status", strings.Repeat(" ", 1<<20+1)), set(1, "updated_at", "yesterday"),
	} {
		if _, err := m.Set(ctx, p); !errors.Is(err, &protocol.Error{Code: protocol.CodeInvalid}) {
			t.Errorf("set of %s: %v", p.Fields[0].Name, err)
		}
	}
	if _, err := m.Set(ctx, protocol.SetParams{ID: 99, MustExist: true, Fields: set(99, "status", "x").Fields}); !errors.Is(err,
		&protocol.Error{Code: protocol.CodeNotFound}) {
		t.Errorf("a change that needs a post: %v", err)
	}
	got, err := m.Get(ctx, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Set(ctx, protocol.SetParams{ID: 4, IfRevision: got.Revision, Fields: set(4, "status", "x").Fields}); err != nil {
		t.Errorf("a condition on what was read: %v", err)
	}
	_, err = m.Set(ctx, protocol.SetParams{ID: 4, IfRevision: got.Revision, Fields: set(4, "status", "y").Fields})
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeConflict}) {
		t.Errorf("a condition that does not hold any more: %v", err)
	}
}

// What was acknowledged before a kill is in the rows after the next start, each value once.
func TestPostMetaAcrossAKill(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: strings.Replace(metaSite, `"24h"`, `"100ms"`, 1), tables: metaTables, noRedis: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := r.dial(t)
	if _, err := c.Set(ctx, set(1, "status", "open")); err != nil {
		t.Fatal(err)
	}
	r.proxy.Hold() // the daemon dies in the middle of a flush
	if _, err := c.Set(ctx, set(1, "status", "closed")); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	r.proxy.Release()
	testenv.NewTicketd(t, testenv.TicketdOptions{Config: r.text})
	c = r.dial(t)
	if _, err := c.Flush(ctx, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := metaRows(ctx, t, r.db, 1); got != "_wpas_status=closed" {
		t.Errorf("after a kill: %s", got)
	}
}

// verify compares what is pending alone: rows that other programs have written differ from no copy that counts. It finds rows of
// posts that do not exist.
func TestVerifyOfPostMeta(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: metaSite, tables: metaTables})
	config := filepath.Join(filepath.Dir(r.socket), "verify.toml")
	writeFile(t, config, r.text)
	c := r.dial(t)
	for _, id := range []int64{1, 2} {
		if _, err := c.Set(t.Context(), set(id, "status", "open")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.ExecContext(t.Context(), "UPDATE wp_postmeta SET meta_value='theirs' WHERE post_id=1"); err != nil {
		t.Fatal(err)
	}
	if out, err := r.run(t, "verify", "--config", config); err != nil || !strings.Contains(out, "0 differ") {
		t.Errorf("nothing is wrong, but: %v\n%s", err, out)
	}
	if _, err := r.db.ExecContext(t.Context(), "DELETE FROM wp_posts WHERE ID=2"); err != nil {
		t.Fatal(err)
	}
	if out, err := r.run(t, "verify", "--config", config); err == nil || !strings.Contains(out, "post 2 does not exist") {
		t.Errorf("a row of a post that does not exist: %v\n%s", err, out)
	}
}
