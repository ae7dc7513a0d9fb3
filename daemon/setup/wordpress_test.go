package setup

import (
	"errors"
	"os"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/testenv"
)

const strangers = `CREATE TABLE shop_support_tickets (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, customer
	VARCHAR(60) NOT NULL,
	title VARCHAR(200) NOT NULL, status VARCHAR(20) NOT NULL DEFAULT 'new', agent_id INT NULL, date_created DATETIME NOT NULL)`

// exec runs SQL in the site's database.
func (s *site) exec(t *testing.T, statement string) {
	t.Helper()
	mariadb, _ := testenv.SharedMariaDB(t)
	if _, err := mariadb.DB(t, s.database).ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// shows returns SHOW CREATE TABLE of a table.
func (s *site) shows(t *testing.T, table string) string {
	t.Helper()
	mariadb, _ := testenv.SharedMariaDB(t)
	var name, text string
	if err := mariadb.DB(t, s.database).QueryRowContext(t.Context(), "SHOW CREATE TABLE "+table).Scan(&name, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestInitDoesNotTakeATableOverByName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, strangers)
	before := s.shows(t, "shop_support_tickets")
	_, err := s.run(t.Context(), t)
	if !errors.Is(err, errStranger) {
		t.Fatalf("error %v, want that the table is not ticketd's", err)
	}
	for _, want := range []string{
		"date_created datetime", "--adopt", `key_column = "id"`, `subject = "title"`, `assigned_to = "agent_id"`,
		`created_at = "date_created"`,
		"--table shop_ticketd_tickets",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, err)
		}
	}
	if _, err := os.Stat(s.Config); err == nil {
		t.Error("a configuration was written")
	}
	s.Adopt = true
	c, err := s.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	main := c.Sites["main"]
	if main.KeyColumn != "id" || main.Columns["subject"] != "title" || main.Columns["customer_id"] != "customer" ||
		len(main.Columns) != 4 {
		t.Errorf("key %q, columns %v", main.KeyColumn, main.Columns)
	}
	if after := s.shows(t, "shop_support_tickets"); after != before {
		t.Errorf("the table was altered:\n%s", after)
	}
	s.shows(t, "shop_support_tickets_ticketd")
}

func TestInitMakesATableBesideAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, strangers)
	s.Table = "shop_ticketd_tickets"
	c, err := s.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	if main := c.Sites["main"]; main.TableName() != "shop_ticketd_tickets" || main.KeyColumn != "ticket_id" {
		t.Errorf("%+v", main)
	}
	if !strings.Contains(s.shows(t, "shop_ticketd_tickets"), "`revision`") {
		t.Error("the table is not one of ticketd's own")
	}
	s.Force, s.Adopt = true, true // ticketd's own table needs no adoption
	if _, err := s.run(t.Context(), t); err != nil {
		t.Error(err)
	}
}

func TestInitSaysWhatCannotBeAdopted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, "CREATE TABLE shop_support_tickets (code VARCHAR(9) PRIMARY KEY, blog INT)")
	for _, s.Adopt = range []bool{false, true} {
		if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "no integer column with a unique index") ||
			!strings.Contains(err.Error(), "--table shop_ticketd_tickets") {
			t.Errorf("adopt %v: error %v", s.Adopt, err)
		}
	}
}

// A table with the names of ticketd's fields needs no lines; after adoption init finds the table again.
func TestInitFindsAnAdoptedTable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.exec(t, "CREATE TABLE shop_support_tickets (ticket_id BIGINT PRIMARY KEY, status VARCHAR(9))")
	if _, err := s.run(t.Context(), t); !errors.Is(err, errStranger) {
		t.Fatalf("error %v", err)
	}
	s.Adopt = true
	c, err := s.run(t.Context(), t)
	if err != nil || len(c.Sites["main"].Columns) != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	s.Adopt, s.Force = false, true
	if _, err := s.run(t.Context(), t); err != nil {
		t.Error(err)
	}
	if dsn, err := driver.ParseDSN(c.Sites["main"].DSN.Reveal()); err != nil || dsn.DBName != s.database {
		t.Errorf("%v, %v", dsn, err)
	}
}
