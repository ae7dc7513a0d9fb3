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

func metaRows(t *testing.T, db *sql.DB, id int) string {
	t.Helper()
	var all sql.NullString
	err := db.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(meta_key,'=',COALESCE(meta_value,'NULL') ORDER BY meta_key,meta_id "+
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
			c := r.dial(t)
			change := func(id int64, fields ...string) {
				t.Helper()
				p := protocol.SetParams{ID: id}
				for i := 0; i < len(fields); i += 2 {
					p.Fields = append(p.Fields, protocol.Field{Name: fields[i], Value: protocol.Text(fields[i+1])})
				}
				if _, err := c.Set(ctx, p); err != nil {
					t.Fatal(err)
				}
			}
			field := func(id int64, name string) string {
				t.Helper()
				got, err := c.Get(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				v, _ := got.Fields.Get(name)
				return v.Text()
			}
			change(1, "status", "open", "assignee", "7")
			if got := metaRows(t, r.db, 1); got != "" {
				t.Fatalf("in MySQL before the flush: %s", got)
			}
			waiting, err := c.Waiting(ctx, []int64{2, 1})
			if err != nil || waiting.Stale || waiting.Tickets[0] != nil || len(waiting.Tickets[1].Fields) != 2 {
				t.Fatalf("waiting %+v (%v)", waiting, err)
			}
			if got := field(1, "status"); got != "open" {
				t.Errorf("get: %q", got)
			}
			if _, err := c.Flush(ctx, nil, nil); err != nil {
				t.Fatal(err)
			}
			if got := metaRows(t, r.db, 1); got != "_wpas_assignee=7 _wpas_status=open" {
				t.Errorf("after the flush: %s", got)
			}
			// Another plugin writes the row: the store's copy of the value does not count.
			if _, err := r.db.ExecContext(ctx, "UPDATE wp_postmeta SET meta_value='theirs' WHERE meta_key='_wpas_assignee'"); err != nil {
				t.Fatal(err)
			}
			change(1, "status", "closed")
			if status, assignee := field(1, "status"), field(1, "assignee"); status != "closed" || assignee != "theirs" {
				t.Errorf("get: status %q, assignee %q", status, assignee)
			}
			waiting, err = c.Waiting(ctx, []int64{1})
			if err != nil || len(waiting.Tickets[0].Fields) != 1 || waiting.Tickets[0].Fields[0].Name != "status" {
				t.Errorf("waiting %+v (%v), want the status alone", waiting.Tickets[0], err)
			}
			if _, err := c.Flush(ctx, []int64{1}, nil); err != nil {
				t.Fatal(err)
			}
			if got := metaRows(t, r.db, 1); got != "_wpas_assignee=theirs _wpas_status=closed" {
				t.Errorf("after the second flush: %s", got)
			}
			// WordPress deletes a post while a change waits.
			change(2, "status", "open")
			if _, err := r.db.ExecContext(ctx, "DELETE FROM wp_posts WHERE ID=2"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Delete(ctx, 2, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Flush(ctx, nil, nil); err != nil {
				t.Fatal(err)
			}
			for _, id := range []int64{2, 3, 99} { // deleted, another type, none
				if _, err := c.Get(ctx, id); !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
					t.Errorf("get of %d: %v", id, err)
				}
			}
			if _, err := c.Set(ctx, set(2, "status", "late")); !errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
				t.Errorf("a change of a deleted post: %v", err)
			}
			if got := metaRows(t, r.db, 2); got != "" {
				t.Errorf("meta of a deleted post: %s", got)
			}
			refuseMeta(t, ctx, c)
			d, err := c.Describe(ctx)
			if err != nil || d.Kind != protocol.KindPostMeta || d.Keys["status"] != "_wpas_status" || d.Posts["updated_at"] !=
				"post_modified" || d.Types["status"] != "text" || d.Types["updated_at"] != "datetime" || d.PostTypes[0] != "ticket" ||
				!d.AddsBehind || d.QueryWait != 250*time.Millisecond || !strings.HasSuffix(d.Table, ".wp_postmeta") {
				t.Errorf("describe %+v (%v)", d, err)
			}
			// The site is found by its table, and never by that of support tickets.
			c.Table = d.Table
			if _, err := c.Get(ctx, 1); err != nil {
				t.Error(err)
			}
			c.Table = strings.Replace(d.Table, "wp_postmeta", "wp_support_tickets", 1)
			if _, err := c.Get(ctx, 1); !errors.Is(err, &protocol.Error{Code: protocol.CodeForbidden}) {
				t.Errorf("get by the name of a table of tickets: %v", err)
			}
		})
	}
}

// refuseMeta demands that what WordPress does itself is refused with a sentence, and values that MySQL would change, too.
func refuseMeta(t *testing.T, ctx context.Context, c *protocol.Client) {
	t.Helper()
	_, created := c.Create(ctx, []protocol.Field{{Name: "status", Value: protocol.Text("open")}}, "")
	_, listed := c.List(ctx, protocol.ListParams{})
	_, counted := c.Count(ctx, protocol.Selection{})
	for what, err := range map[string]error{"create": created, "list": listed, "count": counted} {
		if !errors.Is(err, &protocol.Error{Code: protocol.CodeInvalid}) || !strings.Contains(err.Error(), "WordPress") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, p := range []protocol.SetParams{
		set(1, "priority", "2"), set(1, "status", strings.Repeat(" ", 1<<20+1)), set(1, "updated_at", "yesterday"),
	} {
		if _, err := c.Set(ctx, p); !errors.Is(err, &protocol.Error{Code: protocol.CodeInvalid}) {
			t.Errorf("set of %s: %v", p.Fields[0].Name, err)
		}
	}
	if _, err := c.Set(ctx, protocol.SetParams{ID: 99, MustExist: true, Fields: set(99, "status", "x").Fields}); !errors.Is(err,
		&protocol.Error{Code: protocol.CodeNotFound}) {
		t.Errorf("a change that needs a post: %v", err)
	}
	got, err := c.Get(ctx, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(ctx, protocol.SetParams{ID: 4, IfRevision: got.Revision, Fields: set(4, "status", "x").Fields}); err != nil {
		t.Errorf("a condition on what was read: %v", err)
	}
	_, err = c.Set(ctx, protocol.SetParams{ID: 4, IfRevision: got.Revision, Fields: set(4, "status", "y").Fields})
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
	if got := metaRows(t, r.db, 1); got != "_wpas_status=closed" {
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
