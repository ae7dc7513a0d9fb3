package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDBOptions say what a private MariaDB is to be like. The zero value is a small server with the server's own
// defaults: durable commits, strict mode.
type MariaDBOptions struct {
	// Args are further server flags, e.g. "--max-allowed-packet=1M".
	Args []string
	// TCP makes it listen on a free port of 127.0.0.1 besides its socket.
	TCP bool
	// Data is the data folder of a server that is stopped: this one begins with a copy of it. Empty for a fresh one.
	Data string
}

// MariaDB is a private MariaDB server, or the MySQL that TICKETD_TEST_MYSQL names. Its user root has no password; its socket
// lies in a folder that is closed to others.
type MariaDB struct {
	process

	socket string
	port   int // 0 without TCP
}

// StartMariaDB starts a MariaDB whose data and socket lie in dir.
func StartMariaDB(ctx context.Context, dir string, o MariaDBOptions) (*MariaDB, error) {
	kind, err := databaseServer()
	if err != nil {
		return nil, err
	}
	socket, err := socketIn(dir, "mysql.sock")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(filepath.Dir(socket), "data")
	if err := kind.copyTemplate(ctx, o.Data, data); err != nil {
		return nil, err
	}
	args := slices.Concat(kind.flags, []string{
		"--datadir=" + data, "--socket=" + socket, "--pid-file=" + filepath.Join(data, "server.pid"),
		"--skip-networking", "--skip-log-bin", "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=64M",
		"--innodb-buffer-pool-dump-at-shutdown=OFF", "--innodb-buffer-pool-load-at-startup=OFF",
		"--tmpdir=" + filepath.Dir(socket), // a server that starts deletes what looks like a temporary table in it, another's too
	})
	if asRoot() {
		args = append(args, "--user=root")
	}
	m := &MariaDB{socket: socket}
	if o.TCP {
		if m.port, err = freePort(ctx, false); err != nil {
			return nil, err
		}
		args = append(args, "--skip-networking=OFF", "--bind-address=127.0.0.1", "--port="+strconv.Itoa(m.port), "--skip-name-resolve")
	}
	m.command = command{
		name: "mariadb", path: kind.path, args: append(args, o.Args...), dir: dir, socket: socket,
		orphan: syscall.SIGKILL, ready: m.ping,
	}
	if err := m.start(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// NewMariaDB starts a MariaDB for one test and ends it with the test.
func NewMariaDB(t testing.TB, o MariaDBOptions) *MariaDB {
	t.Helper()
	return newServer(t, "mariadb", func(ctx context.Context, dir string) (*MariaDB, error) {
		return StartMariaDB(ctx, dir, o)
	})
}

// Socket is the path of the server's Unix socket.
func (m *MariaDB) Socket() string { return m.socket }

// Data is the path of the server's data folder.
func (m *MariaDB) Data() string { return filepath.Join(filepath.Dir(m.socket), "data") }

// Addr is the server's TCP address, "127.0.0.1:port"; empty without [MariaDBOptions.TCP].
func (m *MariaDB) Addr() string {
	if m.port == 0 {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port))
}

// DSN connects go-sql-driver to a database of the server, as root; an empty name stands for no database.
func (m *MariaDB) DSN(database string) string {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = "root", "unix", m.socket, database
	return config.FormatDSN()
}

// CreateDatabase makes an empty utf8mb4 database. The name is letters, digits and underscores.
func (m *MariaDB) CreateDatabase(ctx context.Context, name string) error {
	return m.exec(ctx, "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
}

// DB opens a database of the server for one test and closes it with the test.
func (m *MariaDB) DB(t testing.TB, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", m.DSN(database))
	if err != nil {
		t.Fatalf("opening database %s: %v", database, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing database %s: %v", database, err)
		}
	})
	return db
}

func (m *MariaDB) ping(ctx context.Context) error {
	if _, err := os.Stat(m.socket); err != nil {
		return err
	}
	return m.exec(ctx, "DO 1")
}

// exec runs one statement on a connection of its own.
func (m *MariaDB) exec(ctx context.Context, statement string) (err error) {
	config, err := mysql.ParseDSN(m.DSN(""))
	if err != nil {
		return fmt.Errorf("mariadb: %w", err)
	}
	config.Logger = &mysql.NopLogger{} // a server that is not ready yet is no news
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return fmt.Errorf("mariadb: %w", err)
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("mariadb: %w", err)
	}
	return nil
}
