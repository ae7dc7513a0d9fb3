package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"hash/fnv"

	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/charset"
)

// identitySuffix makes the name of the table of the identity, beside the tickets table: so dumps, replicas and restored backups
// include the identity.
const identitySuffix = "_identity"

// identityRow is the id of the row with the table's identity. The other rows are marks, see [guard].
const identityRow = 1

// Identity is a table's identity and place.
type Identity struct {
	// ID is the table's identity, made once; empty before the table has an identity.
	ID string
	// Home is the server, database and name that the table's row states; Here is the place of the reading. If the two differ, the
	// table is a copy or has moved.
	Home, Here string
	// Since is when Home was written.
	Since time.Time
}

// AtHome says that the table is at the place that its row states.
func (i *Identity) AtHome() bool { return i.ID != "" && i.Home == i.Here }

// newIdentity makes a random identity that no other table has.
func newIdentity() string { return rand.Text() }

// identities are the statements about a table's identity, on one connection.
type identities struct {
	conn  sqldriver.Conn
	table string
}

func (i identities) name() string { return quote(i.table + identitySuffix) }

// query runs a statement on the connection.
func (i identities) query(ctx context.Context, statement string, args ...any) ([][]string, error) {
	return query(ctx, i.conn, statement, args...)
}

// make creates the table of the identity if the table does not exist; the user needs the right to CREATE.
func (i identities) make(ctx context.Context) error {
	_, err := i.query(ctx, i.createTable())
	return err
}

func (i identities) createTable() string {
	return "CREATE TABLE IF NOT EXISTS " + i.name() + " (\n" +
		"  `id` bigint unsigned NOT NULL,\n" +
		"  `identity` varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,\n" +
		"  `server` varchar(512) NOT NULL,\n" +
		"  `accepted` datetime NOT NULL,\n" +
		"  PRIMARY KEY (`id`)\n" +
		") ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
}

// add gives the table an identity, unless another process was faster.
func (i identities) add(ctx context.Context, identity, here string) error {
	_, err := i.query(ctx, "INSERT IGNORE INTO "+i.name()+" (id, identity, server, accepted) VALUES (?, ?, ?, UTC_TIMESTAMP())",
		int64(identityRow), identity, here)
	return err
}

// settle writes the table's identity and place.
func (i identities) settle(ctx context.Context, identity, here string) error {
	_, err := i.query(ctx, "INSERT INTO "+i.name()+" (id, identity, server, accepted) VALUES (?, ?, ?, UTC_TIMESTAMP()) "+
		"ON DUPLICATE KEY UPDATE identity = VALUES(identity), server = VALUES(server), accepted = VALUES(accepted)",
		int64(identityRow), identity, here)
	return err
}

// read returns the identity's row, and the mark in the row with the given number; empty without such rows.
func (i identities) read(ctx context.Context, marks int64) (row Identity, mark string, err error) {
	rows, err := i.query(ctx, "SELECT id, identity, server, UNIX_TIMESTAMP(accepted) FROM "+i.name()+" WHERE id IN (?, ?)",
		int64(identityRow), marks)
	if err != nil {
		return Identity{}, "", err
	}
	for _, r := range rows {
		if r[0] != "1" {
			mark = r[1]
			continue
		}
		row.ID, row.Home = r[1], r[2]
		var seconds int64
		if _, err := fmt.Sscan(r[3], &seconds); err == nil {
			row.Since = time.Unix(seconds, 0).UTC()
		}
	}
	return row, mark, nil
}

// place is a server with a database, as the server describes itself.
type place struct {
	where    string // the server, the database and the table
	readOnly bool
}

// isContainer says whether a hostname is one of a container engine's: every container gets a new hostname, whatever its data.
func isContainer(hostname string) bool {
	return len(hostname) == 12 && charset.Only(hostname, 12, "0123456789abcdef")
}

// maxPlace is the length of the place's column, in characters.
const maxPlace = 512

