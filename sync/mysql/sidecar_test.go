package mysql_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// strangers are tables of other plugins, with a plugin's own statements.
var strangers = map[string]struct {
	config mysql.Config
	create string
	insert string // a ticket, as the plugin inserts it, without ticketd's columns
	status string // a field and its column
	values [3]string
	hard   bool // the table has no deleted_at
}{
	"a plugin's own wp_support_tickets": {
		config: mysql.Config{Key: "id", Columns: map[string]string{"status": "state", "edition": "revision"}},
		create: `CREATE TABLE wp_support_tickets (id INT UNSIGNED NOT NULL AUTO_INCREMENT, customer VARCHAR(60) NOT NULL,
			title VARCHAR(200) NOT NULL, state VARCHAR(20) NOT NULL DEFAULT 'new', revision INT NOT NULL, ticket_id VARCHAR(9),
				deleted INT,
			deleted_at DATETIME NULL, PRIMARY KEY (id)) ENGINE=InnoDB`,
		insert: "INSERT INTO wp_support_tickets (customer, title, state, revision) VALUES ('ann', 'help', 'new', 3)",
		status: "state", values: [3]string{"open", "pending", "theirs"},
	},
	// The plugin's real table has some ten more columns of the same kinds.
	"SupportCandy's": {
		config: mysql.Config{Table: "wp_psmsc_tickets", Key: "id"},
		create: `CREATE TABLE wp_psmsc_tickets (id BIGINT NOT NULL AUTO_INCREMENT, is_active INT(1) NOT NULL DEFAULT 1,
			customer BIGINT NOT NULL,
			subject TEXT NOT NULL, status INT NOT NULL, priority INT NOT NULL, category INT NOT NULL, assigned_agent TINYTEXT NOT NULL,
			date_created DATETIME NOT NULL, date_updated DATETIME NOT NULL, agent_created BIGINT NOT NULL, ip_address VARCHAR(50) NOT NULL,
			source VARCHAR(50) NOT NULL, browser VARCHAR(50) NOT NULL, os VARCHAR(50) NOT NULL, add_recipients LONGTEXT NOT NULL,
			date_closed DATETIME NULL, user_type VARCHAR(20) NOT NULL, last_reply_on DATETIME NOT NULL, extra TINYTEXT NULL,
			PRIMARY KEY (id), KEY customer (customer)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci`,
		insert: `INSERT INTO wp_psmsc_tickets (customer, subject, status, priority, category, assigned_agent, date_created,
			date_updated,
			agent_created, ip_address, source, browser, os, add_recipients, user_type, last_reply_on)
			VALUES (7, 'help', 1, 1, 1, '', NOW(), NOW(), 0, '::1', 'form', 'x', 'y', '', 'guest', NOW())`,
		status: "status", values: [3]string{"2", "3", "4"}, hard: true,
	},
}

