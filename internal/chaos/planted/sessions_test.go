package planted

import (
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/testenv"
)

// sessions are the invariants of the daemon's sessions in MySQL: the daemon overrides the server's presets for sessions. Each
// preset causes different faults, and a server has a single preset.
var sessions = map[string]invariant{
	"text arrives as it was sent": {
		plants: []plant{
			{file: "sync/mysql/session.go", text: pin("character_set_client", `value: "'utf8mb4'"`)},
			{file: "sync/mysql/session.go", text: pin("character_set_results", `value: "'utf8mb4'"`)},
			{file: "sync/mysql/session.go", text: pin("character_set_connection", `value: "'utf8mb4'"`)},
			{file: "sync/mysql/session.go", text: pin("collation_connection", `value: "'" + connCollation + "'"`)},
		},
		with: "sessions", site: never, preset: "SET NAMES latin1", provoke: changedUnderPreset, rule: check.RuleNowhere,
	},
	"a statement is committed when it is answered": {
		plants: []plant{{file: "sync/mysql/session.go", text: pin("autocommit", `value: "ON"`)}},
		with:   "sessions", site: never, preset: "SET autocommit = 0", provoke: changedUnderPreset, rule: check.RuleMissing,
	},
	"a session may write": {
		plants: []plant{
			{file: "sync/mysql/session.go", text: pin("tx_read_only", `value: "OFF", only: mariaDB`)},
			{file: "sync/mysql/session.go", text: pin("transaction_read_only", `value: "OFF", only: mySQL`)},
		},
		with: "sessions", site: never, preset: "SET SESSION TRANSACTION READ ONLY", provoke: changedUnderPreset,
		rule: check.RuleLeftDirty,
	},
}

// pin is the text of a setting that each session is given.
func pin(name, rest string) string { return "\t{name: \"" + name + "\", " + rest + "},\n" }

// presettable gives the rig its own server, and a user with presets: presets do not apply to users who may set them.
func (r *rig) presettable(t *testing.T) {
	t.Helper()
	const database, user = "planted", "ticketd"
	r.mariadb = testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	if err := r.mariadb.CreateDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	r.dsn, r.db = r.mariadb.DSN(database), r.mariadb.DB(t, database)
	for _, statement := range []string{
		"CREATE USER " + user + "@localhost", "GRANT ALL ON " + database + ".* TO " + user + "@localhost",
	} {
		if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	config, err := mysql.ParseDSN(r.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.User = user
	r.dsn = config.FormatDSN()
}

// changedUnderPreset presets the sessions of a starting daemon, which then changes a ticket and flushes it.
func changedUnderPreset(t *testing.T, r *rig) {
	h := r.host(t)
	if _, err := r.db.ExecContext(t.Context(), "SET GLOBAL init_connect = '"+r.preset+"'"); err != nil {
		t.Fatal(err)
	}
	h.Kill()
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.set(t, h, 1, "ü€😀", "")
}
