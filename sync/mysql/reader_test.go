package mysql_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/table"
)

// listed returns the ids of a page.
func listed(t *testing.T, db *mysql.DB, s *ticket.Selection, p *mysql.Page) ([]ticket.ID, *mysql.Mark) {
	t.Helper()
	rows, next, err := db.List(t.Context(), s, p)
	if err != nil {
		t.Fatalf("list %+v %+v: %v", s, p, err)
	}
	ids := make([]ticket.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids, next
}

func with(filters ...ticket.Filter) ticket.Selection { return ticket.Selection{Where: filters} }

// on selects the values of a field.
func on(field string, values []ticket.Value) ticket.Filter {
	return ticket.Filter{Field: field, Values: values}
}

func containing(pairs ...string) (s ticket.Selection) {
	for i := 0; i < len(pairs); i += 2 {
		s.Contains = append(s.Contains, ticket.Field{Name: pairs[i], Value: ticket.Text(pairs[i+1])})
	}
	return s
}

func values(texts ...string) []ticket.Value {
	v := make([]ticket.Value, len(texts))
	for i, text := range texts {
		if text != "NULL" {
			v[i] = ticket.Text(text)
		}
	}
	return v
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		write(t, db,
			set(1, 1, "status", "open", "customer_id", "7", "assigned_to", "NULL", "updated_at", "2026-11-01 10:00:00",
				"channel", "x", "subject", "Drucker: 1000 Seiten"),
			set(2, 1, "status", "pending", "customer_id", "7", "assigned_to", "3", "updated_at", "2026-11-02 10:00:00",
				"subject", "Drucker: 100% Toner", "category", "printers"),
			set(3, 5, "status", "closed", "customer_id", "8", "assigned_to", "4", "updated_at", "2026-11-03 10:00:00"),
			set(4, 1, "status", "open", "customer_id", "7", "deleted_at", "2026-11-03 10:00:00"))
		for name, c := range map[string]struct {
			selection ticket.Selection
			want      []ticket.ID
		}{
			"all but deleted": {ticket.Selection{}, []ticket.ID{1, 2, 3}},
			"deleted too":     {ticket.Selection{Deleted: true}, []ticket.ID{1, 2, 3, 4}},
			"equal":           {with(on("customer_id", values("007"))), []ticket.ID{1, 2}},
			"one of":          {with(on("status", values("open", "closed"))), []ticket.ID{1, 3}},
			"NULL":            {with(on("assigned_to", values("NULL"))), []ticket.ID{1}},
			"NULL or a value": {with(on("assigned_to", values("4", "NULL"))), []ticket.ID{1, 3}},
			"both": {with(
				on("status", values("open", "pending")), on("assigned_to", values("3")),
			), []ticket.ID{2}},
			"from is inclusive, before is not": {ticket.Selection{Updated: ticket.Period{
				From: ticket.Text("2026-11-01T10:00:00Z"), Before: ticket.Text("2026-11-03 10:00:00"),
			}}, []ticket.ID{1, 2}},
			"open end":             {ticket.Selection{Updated: ticket.Period{From: ticket.Text("2026-11-02")}}, []ticket.ID{2, 3}},
			"contains":             {containing("subject", "drucker"), []ticket.ID{1, 2}},
			"contains no wildcard": {containing("subject", "100%"), []ticket.ID{2}},
			"contains both":        {containing("subject", "r", "category", "print"), []ticket.ID{2}},
			"none":                 {with(on("status", values("lost"))), []ticket.ID{}},
			"any other, NULL too": {with(ticket.Filter{
				Field: "assigned_to", Is: ticket.NotEqual, Values: values("3"),
			}), []ticket.ID{1, 3}},
			"changed since a revision": {with(ticket.Filter{
				Field: "revision", Is: ticket.Above, Values: values("4"),
			}), []ticket.ID{3}},
			"up to a revision": {with(ticket.Filter{
				Field: "revision", Is: ticket.AtMost, Values: values("4"),
			}), []ticket.ID{1, 2}},
			"at a revision": {with(on("revision", values("5"))), []ticket.ID{3}},
			"id and bound": {with(
				on("ticket_id", values("1", "2", "9")), ticket.Filter{Field: "ticket_id", Is: ticket.Above, Values: values("1")},
			), []ticket.ID{2}},
		} {
			ids, next := listed(t, db, &c.selection, &mysql.Page{Limit: 10})
			if !slices.Equal(ids, c.want) || next != nil {
				t.Errorf("%s: tickets %v, next %v; want %v", name, ids, next, c.want)
			}
			if n, err := db.Count(t.Context(), &c.selection); err != nil || n != int64(len(c.want)) {
				t.Errorf("%s: counted %d (%v), want %d", name, n, err, len(c.want))
			}
		}
		rows, _, err := db.List(t.Context(), &ticket.Selection{}, &mysql.Page{Limit: 1})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows (%v)", len(rows), err)
		}
		if channel, _ := rows[0].Fields.Get("channel"); channel.Text() != "x" || rows[0].Revision != 1 {
			t.Errorf("row %+v, want the whole ticket", rows[0])
		}
	})
}

