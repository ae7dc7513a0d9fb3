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
	"regexp"
	"slices"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// identitySuffix makes the name of the table that says which table this is, beside the tickets: so a dump, a replica and a
// restored backup take it along.
const identitySuffix = "_identity"

// identityRow is the id of the row with the table's identity. The others are marks, see [guard].
const identityRow = 1

// Identity is which table this is, and where it is.
type Identity struct {
	// ID is the table's, made once; empty where it has none yet.
	ID string
	// Home is the server, database and name of which the table's row says that it is there, Here those where it was read. Where they
	// differ the table is a copy, or has moved.
	Home, Here string
	// Since is when Home was written.
	Since time.Time
}

// AtHome says that the table is where its row says.
func (i *Identity) AtHome() bool { return i.ID != "" && i.Home == i.Here }

// newIdentity makes one that no other table has.
func newIdentity() string { return rand.Text() }

// identities are the statements about one table's identity, on one connection.
type identities struct {
	conn  sqldriver.Conn
	table string
}

func (i identities) name() string { return quote(i.table + identitySuffix) }

// query runs a statement on the connection.
func (i identities) query(ctx context.Context, statement string, args ...any) ([][]string, error) {
	return query(ctx, i.conn, statement, args...)
}

// make makes the table of the identity; if the table does not exist, it needs the right to CREATE.
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

// add gives the table an identity, unless another process just has.
func (i identities) add(ctx context.Context, identity, here string) error {
	_, err := i.query(ctx, "INSERT IGNORE INTO "+i.name()+" (id, identity, server, accepted) VALUES (?, ?, ?, UTC_TIMESTAMP())",
		int64(identityRow), identity, here)
	return err
}

// settle writes where the table is, and that it has this identity.
func (i identities) settle(ctx context.Context, identity, here string) error {
	_, err := i.query(ctx, "INSERT INTO "+i.name()+" (id, identity, server, accepted) VALUES (?, ?, ?, UTC_TIMESTAMP()) "+
		"ON DUPLICATE KEY UPDATE identity = VALUES(identity), server = VALUES(server), accepted = VALUES(accepted)",
		int64(identityRow), identity, here)
	return err
}

// read returns the identity's row, and the mark in the row of that number; empty where there are none.
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

// place is a server with a database, as far as the server tells.
type place struct {
	where    string // the server, the database and the table
	readOnly bool
}

// container matches the hostname that container engines make up: a new one for every container, whatever data it is given.
var container = regexp.MustCompile(`^[0-9a-f]{12}$`)

// maxPlace is how many characters the column for it holds.
const maxPlace = 512

// look says where this connection leads to: which server, which database, which table. It is the same for all nodes of a Galera
// cluster and of a replication group, as they hold the same table. MariaDB has no number of its own, so its host, port and folder
// stand for one; where the host is a container, its name is made anew with it, and the time at which the table of the identity
// was made stands for it: that of a restored dump is another.
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
	if container.MatchString(v["hostname"]) {
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

// ReadIdentity tells which table this is and where. Nothing is changed.
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

// MoveIdentity says that the table has moved to where it is now: it keeps its identity, and gets one where it has none.
func (db *DB) MoveIdentity(ctx context.Context) (Identity, error) {
	return db.changeIdentity(ctx, func(had string) string {
		if had == "" {
			had = newIdentity()
		}
		return had
	})
}

// RenewIdentity says that the table is a copy, which gets an identity of its own.
func (db *DB) RenewIdentity(ctx context.Context) (Identity, error) {
	return db.changeIdentity(ctx, func(string) string { return newIdentity() })
}

func (db *DB) changeIdentity(ctx context.Context, id func(had string) string) (Identity, error) {
	var now Identity
	err := db.identities(ctx, func(i identities) error {
		if err := i.make(ctx); err != nil {
			return err
		}
		here, err := i.look(ctx) // after the table was made, whose time may be a part of the answer
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

// missing says that there is no such table.
func missing(err error) bool {
	const noSuchTable = 1146
	return refusedWith(err, noSuchTable)
}

// refusedWith says that the server answered with one of these errors.
func refusedWith(err error, numbers ...uint16) bool {
	refused, ok := errors.AsType[*driver.MySQLError](err)
	if !ok {
		return false
	}
	return slices.Contains(numbers, refused.Number)
}

// Guard has every new connection looked at: one that leads to a table that is not what it says, or not the one that this process
// works for, is closed, and what it was made for fails with [flush.ErrSinkForeign]. It is called before the first use.
func (db *DB) Guard(o GuardOptions) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	row := int64(binary.BigEndian.Uint64(random[:])>>2) + identityRow + 1
	db.guard = &guard{
		options: o, table: db.config.Table, name: db.Name(), row: row, now: time.Now,
		look: func(ctx context.Context, i identities) (place, error) { return i.look(ctx) },
	}
}

// Assume tells the guard which table this process works for, before MySQL has said so.
func (db *DB) Assume(identity string) {
	db.guard.mu.Lock()
	defer db.guard.mu.Unlock()
	if db.guard.identity == "" {
		db.guard.identity = identity
	}
}

// Identify asks the table which one it is, where this process does not know yet. It is of use where there is a guard.
func (db *DB) Identify(ctx context.Context) error {
	if db.guard == nil || db.guard.known() != "" {
		return nil
	}
	return db.identifyAgain(ctx)
}

// identifyAgain asks the table which one it is on any connection: a connection that was looked at when it was made leads to
// another table once tables are renamed.
func (db *DB) identifyAgain(ctx context.Context) error {
	if db.guard == nil {
		return nil
	}
	return db.failure("identify the table", db.identities(ctx, func(i identities) error { return db.guard.check(ctx, i) }))
}

// Daemons of one site that keep its tickets under different keys (another key_prefix, database or server of Redis) do not see
// each other's changes, and nothing in Redis can tell: each finds its own keys only. What they share is the table. So each
// daemon writes beside the table's identity under which filling of which keys it works, again and again, and looks who else
// has.

// fillingRows is where the rows of fillings begin, above those of marks.
const fillingRows int64 = 1 << 62

// Witness writes that a daemon works with this filling of the store's keys, described for people, and returns how the
// fillings are described that other daemons have named within that time. Where this user may not write there, nobody is
// named.
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
