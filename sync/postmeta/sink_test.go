package postmeta_test

import (
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/postmeta"
)

// The guard: the same revision again and an older one change nothing, a newer one does.
func TestRevisionsOnlyGrow(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 812)
	d.stored(t, 10, set(812, 10, "status", "open", "assignee", "7"))
	d.wantRows(t, 812, "_wpas_assignee=7 _wpas_status=open")
	d.exec(t, "UPDATE wp_postmeta SET meta_value='x' WHERE meta_key='_wpas_status'") // another plugin, after our change
	d.stored(t, 10, set(812, 10, "status", "open"))
	d.stored(t, 10, set(812, 9, "status", "new"))
	d.wantRows(t, 812, "_wpas_assignee=7 _wpas_status=x")
	d.stored(t, 11, set(812, 11, "status", "closed"))
	d.wantRows(t, 812, "_wpas_assignee=7 _wpas_status=closed")
	d.wantSide(t, 812, "11")
}

// Values are WordPress' own strings: none is changed, and NULL is a value.
func TestValuesAreRawStrings(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1)
	for i, text := range []string{
		"", "0", "1.0E+25", `a:1:{s:1:"a";b:0;}`, "O:1:\"A\":1:{s:4:\"\x00A\x00b\";i:1;}", `O'Brien \ "x" %_`, "é€😀", " x ", "NULL",
		strings.Repeat("x", postmeta.MaxValue), strings.Repeat(`'`, postmeta.MaxValue),
	} {
		d.stored(t, ticket.Revision(i+1), set(1, ticket.Revision(i+1), "status", text))
		want := text
		if text == "NULL" {
			want = ""
		}
		var got []byte
		if err := d.sql.QueryRowContext(t.Context(), "SELECT meta_value FROM wp_postmeta WHERE post_id=1").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if string(got) != want || (got == nil) != (text == "NULL") {
			t.Errorf("%.40q became %.40q (NULL %v)", text, got, got == nil)
		}
	}
	d.stored(t, 100, set(1, 100, "last_reply", "NULL"), set(2, 100)) // and the row of a missing value
	if n := one(t.Context(), d.sql, "SELECT COUNT(*) FROM wp_postmeta WHERE post_id=1 AND meta_value IS NULL"); n != "1" {
		t.Errorf("%s rows with NULL, want 1", n)
	}
}

// Of a key with several rows all are written, as WordPress does; a key that differs in case is another key.
func TestRowsOfAKey(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 812, 813)
	d.meta(t, 812, "_wpas_status", "a")
	d.meta(t, 812, "_WPAS_STATUS", "theirs")
	d.meta(t, 812, "_wpas_status", "b")
	d.meta(t, 812, "_edit_lock", "1")
	d.meta(t, 813, "_wpas_status", "c")
	d.stored(t, 5, set(812, 5, "status", "closed"))
	d.wantRows(t, 812, "_edit_lock=1 _wpas_status=closed _WPAS_STATUS=theirs _wpas_status=closed")
	d.wantRows(t, 813, "_wpas_status=c")
	found, err := d.tables.Doubles(t.Context(), 10)
	if err != nil || len(found) != 1 || found[0] != (postmeta.Doubled{Key: "_wpas_status", Owner: 812}) {
		t.Errorf("doubled keys %+v (%v)", found, err)
	}
}

// A row that vanished while its post lives is made again; the other rows of the batch are updated.
func TestVanishedRow(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1, 2)
	d.stored(t, 5, set(1, 5, "status", "open", "assignee", "7"), set(2, 5, "status", "open"))
	d.exec(t, "DELETE FROM wp_postmeta WHERE post_id=1 AND meta_key='_wpas_status'")
	d.stored(t, 6, set(2, 6, "status", "closed"), set(1, 6, "status", "closed", "assignee", "8"))
	d.wantRows(t, 1, "_wpas_assignee=8 _wpas_status=closed")
	d.wantRows(t, 2, "_wpas_status=closed")
}

