package mysql

import "strings"

// Name is the table with its database, the same on every host that uses it: "wordpress.wp_support_tickets". The daemon
// marks the site's keys in Redis with it.
func (db *DB) Name() string { return db.database + "." + db.config.Table }

// NameOf is the name of another table of the database.
func (db *DB) NameOf(table string) string { return db.database + "." + table }

// SameName says whether two names of tables are one for the server. As long as it has not said whether case counts, it does not.
func (db *DB) SameName(a, b string) bool {
	return a == b || !db.caseCounts.Load() && strings.EqualFold(a, b)
}

// Address is the server's, as the DSN has it: its network and where it is there.
func (db *DB) Address() string { return db.address }
