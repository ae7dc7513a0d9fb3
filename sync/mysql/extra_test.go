package mysql_test

import (
	"testing"

	"github.com/ticketd/ticketd/sync/mysql"
)

// The table gets a column for a field of the extra column, and loses the column again: the field keeps its value, and no older
// value comes back. A value that the column does not take is not shown as the column's.
func TestAColumnForAFieldOfTheExtraColumn(t *testing.T) {
	t.Parallel()
	db := private(t)
	alter := func(statement string) {
		t.Helper()
		exec(t, db, "ALTER TABLE wp_support_tickets "+statement)
		if _, err := db.LoadDefinition(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write(t, db,
		set(1, 1, "phone", "111", "note", "x"), set(2, 1, "phone", "112"), set(3, 1, "phone", "113"),
		set(4, 1, "phone", "none at all"))
	alter("ADD COLUMN phone BIGINT NULL")
	wantFields(t, db, 1, 1, "phone", "111", "note", "x")
	wantFields(t, db, 4, 1, "phone", "NULL")
	if !beside(t) {
		exec(t, db, `UPDATE wp_support_tickets SET extra = '{"category": "shadow"}' WHERE ticket_id = 4`)
		wantFields(t, db, 4, 1, "category", "NULL")
	}
	write(t, db, set(1, 2, "phone", "222"), set(2, 2, "phone", "NULL"), set(3, 2, "status", "open"), set(5, 2, "phone", "225"))
	want := func(phones ...string) {
		t.Helper()
		wantFields(t, db, 1, 2, "phone", phones[0], "note", "x")
		wantFields(t, db, 2, 2, "phone", phones[1])
		wantFields(t, db, 3, 2, "phone", phones[2], "status", "open")
	}
	want("222", "NULL", "113")
	alter("DROP COLUMN phone")
	wantFields(t, db, 1, 2, "note", "x")
	if got, there := row(t, db, 1).Fields.Get("phone"); there {
		t.Errorf("the older value %q is back", got.Text())
	}
	wantFields(t, db, 3, 2, "phone", "113")
}

// A text in the extra column that is no JSON keeps no change of a column away.
func TestAColumnBesideExtraThatIsNoJSON(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN phone VARCHAR(20) NULL, MODIFY extra TEXT NULL")
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	write(t, db, set(1, 1, "phone", "1"))
	exec(t, db, "UPDATE wp_support_tickets SET extra = 'no JSON'")
	wantStored(t, write(t, db, set(1, 2, "phone", "2")), 2)
	wantFields(t, db, 1, 2, "phone", "2")
}

// A table from before the schema file had a column: the field moves from the extra column to the column that Migrate adds.
func TestAColumnThatTheSchemaGotLater(t *testing.T) {
	t.Parallel()
	db := private(t)
	exec(t, db, "ALTER TABLE wp_support_tickets DROP COLUMN customer_name, DROP COLUMN customer_email")
	if _, err := db.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, db, set(1, 1, "customer_email", "ann@example.org"), set(2, 1, "customer_email", "bob@example.org"))
	if beside(t) {
		exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN customer_email VARCHAR(254) NULL")
	}
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.LoadDefinition(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFields(t, db, 1, 1, "customer_email", "ann@example.org")
	write(t, db, set(1, 2, "customer_email", "NULL"), set(2, 2, "customer_email", "bob@example.com"))
	wantFields(t, db, 1, 2, "customer_email", "NULL")
	wantFields(t, db, 2, 2, "customer_email", "bob@example.com")
}