// A plugin's statements on its table continue to work: INSERTs that do not know ticketd, an archive made by INSERT … SELECT *,
// saves of whole rows, which cannot restore an old revision, as the row has no revision.
func TestATableOfSomebodyElseIsNeverAltered(t *testing.T) {
	t.Parallel()
	for name, c := range strangers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers(t, func(t *testing.T, dsn string) {
				c := c // the config gets this server's DSN
				c.config.DSN = dsn
				db := open(t, c.config)
				exec(t, db, c.create)
				name := c.config.Table
				if name == "" {
					name = mysql.DefaultTable
				}
				exec(t, db, c.insert)
				exec(t, db, "CREATE TABLE archive LIKE "+name)
				before := shows(t, db, name)
				planned := migrate(t, db, mysql.MigrateOptions{DryRun: true})
				if done := migrate(t, db, mysql.MigrateOptions{}); !slices.Equal(planned, done) ||
					strings.Contains(strings.Join(done, ";"), "ALTER") {
					t.Errorf("planned %q, done %q", planned, done)
				}
				if again := migrate(t, db, mysql.MigrateOptions{}); len(again) != 0 {
					t.Errorf("the second run did %q", again)
				}
				wantFields(t, db, 1, 0)

				wantStored(t, write(t, db, set(1, 100, "status", c.values[0])), 100)
				exec(t, db, c.insert)
				exec(t, db, "INSERT INTO archive SELECT * FROM "+name)                          //nolint:unqueryvet // whole rows
				exec(t, db, "CREATE TEMPORARY TABLE whole SELECT * FROM "+name+" WHERE id = 1") //nolint:unqueryvet // whole rows
				wantStored(t, write(t, db, set(1, 200, "status", c.values[1])), 200)
				// The plugin saves the row that the plugin has read before.
				exec(t, db, "REPLACE INTO "+name+" SELECT * FROM whole") //nolint:unqueryvet // whole rows
				wantFields(t, db, 1, 200, "status", c.values[0])
				wantStored(t, write(t, db, set(1, 150, "status", c.values[2])), 200) // an older revision than the row's
				wantFields(t, db, 1, 200, "status", c.values[0])
				wantStored(t, write(t, db, set(1, 300, "status", c.values[1]), set(2, 250, "status", c.values[1])), 300, 250)
				wantFields(t, db, 1, 300, "status", c.values[1])
				wantFields(t, db, 2, 250, "status", c.values[1])

				gone := deletion(2, 400)
				wantStored(t, write(t, db, gone), 400)
				wantStored(t, write(t, db, set(2, 500, "status", c.values[2])), 500)
				if c.hard {
					wantGone(t, db, 2)
				} else if r := row(t, db, 2); !r.Deleted {
					t.Errorf("ticket 2 is not deleted: %+v", r)
				}
				wantCount(t, db, 1)
				wantDeleted(t, db, 2)
				if n, err := db.MaxRevision(t.Context()); err != nil || n != 400 {
					t.Errorf("highest revision %d, error %v; want 400", n, err)
				}
				if after := shows(t, db, name); auto(after) != auto(before) {
					t.Errorf("the table was altered:\n%s\nit was\n%s", after, before)
				}
			})
		})
	}
}

// auto removes the counter from the answer to SHOW CREATE TABLE.
func auto(create string) string {
	before, after, there := strings.Cut(create, " AUTO_INCREMENT=")
	if !there {
		return create
	}
	_, after, _ = strings.Cut(after, " ")
	return before + " " + after
}

func wantCount(t *testing.T, db *mysql.DB, want int64) {
	t.Helper()
	if n, err := db.Count(t.Context(), &ticket.Selection{}); err != nil || n != want {
		t.Errorf("%d tickets, error %v; want %d", n, err, want)
	}
	tickets, _, err := db.List(t.Context(), &ticket.Selection{}, &mysql.Page{Limit: 10})
	if err != nil || int64(len(tickets)) != want {
		t.Errorf("%d tickets listed, error %v; want %d", len(tickets), err, want)
	}
}

// stranger is another owner's table, which counts its ids.
func stranger(t *testing.T) *mysql.DB {
	t.Helper()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"})
	exec(t, db, "CREATE TABLE tickets (id INT AUTO_INCREMENT PRIMARY KEY, status VARCHAR(9) NOT NULL DEFAULT 'new', code "+
		"VARCHAR(9) UNIQUE)")
	migrate(t, db, mysql.MigrateOptions{})
	return db
}

func acknowledged(c store.Claim, at ticket.Revision) store.Claim {
	c.Created = at
	return c
}