func TestCountBy(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		write(t, db,
			set(1, 1, "status", "open", "assigned_to", "3"), set(2, 1, "status", "Open", "assigned_to", "NULL"),
			set(3, 1, "status", "closed", "assigned_to", "NULL"),
			set(4, 1, "status", "lost", "deleted_at", "2026-11-03 10:00:00"))
		for field, want := range map[string]string{
			"status": "[open 2] [closed 1]", "assigned_to": "[NULL 2] [3 1]",
		} {
			groups, more, err := db.CountBy(t.Context(), &ticket.Selection{}, field, 2)
			var got []string
			for _, g := range groups {
				text := g.Value.Text()
				if g.Value.IsNull() {
					text = "NULL"
				}
				got = append(got, fmt.Sprintf("[%s %d]", text, g.Count))
			}
			if err != nil || more || !strings.EqualFold(strings.Join(got, " "), want) { // which of two equal texts is undefined
				t.Errorf("by %s: %v, more %t (%v), want %s", field, got, more, err, want)
			}
		}
		open := with(on("status", values("open")))
		if groups, _, err := db.CountBy(t.Context(), &open, "assigned_to", 5); err != nil || len(groups) != 2 {
			t.Errorf("a part: %v (%v), want two groups", groups, err)
		}
		if groups, more, err := db.CountBy(t.Context(), &ticket.Selection{}, "status", 1); err != nil || !more || len(groups) != 1 {
			t.Errorf("with a limit of 1: %v, more %t (%v)", groups, more, err)
		}
		for _, field := range []string{"lost", "extra"} {
			var refused *table.FieldError
			if _, _, err := db.CountBy(t.Context(), &ticket.Selection{}, field, 5); !errors.As(err, &refused) {
				t.Errorf("by %s: %v, want it refused", field, err)
			}
		}
		search := containing("customer_id", "7")
		var refused *table.FieldError
		if _, err := db.Count(t.Context(), &search); !errors.As(err, &refused) {
			t.Errorf("a number searched for a text: %v, want it refused", err)
		}
	})
}

