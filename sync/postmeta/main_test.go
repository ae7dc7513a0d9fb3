package postmeta_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/postmeta"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// wordPress are the tables as WordPress 6.9 makes them (wp-admin/includes/schema.php).
const wordPress = `CREATE TABLE wp_posts (
	ID bigint(20) unsigned NOT NULL auto_increment, post_author bigint(20) unsigned NOT NULL default '0',
	post_date datetime NOT NULL default '2026-01-01 00:00:00', post_title text NOT NULL,
	post_status varchar(20) NOT NULL default 'publish', post_modified datetime NOT NULL default '2026-01-01 00:00:00',
	post_modified_gmt datetime NOT NULL default '2026-01-01 00:00:00', post_type varchar(20) NOT NULL default 'post',
	PRIMARY KEY (ID), KEY type_status_date (post_type,post_status,post_date,ID)) DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE wp_postmeta (
	meta_id bigint(20) unsigned NOT NULL auto_increment, post_id bigint(20) unsigned NOT NULL default '0',
	meta_key varchar(255) default NULL, meta_value longtext,
	PRIMARY KEY (meta_id), KEY post_id (post_id), KEY meta_key (meta_key(191))) DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE wp_users (
	ID bigint(20) unsigned NOT NULL auto_increment, user_login varchar(60) NOT NULL default '', PRIMARY KEY (ID)
	) DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE wp_usermeta (
	umeta_id bigint(20) unsigned NOT NULL auto_increment, user_id bigint(20) unsigned NOT NULL default '0',
	meta_key varchar(255) default NULL, meta_value longtext,
	PRIMARY KEY (umeta_id), KEY user_id (user_id), KEY meta_key (meta_key(191))) DEFAULT CHARACTER SET utf8mb4`

// desk is a WordPress with a site.
type desk struct {
	db     *mysql.DB
	sink   *postmeta.Sink
	tables *postmeta.Tables
	sql    *sql.DB // another client's
	config postmeta.Config
}

// tickets is the usual site.
func tickets() postmeta.Config {
	return postmeta.Config{Type: postmeta.Post, Prefix: "wp_", PostTypes: []string{"ticket"}, Keys: map[string]string{
		"status": "_wpas_status", "assignee": "_wpas_assignee", "last_reply": "_wpas_last_reply_date",
	}}
}

func newDesk(t *testing.T, config postmeta.Config) *desk {
	t.Helper()
	server, name := testenv.SharedMariaDB(t)
	return openDesk(t, config, server.DSN(name), server.DSN(name), true)
}

// openDesk opens a site by a DSN; other is another client's DSN.
func openDesk(t *testing.T, config postmeta.Config, dsn, other string, create bool) *desk {
	t.Helper()
	d := &desk{config: config}
	var err error
	if d.sql, err = sql.Open("mysql", other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.sql.Close() })
	if create {
		for statement := range strings.SplitSeq(wordPress, ";\n") {
			d.exec(t, statement)
		}
	}
	table, key := config.Name()
	d.db, err = mysql.Open(mysql.Config{DSN: dsn, Table: table, Key: key, Layout: config.Layout()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.db.Close() })
	if _, err := d.db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	d.sink, d.tables = postmeta.NewSink(d.db, config), postmeta.New(d.db, config)
	return d
}

func (d *desk) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := d.sql.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// posts makes tickets.
func (d *desk) posts(t *testing.T, ids ...int) {
	t.Helper()
	for _, id := range ids {
		d.exec(t, "INSERT INTO wp_posts (ID,post_title,post_type) VALUES (?,'',?)", id, "ticket")
	}
}

// meta adds a row and returns its id.
func (d *desk) meta(t *testing.T, id int, key string, value any) int64 {
	t.Helper()
	result, err := d.sql.ExecContext(t.Context(), "INSERT INTO wp_postmeta (post_id,meta_key,meta_value) VALUES (?,?,?)",
		id, key, value)
	if err != nil {
		t.Fatal(err)
	}
	added, _ := result.LastInsertId()
	return added
}

// rows shows a post's meta, in the order of the ids: "key=value", or "key" for NULL.
func (d *desk) rows(t *testing.T, id int) string {
	t.Helper()
	return d.list(t, "SELECT IF(meta_value IS NULL,meta_key,CONCAT(meta_key,'=',meta_value)) FROM wp_postmeta WHERE post_id=? "+
		"ORDER BY meta_key,meta_id", id)
}

func (d *desk) list(t *testing.T, query string, args ...any) string {
	t.Helper()
	rows, err := d.sql.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func (d *desk) side(t *testing.T, id int) string {
	t.Helper()
	return d.list(t, "SELECT CONCAT(revision,IF(deleted,' deleted','')) FROM wp_ticketd_revisions WHERE post_id=?", id)
}

func (d *desk) wantRows(t *testing.T, id int, want string) {
	t.Helper()
	if got := d.rows(t, id); got != want {
		t.Errorf("meta of %d: %q, want %q", id, got, want)
	}
}

func (d *desk) wantSide(t *testing.T, id int, want string) {
	t.Helper()
	if got := d.side(t, id); got != want {
		t.Errorf("revision of %d: %q, want %q", id, got, want)
	}
}

// set is a change with fields given as name, value, name, value; the value NULL is null.
func set(id ticket.ID, revision ticket.Revision, pairs ...string) store.Claim {
	c := store.Claim{ID: id, Revision: revision, Newest: revision}
	for i := 0; i < len(pairs); i += 2 {
		value := ticket.Text(pairs[i+1])
		if pairs[i+1] == "NULL" {
			value = ticket.Null
		}
		c.Fields = append(c.Fields, ticket.Field{Name: pairs[i], Value: value})
	}
	c.All = c.Fields
	return c
}

func (d *desk) write(t *testing.T, claims ...store.Claim) []flush.Result {
	t.Helper()
	results, err := d.sink.Write(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// stored writes and demands that each change is in the tables at the revision of the result.
func (d *desk) stored(t *testing.T, revision ticket.Revision, claims ...store.Claim) {
	t.Helper()
	for i, r := range d.write(t, claims...) {
		if r.Refused != nil || r.Later != nil || r.Void || r.Revision != revision {
			t.Fatalf("change %d: %+v (refused %+v), want revision %d", i, r, r.Refused, revision)
		}
	}
}

func one(ctx context.Context, q *sql.DB, query string, args ...any) string {
	var text sql.NullString
	if err := q.QueryRowContext(ctx, query, args...).Scan(&text); err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return text.String
}