// Without the plain INSERT, a create would merge its fields into the row of another owner's ticket (tried by hand).
func TestACreateNeverTouchesARowThatIsThere(t *testing.T) {
	t.Parallel()
	const apart = 10_000_000 // more µs than the clocks of hosts may differ
	db := stranger(t)
	exec(t, db, "INSERT INTO tickets (status) VALUES ('theirs')")
	write(t, db, set(2, 10*apart, "status", "older"))
	results := write(t, db,
		acknowledged(set(1, 20*apart, "status", "new"), 20*apart),
		acknowledged(set(2, 20*apart, "status", "new"), 20*apart),
		acknowledged(set(3, 22*apart, "status", "new"), 20*apart))
	for i := range 2 {
		if r := results[i].Refused; r == nil || r.Code != 1062 || !strings.Contains(r.Reason, "belongs to another ticket") {
			t.Errorf("create of %d: %+v, want it refused as taken", i+1, results[i])
		}
	}
	wantStored(t, results[2:], 22*apart)
	wantFields(t, db, 1, 0, "status", "theirs")
	wantFields(t, db, 2, 10*apart, "status", "older")

	// An earlier part of the same create, or the whole, is no other ticket.
	wantStored(t, write(t, db, acknowledged(set(3, 22*apart, "status", "again"), 20*apart)), 22*apart)
	wantFields(t, db, 3, 22*apart, "status", "new")
	results = write(t, db,
		acknowledged(set(3, 30*apart, "status", "set"), 20*apart),
		acknowledged(set(4, 30*apart, "status", "new"), 30*apart))
	wantStored(t, results, 30*apart, 30*apart)
	wantFields(t, db, 3, 30*apart, "status", "set")

	// A create that was deleted before it arrived must not delete another ticket's row.
	unborn := write(t, db,
		acknowledged(deletion(1, 40*apart), 35*apart),
		acknowledged(deletion(5, 40*apart), 35*apart),
		acknowledged(deletion(4, 40*apart), 30*apart))
	wantStored(t, unborn, 40*apart, 40*apart, 40*apart)
	if !unborn[0].Void || unborn[1].Void || unborn[2].Void {
		t.Errorf("results %+v, want the first void", unborn)
	}
	if id, err := db.MaxID(t.Context()); err != nil || id != 5 {
		t.Errorf("highest id %d, error %v; want 5, which is deleted", id, err)
	}
	wantFields(t, db, 1, 0, "status", "theirs")
	wantGone(t, db, 4)
	wantStored(t, write(t, db, acknowledged(set(5, 50*apart, "status", "late"), 35*apart)), 50*apart)
	wantGone(t, db, 5)

	// Another unique index: the error has the server's own words.
	write(t, db, set(6, 1, "code", "A"))
	if r := write(t, db, acknowledged(set(7, 60*apart, "code", "A"), 60*apart))[0].Refused; r == nil || r.Code != 1062 ||
		!strings.Contains(r.Reason, "code") {
		t.Errorf("refused %+v, want the index named", r)
	}
}

// A ticket that is refused leaves no revision in the side table: a retry of the same change would be taken for done.
func TestARefusedChangeLeavesNoRevision(t *testing.T) {
	t.Parallel()
	db := stranger(t)
	results := write(t, db, set(1, 10, "status", "far too long"), set(2, 10, "status", "fits"))
	if results[0].Refused == nil || results[0].Refused.Code != 1406 {
		t.Fatalf("result %+v, want it refused with 1406", results[0])
	}
	wantStored(t, results[1:], 10)
	exec(t, db, "ALTER TABLE tickets MODIFY status VARCHAR(20) NOT NULL")
	wantStored(t, write(t, db, set(1, 10, "status", "far too long")), 10)
	wantFields(t, db, 1, 10, "status", "far too long")
}

// The owner's own delete counts: later changes are not written into the owner's trash.
func TestAChangeIsNotWrittenIntoTheOwnersTrash(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"})
	exec(t, db, "CREATE TABLE tickets (id INT PRIMARY KEY, status VARCHAR(9), must INT NOT NULL, deleted_at DATETIME NOT NULL)")
	exec(t, db, "INSERT INTO tickets VALUES (1, 'kept', 0, '2026-01-02')")
	migrate(t, db, mysql.MigrateOptions{})
	for i, change := range []store.Claim{set(1, 10, "status", "late"), set(1, 11, "status", "late", "must", "1")} {
		wantStored(t, write(t, db, change), change.Revision)
		wantFields(t, db, 1, change.Revision, "status", "kept")
		if i == 0 {
			exec(t, db, "ALTER TABLE tickets MODIFY deleted_at DATETIME NULL") // then a row can be inserted, and is an upsert
			if _, err := db.LoadDefinition(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantStored(t, write(t, db, deletion(1, 20)), 20)
	wantCount(t, db, 0)
}

func TestTablesThatCannotBeAdopted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ create, key, want string }{
		"a text as key": {"CREATE TABLE tickets (code VARCHAR(20) PRIMARY KEY, status INT)", "code", "key column code " +
			"is varchar"},
		"no primary key": {"CREATE TABLE tickets (id INT, status INT, KEY (id))", "id", "column id has no unique index " +
			"of its own"},
		"a key of several": {"CREATE TABLE tickets (id INT, blog INT, PRIMARY KEY (blog, id))", "id", "no unique index " +
			"of its own"},
		"no such column":          {"CREATE TABLE tickets (nr INT PRIMARY KEY, state INT)", "id", "no column id (it has: nr, state)"},
		"a view":                  {"CREATE VIEW tickets AS SELECT 1 AS id", "id", "is a view"},
		"a revision of its own":   {"CREATE TABLE tickets (id INT PRIMARY KEY, revision INT NOT NULL)", "id", ""},
		"a bigint revision of it": {"CREATE TABLE tickets (id INT PRIMARY KEY, revision BIGINT NOT NULL DEFAULT 0)", "id", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, database := testenv.SharedMariaDB(t)
			db := open(t, mysql.Config{DSN: server.DSN(database), Table: "tickets", Key: c.key})
			exec(t, db, c.create)
			before := shows(t, db, "tickets")
			_, err := db.LoadDefinition(t.Context())
			wantPaused(t, err)
			_, err = db.Migrate(t.Context(), mysql.MigrateOptions{})
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want %q", err, c.want)
			}
			if c.want == "" {
				if _, err := db.LoadDefinition(t.Context()); err != nil && !strings.Contains(err.Error(), "columns") {
					t.Error(err)
				}
			}
			if c.want == "" && shows(t, db, "tickets_ticketd") == "" {
				t.Error("there is no side table: the revision of somebody else is taken for ticketd's")
			}
			if after := shows(t, db, "tickets"); after != before {
				t.Errorf("it was altered:\n%s", after)
			}
		})
	}
}