// Every sort, ascending and descending, page by page: the pages together equal the server's own answer without pages.
func TestListPages(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN stage ENUM('new','done','begun')")
		var changes []store.Claim
		for i := range 60 {
			changes = append(changes, set(ticket.ID(i+1), 1,
				"status", []string{"open", "Open", "closed"}[i%3], "priority", []string{"NULL", "high", "", "Ärger"}[i%4],
				"updated_at", fmt.Sprintf("2026-11-0%d 10:00:00", i%5+1), "created_at", "2026-11-01 00:00:00",
				"customer_id", []string{"18446744073709551615", "9007199254740993", "9007199254740992", "NULL"}[i%4],
				"stage", []string{"new", "NULL", "done", "begun"}[i*7%4]))
		}
		write(t, db, changes...)
		for _, sort := range []string{"", "updated_at", "created_at", "priority", "status", "customer_id", "stage"} {
			for _, descending := range []bool{false, true} {
				page := &mysql.Page{Sort: sort, Descending: descending, Limit: 100}
				want, _ := listed(t, db, &ticket.Selection{}, page)
				var got []ticket.ID
				page.Limit = 7
				for {
					ids, next := listed(t, db, &ticket.Selection{}, page)
					got = append(got, ids...)
					if page.After = next; next == nil {
						break
					}
				}
				if !slices.Equal(got, want) || len(got) != 60 {
					t.Errorf("sort %q, descending %v: pages\n%v\nwant\n%v", sort, descending, got, want)
				}
			}
		}
	})
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN score DOUBLE, ADD COLUMN notes JSON")
	for name, c := range map[string]struct {
		selection ticket.Selection
		page      mysql.Page
		field     string
	}{
		"a field without a column": {with(on("channel", values("x"))), mysql.Page{}, "channel"},
		"no revision":              {with(on("revision", values("soon"))), mysql.Page{}, "revision"},
		"above NULL": {
			with(ticket.Filter{Field: "status", Is: ticket.Above, Values: values("NULL")}), mysql.Page{}, "status",
		},
		"an injection": {
			with(on("status` OR 1=1 -- ", values("1"))), mysql.Page{}, "status` OR 1=1 -- ",
		},
		"no number": {with(on("customer_id", values("seven"))), mysql.Page{}, "customer_id"},
		"too long":  {with(on("status", values(strings.Repeat("x", 33)))), mysql.Page{}, "status"},
		"no date": {
			ticket.Selection{Created: ticket.Period{From: ticket.Text("soon")}}, mysql.Page{}, "created_at",
		},
		"JSON":           {with(on("notes", values("{}"))), mysql.Page{}, "notes"},
		"sort by nought": {ticket.Selection{}, mysql.Page{Sort: "channel"}, "channel"},
		"sort by a sum":  {ticket.Selection{}, mysql.Page{Sort: "score"}, "score"},
		"another's mark": {
			ticket.Selection{}, mysql.Page{Sort: "updated_at", After: &mysql.Mark{Value: ticket.Text("high"), ID: 1}},
			"updated_at",
		},
	} {
		c.page.Limit = 1
		_, _, err := db.List(t.Context(), &c.selection, &c.page)
		var refused *table.FieldError
		if !errors.As(err, &refused) || refused.Field != c.field {
			t.Errorf("%s: error %v, want %s refused", name, err, c.field)
		}
	}
}

func TestPeriodOfATimeThatTheTableLacks(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "ALTER TABLE wp_support_tickets DROP COLUMN created_at")
	if _, err := db.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := db.Count(t.Context(), &ticket.Selection{Created: ticket.Period{From: ticket.Text("2026-11-01")}})
	var refused *table.FieldError
	if !errors.As(err, &refused) || refused.Field != "created_at" || refused.Rule != table.RuleUnknown {
		t.Errorf("error %v, want created_at refused", err)
	}
}

// A table with its own mark of deleted tickets, and with other names.
func TestListOfAnExistingTable(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		for i, mark := range []string{
			"TINYINT NOT NULL DEFAULT 0", "DATETIME NULL", "VARCHAR(20) NOT NULL DEFAULT ''", "BIT(1) NOT NULL DEFAULT 0",
		} {
			name := fmt.Sprintf("tickets_%d", i)
			columns := map[string]string{"status": "state"}
			db := open(t, mysql.Config{DSN: dsn, Table: name, Key: "id", Revision: "rev", Columns: columns})
			exec(t, db, "CREATE TABLE "+name+` (id INT PRIMARY KEY, rev BIGINT NOT NULL DEFAULT 0, state VARCHAR(9),
				deleted_at `+mark+")")
			exec(t, db, "INSERT INTO "+name+" (id, state) VALUES (1, 'open'), (2, 'open'), (3, 'closed')")
			deleted := any("2026-11-01")
			if mark[0] == 'T' || mark[0] == 'B' {
				deleted = 1
			}
			exec(t, db, "UPDATE "+name+" SET deleted_at = ? WHERE id = 2", deleted)
			s := with(on("status", values("open")))
			if ids, _ := listed(t, db, &s, &mysql.Page{Limit: 10, Sort: "status"}); !slices.Equal(ids, []ticket.ID{1}) {
				t.Errorf("%s: tickets %v, want 1", mark, ids)
			}
			s.Deleted = true
			if ids, _ := listed(t, db, &s, &mysql.Page{Limit: 10, Descending: true}); !slices.Equal(ids, []ticket.ID{2, 1}) {
				t.Errorf("%s: tickets %v with deleted ones, want 2 and 1", mark, ids)
			}
		}
	})
}

