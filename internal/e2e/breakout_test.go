package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// breakouts are values that would have another effect if written unescaped into a statement, a script or a key.
var breakouts = []string{
	`'; DROP TABLE canary; -- `, `' OR '1'='1`, `\'; DROP TABLE canary; -- `, `\`, `\\`, `\\'`, `'`, `''`, `"`, "`", "a\x00b",
	"\x1a",
	"\r\n",
	`%`, `_`, `\%`, "%' OR 1=1 -- ", `/* */`, `/*! DROP TABLE canary */`, `*/ DROP TABLE canary`, "-- ", "#", "?", "$1", ":a",
	"@@version",
	"\u00bf'", "\u2019; DROP TABLE canary", "\uff07", "😀'", "*3\r\n$3\r\nDEL\r\n", "return redis.call('FLUSHALL')", "{t17}", "NULL",
	"DEFAULT",
}

// Through the protocol into a real MariaDB and back: each value is stored byte for byte, found by a filter and by a search as
// what it is, and nothing else happens. So it is where the server reads quotes and backslashes in another way than usual, too.
func TestValuesDoNotBreakOut(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"as usual":    nil,
		"other modes": {"--sql-mode=NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT", "--character-set-server=latin1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mariadb := testenv.NewMariaDB(t, testenv.MariaDBOptions{Args: flags})
			r := newRig(t, rigOptions{mariadb: mariadb})
			for _, statement := range []string{
				"CREATE TABLE canary (a INT)", "INSERT INTO canary VALUES (42)",
				// Columns that an owner has named so. They cannot be fields, and must harm nobody.
				"ALTER TABLE wp_support_tickets ADD `a``b` INT NOT NULL DEFAULT 7, ADD `x'; DROP TABLE canary; --` INT NULL, " +
					"ADD `?` INT NULL, ADD body LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NULL",
			} {
				if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := r.dial(t)
			for i, value := range breakouts {
				if _, err := c.Set(t.Context(), set(int64(i+1), "body", value)); err != nil {
					t.Fatalf("%q: %v", value, err)
				}
			}
			if _, err := c.Flush(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			for i, value := range breakouts {
				id := int64(i + 1)
				if got := column(t, r.db, "body", id); got != value {
					t.Errorf("%q is %q in MySQL", value, got)
				}
				r.found(t, c, id, "where", protocol.Selection{
					Where: []protocol.Filter{{Field: "body", Values: []protocol.Value{protocol.Text(value)}}},
				})
				r.found(t, c, id, "contains", protocol.Selection{
					Contains: []protocol.Field{{Name: "body", Value: protocol.Text(value)}},
				})
			}
			r.namesAreRefused(t, c)
			var canary int
			if err := r.db.QueryRowContext(t.Context(), "SELECT a FROM canary").Scan(&canary); err != nil || canary != 42 {
				t.Errorf("the canary is %d: %v", canary, err)
			}
			if status, err := c.Status(t.Context()); err != nil || status.Dead != 0 || status.Dirty != 0 {
				t.Errorf("status %+v: %v", status, err)
			}
		})
	}
}

// found demands that a selection finds the ticket, and not all of them.
func (r *rig) found(t *testing.T, c *protocol.Client, id int64, how string, s protocol.Selection) {
	t.Helper()
	result, err := c.List(t.Context(), protocol.ListParams{Selection: s, Limit: protocol.MaxTickets})
	if err != nil {
		t.Errorf("%s %q: %v", how, breakouts[id-1], err)
		return
	}
	there := false
	for _, ticket := range result.Tickets {
		there = there || ticket.ID == id
		text := field(ticket.Fields, "body").Text()
		if how == "contains" && !strings.Contains(fold(text), fold(breakouts[id-1])) {
			t.Errorf("contains %q: ticket %d with %q", breakouts[id-1], ticket.ID, text)
		}
	}
	if !there || len(result.Tickets) == len(breakouts) {
		t.Errorf("%s %q: %d tickets, its own %v", how, breakouts[id-1], len(result.Tickets), there)
	}
}

// fold brings together what the collation does, as far as these values need it.
func fold(s string) string {
	return strings.NewReplacer("\uff07", "'", "\u00bf", "?").Replace(strings.ToLower(s))
}

// namesAreRefused sends names that break out, wherever a request has one.
func (r *rig) namesAreRefused(t *testing.T, c *protocol.Client) {
	t.Helper()
	one := []protocol.Value{protocol.Text("1")}
	for _, name := range []string{
		"status`", "status` = 1; DROP TABLE canary; -- ", "status'", "a`b", "x'; DROP TABLE canary; -- ", "?", "status\x00", "status ",
		"_rev",
		"_dirty", "ticket_id", "wp_support_tickets.status", "1=1", "*", "\xff", "status\u0000", "стат", "{t17}",
		strings.Repeat("a", 65),
	} {
		_, setErr := c.Set(t.Context(), set(1, name, "x"))
		_, createErr := c.Create(t.Context(), []protocol.Field{{Name: name, Value: protocol.Text("x")}}, "")
		_, whereErr := c.List(t.Context(), protocol.ListParams{Selection: protocol.Selection{
			Where: []protocol.Filter{{Field: name, Values: one}},
		}})
		_, containsErr := c.List(t.Context(), protocol.ListParams{Selection: protocol.Selection{
			Contains: []protocol.Field{{Name: name, Value: protocol.Text("x")}},
		}})
		_, sortErr := c.List(t.Context(), protocol.ListParams{Sort: protocol.Sort(name)})
		_, countErr := c.CountBy(t.Context(), protocol.Selection{}, name)
		_, afterErr := c.List(t.Context(), protocol.ListParams{After: name})
		for what, err := range map[string]error{
			"set": setErr, "create": createErr, "where": whereErr, "contains": containsErr, "sort": sortErr, "count": countErr,
			"after": afterErr,
		} {
			known := name == "ticket_id" && (what == "sort" || what == "where" || what == "count")
			if !known && code(err) != protocol.CodeInvalid {
				t.Errorf("%s of %q: %v, want it refused", what, name, err)
			}
		}
	}
}

// Names in the configuration that break out are refused by every command that would use them, before any connection.
func TestNamesOfTheConfigurationDoNotBreakOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	file := filepath.Join(testenv.Folder(t), "bad.toml")
	for _, name := range []string{"a`b", "a` (x INT); DROP TABLE canary; -- ", "a.b", "a b", "a'b", "a\\u0000b", "a;b", "é", ""} {
		for key, line := range map[string]string{
			"table_prefix": "table_prefix = \"" + name + "\"", "table": "table = \"x" + name + "`\"",
			"key_column": "key_column = \"" + name + "\"", "revision_column": "revision_column = \"" + name + "\"",
			"columns.status": "columns = { status = \"" + name + "\" }",
		} {
			if name == "" && key == "table_prefix" {
				continue // a table without a prefix is one
			}
			writeFile(t, file, r.text+line+"\n")
			out, err := r.run(t, "migrate", "--config", file)
			if err == nil || !strings.Contains(out, "sites.main."+key) {
				t.Errorf("%s: %v: %s", line, err, out)
			}
		}
	}
	var tables int
	if err := r.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() "+
		"AND table_name NOT LIKE 'wp\\_%'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables were made: %v", tables, err)
	}
}
