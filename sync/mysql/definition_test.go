package mysql_test

import (
	"errors"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

func TestDefinitionOfTheLiveTable(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	for problem, create := range map[string]string{
		"no_key":      "(id INT PRIMARY KEY, revision BIGINT NOT NULL)",
		"text_key":    "(ticket_id CHAR(9) PRIMARY KEY, revision BIGINT NOT NULL)",
		"not_unique":  "(ticket_id BIGINT, revision BIGINT NOT NULL, KEY (ticket_id))",
		"half_unique": "(ticket_id BIGINT, blog INT, revision BIGINT NOT NULL, PRIMARY KEY (ticket_id, blog))",
		"null_rev":    "(ticket_id BIGINT PRIMARY KEY, revision BIGINT)",
		"narrow_rev":  "(ticket_id BIGINT PRIMARY KEY, revision INT NOT NULL)",
	} {
		db := open(t, mysql.Config{DSN: server.DSN(name), Table: problem})
		exec(t, db, "CREATE TABLE "+problem+" "+create)
		if _, err := db.LoadDefinition(t.Context()); !errors.Is(err, flush.ErrSinkPaused) {
			t.Errorf("%s: error %v, want the table refused", problem, err)
		}
	}
	db := open(t, mysql.Config{DSN: server.DSN(name), Table: "mapped", Columns: map[string]string{"status": "nowhere"}})
	exec(t, db, "CREATE TABLE mapped (ticket_id BIGINT PRIMARY KEY, revision BIGINT NOT NULL)")
	if _, err := db.LoadDefinition(t.Context()); !errors.Is(err, flush.ErrSinkPaused) {
		t.Errorf("a mapped column that is not there: error %v", err)
	}
}

func TestDefaultsOfTheLiveTable(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		exec(t, db, `ALTER TABLE wp_support_tickets ADD a ENUM('a','it''s','x,y','(z)') DEFAULT 'it''s',
			ADD b BIT(3) DEFAULT b'101', ADD c VARCHAR(9) DEFAULT 'a\\b''(', ADD d DECIMAL(4,2) DEFAULT 1.5,
			ADD e DATETIME(3) NULL DEFAULT CURRENT_TIMESTAMP(3),
			ADD f VARCHAR(36) DEFAULT (CONCAT('a', 'b')), ADD g INT AS (ticket_id + 1),
			ADD h INT NOT NULL DEFAULT -5, ADD i INT NOT NULL,
			ADD j VARCHAR(9) DEFAULT 'NULL'`)
		d, err := db.LoadDefinition(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for field, want := range map[string]string{
			"a": "value it's", "b": "server ", "c": `value a\b'(`, "d": "value 1.50", "e": "now ", "f": "server ",
			"g": "server ",
			"h": "value -5", "i": " ", "j": "value NULL", "category": "null ", "status": "value open",
		} {
			n, _ := d.Position(field)
			if c := d.Columns[n]; string(c.Default.Source)+" "+c.Default.Text != want || c.Generated != (field == "g") {
				t.Errorf("%s: default %+v, generated %v; want %q", field, c.Default, c.Generated, want)
			}
		}
		n, _ := d.Position("a")
		if got := d.Columns[n].Members; len(got) != 4 || got[1] != "it's" || got[2] != "x,y" || got[3] != "(z)" {
			t.Errorf("members %q", got)
		}
	})
}