// look returns the place of this connection: server, database and table. All nodes of a Galera cluster or a replication group
// are the same place, as they hold the same table. MariaDB servers have no id, so host, port and folder stand for the server. A
// container's hostname changes with each container, so the creation time of the table of the identity replaces the hostname: a
// restored dump has another time.
func (i identities) look(ctx context.Context) (place, error) {
	variables, err := i.query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'hostname', 'port', 'datadir', "+
		"'socket', 'group_replication_group_name', 'wsrep_on', 'read_only', 'innodb_read_only')")
	if err != nil {
		return place{}, err
	}
	v := make(map[string]string, len(variables))
	for _, row := range variables {
		v[row[0]] = row[1]
	}
	server, err := i.server(ctx, v)
	if err != nil {
		return place{}, err
	}
	database, err := i.query(ctx, "SELECT DATABASE()")
	if err != nil {
		return place{}, err
	}
	where := []rune(server + ", " + database[0][0] + "." + i.table)
	readOnly := v["read_only"] == "ON" || v["innodb_read_only"] == "ON"
	return place{where: string(where[:min(len(where), maxPlace)]), readOnly: readOnly}, nil
}

func (i identities) server(ctx context.Context, v map[string]string) (string, error) {
	if v["wsrep_on"] == "ON" {
		status, err := i.query(ctx, "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_state_uuid'")
		if err != nil {
			return "", err
		}
		if len(status) == 1 && strings.Trim(status[0][1], "0-") != "" {
			return "Galera cluster " + status[0][1], nil
		}
	}
	switch {
	case v["group_replication_group_name"] != "":
		return "MySQL group " + v["group_replication_group_name"], nil
	case v["server_uuid"] != "":
		return "MySQL server " + v["server_uuid"], nil
	}
	host := "host " + v["hostname"]
	if isContainer(v["hostname"]) {
		made, err := i.query(ctx, "SELECT COALESCE(MAX(create_time), '') FROM information_schema.tables "+
			"WHERE table_schema = DATABASE() AND table_name = ?", i.table+identitySuffix)
		if err != nil {
			return "", err
		}
		host = "a container's data of " + made[0][0]
	}
	port := v["port"]
	if port == "0" {
		port = v["socket"]
	}
	return "MariaDB server on " + host + ", port " + port + ", " + v["datadir"], nil
}

// ReadIdentity returns the table's identity and place. It changes no data.
func (db *DB) ReadIdentity(ctx context.Context) (Identity, error) {
	var found Identity
	err := db.identities(ctx, func(i identities) error {
		here, err := i.look(ctx)
		if err != nil {
			return err
		}
		if found, _, err = i.read(ctx, identityRow); missing(err) {
			err = nil
		}
		found.Here = here.where
		return err
	})
	return found, db.failure("read the identity", err)
}

// MoveIdentity records that the table has moved to its present place: the table keeps its identity, or gets an identity if it
// has none.
func (db *DB) MoveIdentity(ctx context.Context) (Identity, error) {
	return db.changeIdentity(ctx, func(had string) string {
		if had == "" {
			had = newIdentity()
		}
		return had
	})
}

// RenewIdentity records that the table is a copy, and gives the table a new identity.
func (db *DB) RenewIdentity(ctx context.Context) (Identity, error) {
	return db.changeIdentity(ctx, func(string) string { return newIdentity() })
}

func (db *DB) changeIdentity(ctx context.Context, id func(had string) string) (Identity, error) {
	var now Identity
	err := db.identities(ctx, func(i identities) error {
		if err := i.make(ctx); err != nil {
			return err
		}
		here, err := i.look(ctx) // after make, as the table's creation time may be a part of the place
		if err != nil {
			return err
		}
		had, _, err := i.read(ctx, identityRow)
		if err != nil {
			return err
		}
		now = Identity{ID: id(had.ID), Home: here.where, Here: here.where}
		return i.settle(ctx, now.ID, now.Home)
	})
	return now, db.failure("change the identity", err)
}

// identities calls f with a connection of the pool.
func (db *DB) identities(ctx context.Context, f func(identities) error) error {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return onConn(conn, db.config.Table, f)
}