// A column called revision that an INSERT must give makes every INSERT of ticketd fail, so the column must be a field.
func TestARevisionOfSomebodyElse(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	config := mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"}
	db := open(t, config)
	exec(t, db, "CREATE TABLE tickets (id INT PRIMARY KEY, revision BIGINT NOT NULL)")
	migrate(t, db, mysql.MigrateOptions{})
	_, err := db.LoadDefinition(t.Context())
	wantPaused(t, err)
	config.Columns = map[string]string{"edition": "revision"}
	db = open(t, config)
	wantStored(t, write(t, db, set(1, 10, "edition", "3")), 10)
	wantFields(t, db, 1, 10, "edition", "3")
}

// Data that an earlier version put into another owner's table moves out: revisions, tombstones, marks; then the column, if the
// operator asks.
func TestMovingIntoASideTable(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	config := mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"}
	db := open(t, config)
	exec(t, db, "CREATE TABLE tickets (id BIGINT PRIMARY KEY, status VARCHAR(9), `revision` bigint unsigned NOT NULL DEFAULT 0, "+
		"KEY `ticketd_revision` (`revision`))")
	exec(t, db, "INSERT INTO tickets (id, status) VALUES (3, 'theirs')")
	migrate(t, db, mysql.MigrateOptions{})
	write(t, db, set(1, 10, "status", "open"), set(2, 11, "status", "open"))
	write(t, db, deletion(2, 20))
	if again := migrate(t, db, mysql.MigrateOptions{}); len(again) != 0 {
		t.Errorf("an installation that has its column was changed: %q", again)
	}
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{DropColumn: true}); err == nil {
		t.Error("the column was dropped while it is in use")
	}
	planned := migrate(t, db, mysql.MigrateOptions{Sidecar: true, DropColumn: true, DryRun: true})
	exec(t, db, "CREATE TABLE tickets_ticketd_new (id INT)") // of a run that was interrupted
	if done := migrate(t, db, mysql.MigrateOptions{Sidecar: true, DropColumn: true}); !slices.Equal(planned, done) {
		t.Errorf("planned %q, done %q", planned, done)
	}
	if again := migrate(t, db, mysql.MigrateOptions{Sidecar: true, DropColumn: true}); len(again) != 0 {
		t.Errorf("the second run did %q", again)
	}
	if text := shows(t, db, "tickets"); strings.Contains(text, "revision") {
		t.Errorf("the column is there:\n%s", text)
	}
	// A daemon that ran meanwhile meets a table without the column, and reads the definition again.
	_, err := mysql.NewSink(db).Write(t.Context(), []store.Claim{set(1, 12, "status", "x")})
	wantPaused(t, err)
	db = open(t, config)
	wantStored(t, write(t, db, set(1, 9, "status", "older"), set(2, 30, "status", "late"), set(3, 5, "status", "ours")), 10, 30, 5)
	wantFields(t, db, 1, 10, "status", "open")
	wantGone(t, db, 2)
	wantFields(t, db, 3, 5, "status", "ours")
}

