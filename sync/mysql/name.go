package mysql

// Name is the table with its database, the same on every host that uses it: "wordpress.wp_support_tickets". The daemon
// marks the site's keys in Redis with it.
func (db *DB) Name() string { return db.database + "." + db.config.Table }

// Address is the server's, as the DSN has it: its network and where it is there.
func (db *DB) Address() string { return db.address }