func onConn(conn *sql.Conn, table string, f func(identities) error) error {
	return conn.Raw(func(raw any) error {
		own, ok := raw.(sqldriver.Conn)
		if !ok {
			return fmt.Errorf("mysql: the driver's connection is a %T", raw)
		}
		return f(identities{own, table})
	})
}

// missing says that the table does not exist.
func missing(err error) bool {
	const noSuchTable = 1146
	return refusedWith(err, noSuchTable)
}

// refusedWith says that the server answered with one of the given errors.
func refusedWith(err error, numbers ...uint16) bool {
	refused, ok := errors.AsType[*driver.MySQLError](err)
	if !ok {
		return false
	}
	return slices.Contains(numbers, refused.Number)
}

// Guard makes db check every new connection. db closes a connection that leads to a copy or to another table than this process
// works for; the caller's statement then fails with [flush.ErrSinkForeign]. Guard is called before the first use.
func (db *DB) Guard(o GuardOptions) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	row := int64(binary.BigEndian.Uint64(random[:])>>2) + identityRow + 1
	db.guard = &guard{
		options: o, table: db.config.Table, name: db.Name(), row: row, now: time.Now,
		look: func(ctx context.Context, i identities) (place, error) { return i.look(ctx) },
	}
}

// Assume tells the guard the table's identity before MySQL has answered.
func (db *DB) Assume(identity string) {
	db.guard.mu.Lock()
	defer db.guard.mu.Unlock()
	if db.guard.identity == "" {
		db.guard.identity = identity
	}
}

// Identify asks the table for its identity if this process does not know the identity yet. Without a guard, Identify has no
// effect.
func (db *DB) Identify(ctx context.Context) error {
	if db.guard == nil || db.guard.known() != "" {
		return nil
	}
	return db.identifyAgain(ctx)
}

// identifyAgain asks the table for its identity on any connection: after a renaming of tables, an already checked connection
// leads to another table.
func (db *DB) identifyAgain(ctx context.Context) error {
	if db.guard == nil {
		return nil
	}
	return db.failure("identify the table", db.identities(ctx, func(i identities) error { return db.guard.check(ctx, i) }))
}

// Daemons of one site that keep the site's tickets under different keys (another key_prefix, database or server of Redis) do not
// see each other's changes, and Redis cannot show the mistake: each daemon finds only its own keys. The daemons share only the
// table. So each daemon writes the filling of its keys beside the table's identity, again and again, and reads the other
// daemons' rows.

// fillingRows is the first id of the rows of fillings, above the rows of marks.
const fillingRows int64 = 1 << 62

// Witness records that a daemon works with this filling of the store's keys, with a readable description, and returns the
// descriptions of the fillings that other daemons have recorded within the given time. If this user may not write, Witness
// returns none.
func (db *DB) Witness(ctx context.Context, filling, described string, within time.Duration) (others []string, err error) {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(filling)) // never fails
	row := int64(hash.Sum64()>>2) | fillingRows
	text := []rune(described)
	err = db.identities(ctx, func(i identities) error {
		_, err := i.query(ctx, "INSERT INTO "+i.name()+" (id, identity, server, accepted) VALUES (?, ?, ?, UTC_TIMESTAMP()) "+
			"ON DUPLICATE KEY UPDATE server = VALUES(server), accepted = VALUES(accepted)",
			row, filling, string(text[:min(len(text), maxPlace)]))
		if err != nil {
			return err
		}
		rows, err := i.query(ctx, "SELECT server FROM "+i.name()+" WHERE id >= ? AND identity <> ? AND "+
			"accepted > UTC_TIMESTAMP() - INTERVAL ? SECOND ORDER BY id", fillingRows, filling, int64(within.Seconds()))
		for _, r := range rows {
			others = append(others, r[0])
		}
		return err
	})
	if mayNot(err) || missing(err) {
		return nil, nil
	}
	return others, db.failure("name the keys", err)
}