func TestMovingTicketdsOwnTable(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	db := migrated(t, server.DSN(name))
	gone := set(2, 20, "deleted_at", "2026-01-02 03:04:05")
	gone.Deleted = true
	write(t, db, set(1, 10, "status", "open"), gone)
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{Sidecar: true, DropColumn: true}); err == nil {
		t.Error("the column of ticketd's own table was dropped")
	}
	if _, err := db.LoadDefinition(t.Context()); err != nil { // the side table still exists
		t.Fatal(err)
	}
	wantStored(t, write(t, db, set(1, 9, "status", "older"), set(2, 30, "status", "late"), set(3, 5, "status", "new")), 10, 30, 5)
	born, _ := row(t, db, 1).Fields.Get("created_at")
	wantFields(t, db, 1, 10, "status", "open", "created_at", born.Text())
	if !row(t, db, 2).Deleted {
		t.Error("ticket 2 is not deleted")
	}
	wantCount(t, db, 2)
}

func TestAdoptingTwiceAtOnce(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	config := mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id"}
	exec(t, open(t, config), "CREATE TABLE tickets (id INT PRIMARY KEY, revision BIGINT UNSIGNED NOT NULL DEFAULT 0, KEY "+
		"ticketd_revision (revision))")
	var all sync.WaitGroup
	for range 4 {
		db := open(t, config)
		all.Go(func() {
			if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{Sidecar: true, DropColumn: true}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// The readers look up the side row by its key, only for the rows that they read.
func TestReadersDoNotReadTheWholeSideTable(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "tickets", Key: "id", MaxConns: 1}) // the counts are the session's
	exec(t, db, "CREATE TABLE tickets (id INT PRIMARY KEY, status INT)")
	migrate(t, db, mysql.MigrateOptions{})
	exec(t, db, "INSERT INTO tickets (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) "+
		"SELECT i FROM n")
	exec(t, db, "INSERT INTO tickets_ticketd (ticket_id, revision) SELECT id, id FROM tickets")
	wantFields(t, db, 900, 900)
	since := ticket.Selection{Where: []ticket.Filter{
		{Field: "revision", Is: ticket.Above, Values: []ticket.Value{ticket.Text("897")}},
		{Field: "ticket_id", Is: ticket.NotEqual, Values: []ticket.Value{ticket.Text("899")}},
	}}
	if rows, _, err := db.List(t.Context(), &since, &mysql.Page{Limit: 5}); err != nil || len(rows) != 2 {
		t.Errorf("%d tickets above a revision, error %v; want 898 and 900", len(rows), err)
	}
	before := reads(t, db)
	if _, _, err := db.List(t.Context(), &ticket.Selection{}, &mysql.Page{Limit: 5, Descending: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Rows(t.Context(), []ticket.ID{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if n := reads(t, db) - before; n > 60 {
		t.Errorf("%d rows were read for a page of 5 and three tickets", n)
	}
}

// reads counts the rows that the server has read for the session.
func reads(t *testing.T, db *mysql.DB) (n int) {
	t.Helper()
	rows, err := db.Pool().QueryContext(t.Context(), "SHOW SESSION STATUS LIKE 'Handler_read%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var one int
		if err := rows.Scan(&name, &one); err != nil {
			t.Fatal(err)
		}
		n += one
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// beside says that the test runs below [TestBeside].
func beside(t *testing.T) bool {
	t.Helper()
	return strings.HasPrefix(t.Name(), "TestBeside/")
}

// statementsPerBatch is the number of statements of a batch that meets no newer row.
func statementsPerBatch(t *testing.T) int64 {
	t.Helper()
	if beside(t) {
		return 2
	}
	return 1
}

// formerly adds the columns of earlier versions to a table that the config describes, except for tests below [TestBeside].
func formerly(t *testing.T, db *mysql.DB, column string) {
	t.Helper()
	if !beside(t) {
		exec(t, db, "ALTER TABLE tickets ADD COLUMN `"+column+"` bigint unsigned NOT NULL DEFAULT 0, ADD KEY `ticketd_revision` "+
			"(`"+column+"`)")
	}
}

// TestBeside runs the tests of the sink and of the readers once more, on tables with a side table.
func TestBeside(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){ //nolint:paralleltest // each test calls Parallel itself
		"WriteInsertsAndUpdates":                TestWriteInsertsAndUpdates,
		"AVanishedRowDoesNotComeBackInPart":     TestAVanishedRowDoesNotComeBackInPart,
		"ADeletedTicketIsNotWrittenWhole":       TestADeletedTicketIsNotWrittenWhole,
		"AColumnForAFieldOfTheExtraColumn":      TestAColumnForAFieldOfTheExtraColumn,
		"AnOlderRevisionNeverOverwrites":        TestAnOlderRevisionNeverOverwrites,
		"AnEqualRevisionIsIdempotent":           TestAnEqualRevisionIsIdempotent,
		"ColumnsThatDidNotChangeStay":           TestColumnsThatDidNotChangeStayAsSQLEditedThem,
		"ConcurrentWritersLeaveTheHighest":      TestConcurrentWritersLeaveTheHighestRevision,
		"ExtraFields":                           TestExtraFields,
		"AnotherUniqueIndexDoesNotMixTickets":   TestAnotherUniqueIndexDoesNotMixTickets,
		"AFieldWithoutAPlace":                   TestAFieldWithoutAPlace,
		"TheLastOldChangeRaisesTheRow":          TestTheLastOldChangeRaisesTheRow,
		"OddRevision":                           TestOddRevision,
		"TicketsOfSetsAreAsOldAsTheSet":         TestTicketsOfSetsAreAsOldAsTheSet,
		"BitAndBinaryColumns":                   TestBitAndBinaryColumns,
		"SoftDeletes":                           TestSoftDeletes,
		"BatchesAreCutByRowsAndSorted":          TestBatchesAreCutByRowsAndSorted,
		"TheServersAnswerIsNotMistaken":         TestTheServersAnswerIsNotMistaken,
		"DeletedTickets":                        TestDeletedTickets,
		"SinceWhenThereIsATicket":               TestSinceWhenThereIsATicket,
		"SinceWhenADeletedTicketIsKnown":        TestSinceWhenADeletedTicketIsKnown,
		"SinceWhenByAUnixTime":                  TestSinceWhenByAUnixTime,
		"DeletedTicketsOfATableThatRemovesRows": TestDeletedTicketsOfATableThatRemovesRows,
		"ALateWriteDoesNotResurrect":            TestALateWriteDoesNotResurrect,
		"ALateDeletionDoesNotRemoveANewerRow":   TestALateDeletionDoesNotRemoveANewerRow,
		"DeletionsAgainstLateWrites":            TestDeletionsAgainstLateWrites,
		"ExtraThatIsNoJSON":                     TestExtraThatIsNoJSON,
		"ARefusedRowHoldsUpNobody":              TestARefusedRowHoldsUpNobody,
		"TableMissing":                          TestTableMissing,
		"ColumnMissing":                         TestColumnMissing,
		"AlteredUnderTheWrites":                 TestAlteredUnderTheWrites,
		"LockWaitTimeout":                       TestLockWaitTimeout,
		"Deadlock":                              TestDeadlock,
		"StatementsStayBelowThePacketLimit":     TestStatementsStayBelowThePacketLimit,
		"TheServerTakesNothing":                 TestTheServerTakesNothing,
		"ConnectionLostBeforeTheAnswer":         TestConnectionLostBeforeTheAnswer,
		"ListFilters":                           TestListFilters,
		"CountBy":                               TestCountBy,
		"ListPages":                             TestListPages,
		"ListRefuses":                           TestListRefuses,
		"ListOfAnExistingTable":                 TestListOfAnExistingTable,
		"ListPagesOverOddDates":                 TestListPagesOverOddDates,
		"ListEndsInTheServer":                   TestListEndsInTheServer,
		"RowsOfSeveralTickets":                  TestRowsOfSeveralTickets,
		"DefaultsOfTheLiveTable":                TestDefaultsOfTheLiveTable,
		"ExistingTable":                         TestExistingTable,
		"PartialChangesWithARequiredColumn":     TestPartialChangesOfATableWithARequiredColumn,
		"ABadRowAmongPartialChanges":            TestABadRowAmongPartialChanges,
	} {
		t.Run(name, test)
	}
}
