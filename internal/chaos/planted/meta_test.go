package planted

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

// ruleMetaRows is the rule of sites of post meta: in the end wp_postmeta has the rows that WordPress itself would have written.
const ruleMetaRows = "rows equal core's"

const metaSite = never + "kind = \"postmeta\"\npost_types = [\"ticket\"]\nkeys = { status = \"_status\" }\n"

// metas are the invariants of the sink of post meta.
var metas = map[string]invariant{
	"a key of a post has one row": {
		plants: []plant{{file: "sync/postmeta/attempt.go", text: "if wanted[r.key] { //", instead: "if false && wanted[r.key] { //"}},
		with:   "promises", site: metaSite, judge: setTwice, rule: ruleMetaRows,
	},
	"no row without its post": {
		plants: []plant{{
			file: "sync/postmeta/attempt.go", text: "case !c.deleted && !exists:", instead: "case false && !exists:",
		}},
		with: "promises", site: metaSite, judge: deletedBeforeTheFlush, rule: ruleMetaRows,
	},
	"a newer row stays": {
		plants: []plant{{
			file: "sync/postmeta/attempt.go", text: "case h.revision >= c.final, h.revision >= c.revision && h.deleted:",
			instead: "case false && h.revision >= c.final:",
		}, {
			file: "sync/postmeta/attempt.go", text: "case h.revision >= c.revision: //", instead: "case false: //",
		}},
		with: "promises", site: metaSite, judge: overtaken, rule: ruleMetaRows,
	},
}

// setTwice sets a value, and another one after a flush.
func setTwice(t *testing.T, r *rig) []history.Violation {
	t.Helper()
	h := r.metaHost(t)
	r.setStatus(t, h, "open")
	r.setStatus(t, h, "closed")
	return r.metaRows(t, "closed")
}

// deletedBeforeTheFlush deletes the post while a change is pending, and ends before WordPress could tell the daemon.
func deletedBeforeTheFlush(t *testing.T, r *rig) []history.Violation {
	t.Helper()
	h := r.metaHost(t)
	r.leaveStatus(t, h, "open")
	r.exec(t, "DELETE FROM wp_posts WHERE ID=1")
	h.flush(t)
	return r.metaRows(t)
}

// overtaken flushes a change after another host has flushed a newer one.
func overtaken(t *testing.T, r *rig) []history.Violation {
	t.Helper()
	h := r.metaHost(t)
	r.setStatus(t, h, "open")
	r.leaveStatus(t, h, "older")
	r.exec(t, "UPDATE wp_postmeta SET meta_value='newer' WHERE post_id=1")
	r.exec(t, "UPDATE wp_ticketd_revisions SET revision=revision+1000000000 WHERE post_id=1")
	h.flush(t)
	return r.metaRows(t, "newer")
}

// metaHost starts a daemon beside WordPress' tables with post 1.
func (r *rig) metaHost(t *testing.T) *host {
	t.Helper()
	for _, query := range []string{
		"CREATE TABLE wp_posts (ID bigint unsigned NOT NULL auto_increment PRIMARY KEY, post_type varchar(20) NOT NULL)",
		"CREATE TABLE wp_postmeta (meta_id bigint unsigned NOT NULL auto_increment PRIMARY KEY, post_id bigint unsigned NOT NULL, " +
			"meta_key varchar(255), meta_value longtext, KEY post_id (post_id))",
		"INSERT INTO wp_posts VALUES (1,'ticket')",
	} {
		r.exec(t, query)
	}
	return r.host(t)
}

func (r *rig) exec(t *testing.T, query string) {
	t.Helper()
	if _, err := r.db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// leaveStatus sets the status of post 1 and leaves the change pending.
func (r *rig) leaveStatus(t *testing.T, h *host, status string) {
	t.Helper()
	c, end := h.dial(t)
	defer end()
	if _, err := c.Set(t.Context(), protocol.SetParams{
		ID: 1, Fields: []protocol.Field{{Name: "status", Value: protocol.Text(status)}},
	}); err != nil {
		t.Fatal(err)
	}
}

// setStatus sets the status of post 1 and flushes.
func (r *rig) setStatus(t *testing.T, h *host, status string) {
	t.Helper()
	r.leaveStatus(t, h, status)
	h.flush(t)
}

// metaRows compares the statuses of post 1 with those that WordPress would have written.
func (r *rig) metaRows(t *testing.T, want ...string) []history.Violation {
	t.Helper()
	var got sql.NullString
	query := "SELECT GROUP_CONCAT(meta_value ORDER BY meta_id SEPARATOR ' ') FROM wp_postmeta WHERE post_id=1"
	if err := r.db.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	wanted := fmt.Sprint(want)
	if found := "[" + got.String + "]"; found != wanted {
		return []history.Violation{{Rule: ruleMetaRows, Text: fmt.Sprintf("post 1 has the values %s, want %s", found, wanted)}}
	}
	return nil
}
