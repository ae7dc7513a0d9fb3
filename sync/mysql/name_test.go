package mysql_test

import (
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/sync/mysql"
)

// The server says whether two names that differ in case are two tables. Before it has said so, they are taken for one.
func TestSameName(t *testing.T) {
	t.Parallel()
	if testenv.IsMySQL() {
		t.Skip("MySQL takes lower_case_table_names only when its data folder is made")
	}
	for setting, isOne := range map[string]bool{"0": false, "1": true} {
		server := testenv.NewMariaDB(t, testenv.MariaDBOptions{Args: []string{"--lower-case-table-names=" + setting}})
		if err := server.CreateDatabase(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
		db := migrated(t, server.DSN("shop"))
		if !open(t, mysql.Config{DSN: server.DSN("shop")}).SameName("Shop.wp_t", "shop.wp_t") {
			t.Error("two names are two before the server has said so")
		}
		if _, err := db.LoadDefinition(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := db.SameName("Shop.wp_t", db.NameOf("wp_t")); got != isOne {
			t.Errorf("lower_case_table_names=%s: one name %v, want %v", setting, got, isOne)
		}
		if !db.SameName("shop.wp_t", "shop.wp_t") || db.SameName("shop.wp_t", "shop2.wp_t") {
			t.Error("a name is not itself, or another")
		}
	}
}