// No row is made for a post that does not exist: the change is dropped and counted, and is no dead letter.
func TestPostThatDoesNotExist(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1, 3)
	d.stored(t, 5, set(1, 5, "status", "open"), set(2, 5, "status", "open"), set(3, 5, "status", "open"))
	d.wantRows(t, 1, "_wpas_status=open")
	d.wantRows(t, 2, "")
	d.wantRows(t, 3, "_wpas_status=open")
	d.wantSide(t, 2, "")
	if n := d.sink.Dropped(); n != 1 {
		t.Errorf("%d changes dropped, want 1", n)
	}
}

// deleted is a deletion.
func deleted(id ticket.ID, revision ticket.Revision) store.Claim {
	return store.Claim{ID: id, Revision: revision, Newest: revision, Deleted: true}
}

// A deletion leaves a tombstone and removes what a race has left; a late change does not come back.
func TestDeletedPost(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1, 2)
	d.stored(t, 5, set(1, 5, "status", "open"), set(2, 5, "status", "open"))
	d.exec(t, "DELETE FROM wp_posts WHERE ID=1")
	d.meta(t, 1, "_edit_lock", "theirs")
	d.meta(t, 1, "_WPAS_STATUS", "theirs")
	d.stored(t, 7, deleted(1, 7))
	d.wantRows(t, 1, "_edit_lock=theirs _WPAS_STATUS=theirs")
	d.wantSide(t, 1, "7 deleted")
	d.stored(t, 9, set(1, 9, "status", "late"))
	d.stored(t, 7, set(1, 6, "status", "later"))
	d.wantRows(t, 1, "_edit_lock=theirs _WPAS_STATUS=theirs")
	d.wantSide(t, 1, "7 deleted")

	ids, _, more, err := d.tables.Deleted(t.Context(), 0)
	if err != nil || more || len(ids) != 1 || ids[0] != 1 {
		t.Errorf("deleted %v, more %v (%v)", ids, more, err)
	}
	// A post that exists is not deleted, whatever a client says.
	if r := d.write(t, deleted(2, 8))[0]; !r.Void || r.Refused != nil {
		t.Errorf("the deletion of a living post: %+v", r)
	}
	d.wantRows(t, 2, "_wpas_status=open")
	d.wantSide(t, 2, "5")
	// A post that exists again, from a backup, takes changes again.
	d.posts(t, 1)
	d.stored(t, 10, set(1, 10, "status", "again"))
	d.wantSide(t, 1, "10")
}

// A field that the configuration has no more is a dead letter, and holds up no other change.
func TestUnknownField(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1, 2)
	results := d.write(t, set(1, 5, "gone", "x"), set(2, 5, "status", "open"))
	if results[0].Refused == nil || results[1].Refused != nil || results[1].Revision != 5 {
		t.Errorf("results %+v", results)
	}
	d.wantRows(t, 2, "_wpas_status=open")
}

// A value that MySQL refuses is found by halving: a CHECK of another plugin, or its trigger.
func TestARefusedValueHoldsUpNobody(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.exec(t, "ALTER TABLE wp_postmeta ADD CONSTRAINT nothing CHECK (meta_value <> 'forbidden')")
	d.posts(t, 1, 2, 3, 4)
	results := d.write(t, set(1, 5, "status", "a"), set(2, 5, "status", "forbidden"),
		set(3, 5, "status", "c"), set(4, 5, "status", "d"))
	for i := range results {
		if refused := results[i].Refused != nil; refused != (i == 1) {
			t.Errorf("result %d: %+v", i, results[i])
		}
	}
	d.wantRows(t, 4, "_wpas_status=d")
	d.wantRows(t, 2, "")
	d.wantSide(t, 2, "")
}

// Users are posts of another table.
func TestUserMeta(t *testing.T) {
	t.Parallel()
	d := newDesk(t, postmeta.Config{Type: postmeta.User, Prefix: "wp_", Keys: map[string]string{"open": "wpas_open_tickets"}})
	d.exec(t, "INSERT INTO wp_users (ID) VALUES (7)")
	d.exec(t, "INSERT INTO wp_usermeta (user_id,meta_key,meta_value) VALUES (7,'nickname','x')")
	d.stored(t, 5, set(7, 5, "open", "3"), set(8, 5, "open", "1"))
	if got := d.list(t, "SELECT CONCAT(user_id,meta_key,'=',meta_value) FROM wp_usermeta ORDER BY umeta_id"); got !=
		"7nickname=x 7wpas_open_tickets=3" {
		t.Errorf("usermeta: %s", got)
	}
	rows, err := d.tables.Rows(t.Context(), []ticket.ID{7, 8})
	if err != nil || len(rows) != 1 || rows[0].Revision != 5 {
		t.Errorf("rows %+v (%v)", rows, err)
	}
}

