package testenv

import (
	"database/sql"
	"testing"
)

func TestMariaDBSurvivesKillAndRestart(t *testing.T) {
	t.Parallel()
	server := NewMariaDB(t, MariaDBOptions{Args: []string{"--max-allowed-packet=1M"}})
	if err := server.CreateDatabase(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	db := server.DB(t, "kept")
	mustExec(t, db, "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB")
	mustExec(t, db, "INSERT INTO t VALUES (7)")

	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	var id, packet int
	if err := db.QueryRowContext(t.Context(), "SELECT id, @@max_allowed_packet FROM t").Scan(&id, &packet); err != nil {
		t.Fatal(err)
	}
	if id != 7 || packet != 1<<20 {
		t.Fatalf("after the restart: row %d, max_allowed_packet %d; want 7 and %d", id, packet, 1<<20)
	}
}

func TestSharedMariaDBGivesEachTestItsOwnDatabase(t *testing.T) {
	t.Parallel()
	server, first := SharedMariaDB(t)
	_, second := SharedMariaDB(t)
	mustExec(t, server.DB(t, first), "CREATE TABLE t (id INT PRIMARY KEY)")
	mustExec(t, server.DB(t, second), "CREATE TABLE t (id INT PRIMARY KEY)")
}

func mustExec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