// Pages continue behind rows with dates of zeros, or with a part that is zero: tables of other plugins have such dates, which
// package table refuses.
func TestListPagesOverOddDates(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		lax(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN stamped TIMESTAMP NULL, ADD COLUMN due DATE, ADD COLUMN seen DATETIME(3)")
		lax(t, db, "INSERT INTO wp_support_tickets (ticket_id, stamped, due, seen, created_at, updated_at) VALUES "+
			"(1, NULL, NULL, NULL, NOW(), NOW()), "+
			"(2, '0000-00-00 00:00:00', '0000-00-00', '0000-00-00 00:00:00', NOW(), NOW()), "+
			"(3, '0000-00-00 00:00:00', '2026-00-00', '2026-00-00 00:00:00.001', NOW(), NOW()), "+
			"(4, '2026-01-01 00:00:00', '2026-01-00', '2026-01-00 01:00:00.002', NOW(), NOW()), "+
			"(5, '2026-01-02 00:00:00', '2026-01-02', '2026-01-00 01:00:00.003', NOW(), NOW())")
		for _, sort := range []string{"stamped", "due", "seen"} {
			for _, descending := range []bool{false, true} {
				want := []ticket.ID{1, 2, 3, 4, 5}
				if descending {
					slices.Reverse(want)
				}
				var got []ticket.ID
				page := &mysql.Page{Sort: sort, Descending: descending, Limit: 1}
				for range want {
					ids, next := listed(t, db, &ticket.Selection{}, page)
					got = append(got, ids...)
					if page.After = next; next == nil {
						break
					}
				}
				if !slices.Equal(got, want) || page.After != nil {
					t.Errorf("by %s, descending %t: tickets %v, want %v", sort, descending, got, want)
				}
			}
		}
	})
}

// Rows whose key is no ticket id break no list: the list omits the rows, and a message names the rows.
func TestRowsThatAreNoTickets(t *testing.T) {
	t.Parallel()
	for kind, ids := range map[string][]string{"BIGINT": {"-5", "0"}, "BIGINT UNSIGNED": {"0", "9223372036854775808"}} {
		servers(t, func(t *testing.T, dsn string) {
			db := migrated(t, dsn)
			lax(t, db, "ALTER TABLE wp_support_tickets MODIFY ticket_id "+kind+" NOT NULL")
			write(t, db, set(7, 1, "status", "open"))
			for _, id := range ids {
				exec(t, db, "INSERT INTO wp_support_tickets (ticket_id, status, created_at, updated_at) "+
					"VALUES ("+id+", 'open', NOW(), NOW())")
			}
			open := with(on("status", values("open")))
			tickets, next := listed(t, db, &open, &mysql.Page{Limit: 10})
			n, err := db.Count(t.Context(), &open)
			groups, _, by := db.CountBy(t.Context(), &open, "status", 5)
			if !slices.Equal(tickets, []ticket.ID{7}) || next != nil || n != 1 || err != nil || by != nil || groups[0].Count != 1 {
				t.Errorf("%s: tickets %v, %d counted (%v), groups %v (%v); want ticket 7", kind, tickets, n, err, groups, by)
			}
			if _, err := db.LoadDefinition(t.Context()); err != nil || !strings.Contains(db.NoTickets(), "2 rows, the first is "+ids[0]) {
				t.Errorf("%s: %q (%v), want both rows named", kind, db.NoTickets(), err)
			}
			exec(t, db, "DELETE FROM wp_support_tickets WHERE ticket_id <> 7")
			if _, err := db.LoadDefinition(t.Context()); err != nil || db.NoTickets() != "" {
				t.Errorf("%s: %q (%v) when they are gone", kind, db.NoTickets(), err)
			}
		})
	}
}