// The columns of wp_posts are a projection: updated by id, only for the site's post types, never inserted.
func TestPostsColumns(t *testing.T) {
	t.Parallel()
	config := tickets()
	config.Posts = map[string]string{"status": "post_status", "updated_at": "post_modified"}
	d := newDesk(t, config)
	d.posts(t, 1, 2)
	d.exec(t, "INSERT INTO wp_posts (ID,post_title,post_type) VALUES (3,'','page')")
	d.stored(t, 5, set(1, 5, "status", "closed", "updated_at", "2026-11-29 21:00:00"), set(2, 5, "status", "open"),
		set(3, 5, "updated_at", "2026-11-29 21:00:00"), set(4, 5, "updated_at", "2026-11-29 21:00:00"))
	if got := d.list(t, "SELECT CONCAT(ID,post_status,'@',post_modified) FROM wp_posts ORDER BY ID"); got !=
		"1closed@2026-11-29 21:00:00 2open@2026-01-01 00:00:00 3publish@2026-01-01 00:00:00" {
		t.Errorf("posts: %s", got)
	}
	d.wantRows(t, 1, "_wpas_status=closed")
	d.stored(t, 5, set(1, 4, "updated_at", "2026-11-01 00:00:00"))
	rows, err := d.tables.Rows(t.Context(), []ticket.ID{1})
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if v, _ := rows[0].Fields.Get("updated_at"); v.Text() != "2026-11-29 21:00:00" {
		t.Errorf("read %+v", rows[0])
	}
}

// What readers get: the first of several rows, NULL for none, the revision, tombstones; posts of other types are not tickets.
func TestRows(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1, 2, 4)
	d.exec(t, "INSERT INTO wp_posts (ID,post_title,post_type) VALUES (3,'','page')")
	d.meta(t, 1, "_wpas_status", "first")
	d.meta(t, 1, "_wpas_status", "second")
	d.meta(t, 3, "_wpas_status", "page")
	d.stored(t, 5, set(2, 5, "assignee", "7"))
	d.exec(t, "DELETE FROM wp_posts WHERE ID=4")
	d.stored(t, 6, deleted(4, 6))
	rows, err := d.tables.Rows(t.Context(), []ticket.ID{1, 2, 3, 4, 5, 1})
	if err != nil || len(rows) != 3 {
		t.Fatalf("rows %+v (%v)", rows, err)
	}
	if v, there := rows[0].Fields.Get("status"); !there || v.Text() != "first" || rows[0].Revision != 0 || len(rows[0].Fields) != 3 {
		t.Errorf("post 1: %+v", rows[0])
	}
	if v, there := rows[1].Fields.Get("status"); !there || !v.IsNull() || rows[1].Revision != 5 {
		t.Errorf("post 2: %+v", rows[1])
	}
	if !rows[2].Deleted || rows[2].ID != 4 || rows[2].Revision != 6 {
		t.Errorf("post 4: %+v", rows[2])
	}
}

// The last part of a ticket's changes brings the ticket's own revision; a revision without changes is raised alone.
func TestRevisionOfTheTicket(t *testing.T) {
	t.Parallel()
	d := newDesk(t, tickets())
	d.posts(t, 1)
	part := set(1, 5, "status", "open")
	part.Partial, part.Last, part.Newest = true, true, 8
	d.stored(t, 8, part)
	d.exec(t, "UPDATE wp_postmeta SET meta_value='x'")
	d.exec(t, "UPDATE wp_ticketd_revisions SET revision=6")
	d.stored(t, 8, part) // MySQL has the values, or newer ones
	d.wantRows(t, 1, "_wpas_status=x")
	d.wantSide(t, 1, "8")
	d.stored(t, 9, store.Claim{ID: 1, Revision: 9, Newest: 9})
	d.wantSide(t, 1, "9")
	d.wantRows(t, 1, "_wpas_status=x")
}