// A FLOAT holds another number than the text of the search, 0.1: the search finds the row by the text that reads return.
func TestListByFloat(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN score FLOAT, ADD COLUMN rated FLOAT(7,3), ADD COLUMN weight DOUBLE")
		texts := []string{"0.1", "16777217", "3.4028234663852886e38", "-1234.567", "1e-40", "0"}
		for i, text := range texts {
			write(t, db, set(ticket.ID(i+1), 1, "score", text, "rated", "-1234.567", "weight", "0.1"))
		}
		for i, text := range texts {
			s := with(on("score", values(text, "77")))
			if ids, _ := listed(t, db, &s, &mysql.Page{Limit: 10}); !slices.Equal(ids, []ticket.ID{ticket.ID(i + 1)}) {
				t.Errorf("%s: tickets %v, want %d", text, ids, i+1)
			}
		}
		all := with(on("rated", values("-1234.567")), on("weight", values("0.1")))
		if n, err := db.Count(t.Context(), &all); n != int64(len(texts)) || err != nil {
			t.Errorf("by the others: %d tickets (%v), want all", n, err)
		}
	})
}

// A query whose caller has left ends in the server too.
func TestListEndsInTheServer(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		write(t, db, set(1, 1, "status", "open"))
		// The statement makes the server give up a second after the deadline; otherwise the server would not notice for five seconds.
		exec(t, db, "CREATE VIEW slow AS SELECT ticket_id, status, SLEEP(10) AS pause FROM wp_support_tickets")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var pause int
		err := db.Pool().QueryRowContext(ctx, mysql.Bounded(ctx, "pause")+" FROM slow").Scan(&pause)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want the deadline's", err)
		}
		begin := time.Now()
		for running := 1; running > 0; {
			if err := db.Pool().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.processlist
				WHERE command = 'Query' AND db = DATABASE() AND id <> CONNECTION_ID()`).Scan(&running); err != nil {
				t.Fatal(err)
			}
			if time.Since(begin) > 3*time.Second {
				t.Fatal("the server still works on the query")
			}
		}
	})
}

func TestRowsOfSeveralTickets(t *testing.T) {
	t.Parallel()
	db := private(t)
	if highest, err := db.MaxRevision(t.Context()); err != nil || highest != 0 {
		t.Errorf("empty table: highest revision %d, error %v", highest, err)
	}
	write(t, db, set(5, 50, "status", "a"), set(3, 70, "status", "b"))
	rows, err := db.Rows(t.Context(), []ticket.ID{5, 4, 3, 5})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].ID != 3 || rows[1].ID != 5 || rows[1].Revision != 50 {
		t.Errorf("rows %+v, want 3 and 5", rows)
	}
	if none, err := db.Rows(t.Context(), nil); err != nil || none != nil {
		t.Errorf("no ids: %v, error %v", none, err)
	}
	highest, err := db.MaxRevision(t.Context())
	if id, idErr := db.MaxID(t.Context()); highest != 70 || id != 5 || errors.Join(err, idErr) != nil {
		t.Errorf("highest revision %d, id %d, error %v", highest, id, errors.Join(err, idErr))
	}
}

// A row's ticket is as old as the row's time of creation, however recent its last change, and no younger than its last change. A
// row that SQL has inserted is older than any change; a row without a time of creation may be.
func TestSinceWhenThereIsATicket(t *testing.T) {
	t.Parallel()
	db := private(t)
	now := ticket.Revision(time.Now().UnixMicro())
	write(t, db, set(1, now, "subject", "new"), set(2, now, "subject", "old"), set(3, now, "subject", "no time"),
		set(4, 77, "subject", "not changed since"))
	exec(t, db, "UPDATE wp_support_tickets SET created_at='2001-02-03 04:05:06' WHERE ticket_id=2")
	lax(t, db, "UPDATE wp_support_tickets SET created_at='0000-00-00' WHERE ticket_id=3")
	exec(t, db, "INSERT INTO wp_support_tickets (ticket_id,subject) VALUES (5,'a stranger''s')")
	created := time.Date(2001, 2, 3, 4, 5, 7, 0, time.UTC)
	wantBorn(t, db, map[ticket.ID]ticket.Revision{1: now, 2: ticket.Revision(created.UnixMicro()), 3: 1, 4: 77, 5: 1})
}

// If a deletion removes the row, the deletion is all that the table knows of the ticket.
func TestSinceWhenADeletedTicketIsKnown(t *testing.T) {
	t.Parallel()
	db := hard(t)
	write(t, db, store.Claim{ID: 1, Revision: 9, Deleted: true})
	wantBorn(t, db, map[ticket.ID]ticket.Revision{1: 9})
}

// A number is a Unix time.
func TestSinceWhenByAUnixTime(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"})
	exec(t, db, "CREATE TABLE tickets (id BIGINT PRIMARY KEY, created_at INT)")
	migrate(t, db, mysql.MigrateOptions{})
	now := ticket.Revision(time.Now().UnixMicro())
	write(t, db, set(1, now, "created_at", "1000"), set(2, now, "created_at", "NULL"))
	wantBorn(t, db, map[ticket.ID]ticket.Revision{1: 1_001_000_000, 2: 1})
}

// wantBorn asks for tickets 1 to 6, and allows a second for a clock and for columns that have whole seconds.
func wantBorn(t *testing.T, db *mysql.DB, want map[ticket.ID]ticket.Revision) {
	t.Helper()
	got, err := db.Born(t.Context(), []ticket.ID{1, 2, 3, 4, 5, 6})
	if err != nil || len(got) != len(want) {
		t.Fatalf("born %v (%v), want %v", got, err, want)
	}
	for id := range want {
		if want[id]-got[id] > 1_000_000 || got[id] > want[id] {
			t.Errorf("ticket %d is there since %d, want %d", id, got[id], want[id])
		}
	}
}

// A ticket that began with a set is as old as the set, not as its flush, and no younger than its last change, whose time may
// come from another clock. A set of an existing ticket does not change its time of creation.
func TestTicketsOfSetsAreAsOldAsTheSet(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		since := time.Date(2025, 3, 4, 5, 6, 7, 8_000_000, time.UTC)
		first := set(1, 10, "status", "open", "updated_at", "2025-03-04 06:00:00")
		second := set(2, 10, "status", "open", "updated_at", "2025-03-04 05:06:06")
		given := set(3, 10, "status", "open", "created_at", "2024-01-01 00:00:00")
		first.Since, second.Since, given.Since = since, since, since
		wantStored(t, write(t, db, first, second, given), 10, 10, 10)
		wantFields(t, db, 1, 10, "created_at", "2025-03-04 05:06:07", "updated_at", "2025-03-04 06:00:00")
		wantFields(t, db, 2, 10, "created_at", "2025-03-04 05:06:06")
		wantFields(t, db, 3, 10, "created_at", "2024-01-01 00:00:00")
		later := set(1, 20, "status", "closed")
		later.Since = since.Add(24 * time.Hour)
		wantStored(t, write(t, db, later), 20)
		wantFields(t, db, 1, 20, "status", "closed", "created_at", "2025-03-04 05:06:07")
	})
}

// Deleted finds the deleted tickets window by window, deleted by SQL or by ticketd, in either kind of table.
func TestDeletedTickets(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		t.Helper()
		db := migrated(t, dsn)
		exec(t, db, "INSERT INTO wp_support_tickets (ticket_id) "+
			"WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i+1 FROM n WHERE i<249) "+
			"SELECT 1+a.i+250*b.i FROM n AS a JOIN n AS b WHERE b.i<240")
		exec(t, db, "UPDATE wp_support_tickets SET deleted_at=NOW() WHERE ticket_id IN (1,50000,50001,60000)")
		wantDeleted(t, db, 1, 50000, 50001, 60000)
	})
}

func TestDeletedTicketsOfATableThatRemovesRows(t *testing.T) {
	t.Parallel()
	db := hard(t)
	wantDeleted(t, db)
	write(t, db, store.Claim{ID: 7, Revision: 5, Deleted: true}, store.Claim{ID: 3, Revision: 5, Deleted: true})
	wantDeleted(t, db, 3, 7)
}

func wantDeleted(t *testing.T, db *mysql.DB, want ...ticket.ID) {
	t.Helper()
	var all []ticket.ID
	after, more := ticket.ID(0), true
	for more {
		var ids []ticket.ID
		var err error
		if ids, after, more, err = db.Deleted(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		all = append(all, ids...)
	}
	if len(all) != len(want) {
		t.Fatalf("deleted are %v, want %v", all, want)
	}
	for i := range want {
		if all[i] != want[i] {
			t.Fatalf("deleted are %v, want %v", all, want)
		}
	}
}
