package testenv

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDBOptions are the options of a private MariaDB. The zero value is a small server with the server's own defaults:
// durable commits, strict mode.
type MariaDBOptions struct {
	// Args are further server flags, e.g. "--max-allowed-packet=1M".
	Args []string
	// TCP makes the server also listen on a free port of 127.0.0.1.
	TCP bool
	// Data is the data folder of a stopped server, from which this server copies its data. Empty for fresh data.
	Data string
}

// MariaDB is a private MariaDB server, or the MySQL of TICKETD_TEST_MYSQL. The user root has no password; the socket lies in
// a folder closed to other users.
type MariaDB struct {
	process

	socket string
	port   int // 0 without TCP
}

// StartMariaDB starts a MariaDB with data and socket in dir.
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
		"--tmpdir=" + filepath.Dir(socket), // a starting server deletes stray temporary tables in tmpdir
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

// NewMariaDB starts a MariaDB for a test and ends the server with the test.
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

// DB opens a database of the server for a test and closes the database with the test.
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

// exec runs a statement on a new connection.
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

// otherMySQL is the variable with the path of an Oracle mysqld, to run tests of MariaDB against MySQL.
const otherMySQL = "TICKETD_TEST_MYSQL"

// databaseKind holds the differences between MariaDB and MySQL.
type databaseKind struct {
	path  string // of the server
	flags []string
	// install makes a data folder with a root without password, over the socket and over 127.0.0.1.
	install func(ctx context.Context, server, dir string) error
}

var (
	kindMariaDB = databaseKind{
		flags:   []string{"--no-defaults", "--innodb-log-file-size=" + mariaDBLog},
		install: installMariaDB,
	}
	kindMySQL = databaseKind{flags: mySQLFlags, install: installMySQL}
)

var mySQLFlags = []string{
	"--no-defaults", "--innodb-redo-log-capacity=" + mySQLLog, "--mysqlx=OFF", "--secure-file-priv=NULL",
	"--performance-schema=OFF", // saves hundreds of megabytes that no test needs
}

// The size of InnoDB's log in a fresh data folder. The defaults of 96 MB (MariaDB) and 100 MB (MySQL) would be most of the
// copy at each start; with a smaller log, MySQL waits for the log while making the folder.
const mariaDBLog, mySQLLog = "8M", "16M"

// databaseServer finds the server: the MySQL that TICKETD_TEST_MYSQL names, or the MariaDB that is installed.
func databaseServer() (databaseKind, error) {
	kind := kindMariaDB
	if path := os.Getenv(otherMySQL); path != "" {
		kind, kind.path = kindMySQL, path
		if !executable(path) {
			return kind, fmt.Errorf("%s=%s is no program", otherMySQL, path)
		}
		return kind, nil
	}
	path, err := program("mariadb-server", "mariadbd")
	kind.path = path
	return kind, err
}

// IsMySQL says that the tests run against the MySQL that TICKETD_TEST_MYSQL names.
func IsMySQL() bool { return os.Getenv(otherMySQL) != "" }

func installMariaDB(ctx context.Context, _, dir string) error {
	installer, err := program("mariadb-server", "mariadb-install-db")
	if err != nil {
		return err
	}
	args := []string{
		"--no-defaults", "--datadir=" + dir, "--auth-root-authentication-method=normal", "--skip-test-db",
		"--skip-name-resolve", "--innodb-log-file-size=" + mariaDBLog,
	}
	return install(ctx, installer, args)
}

func installMySQL(ctx context.Context, server, dir string) error {
	users := dir + ".sql"
	defer func() { _ = os.Remove(users) }()
	err := writeFile(users, "CREATE USER root@'127.0.0.1';\nGRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n")
	if err != nil {
		return err
	}
	args := slices.Concat(mySQLFlags, []string{"--initialize-insecure", "--datadir=" + dir, "--init-file=" + users})
	return install(ctx, server, args)
}

func install(ctx context.Context, installer string, args []string) error {
	if asRoot() {
		args = append(args, "--user=root")
	}
	if out, err := exec.CommandContext(ctx, installer, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(installer), err, out)
	}
	return nil
}

// copyTemplate makes a data folder from source, or a fresh folder from the template, which is made once per server version
// and user and kept in the user's cache: making a template takes longer than the start of the server.
func (k databaseKind) copyTemplate(ctx context.Context, source, data string) error {
	if _, err := os.Stat(data); err == nil {
		return nil // a server that ran in this folder before keeps its data
	}
	if source == "" {
		var err error
		if source, err = k.template(ctx); err != nil {
			return fmt.Errorf("making a data folder: %w", err)
		}
	}
	if err := copyTree(source, data); err != nil {
		return fmt.Errorf("copying the data folder %s: %w", source, err)
	}
	// Without this file, each MySQL makes a new server_uuid; the manual wants the file removed from copies.
	if err := os.Remove(filepath.Join(data, "auto.cnf")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// template returns the template's path, after making a missing template. The lock keeps parallel test processes from doing
// the work twice; the rename makes a template complete or absent, even after a crash.
func (k databaseKind) template(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, k.path, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", k.path, err)
	}
	sum := sha256.Sum256(append(version, strings.Join(k.flags, " ")...))
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, "mariadb-"+hex.EncodeToString(sum[:8]))

	lock, err := os.OpenFile(final+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(final); !errors.Is(err, fs.ErrNotExist) {
		return final, err
	}
	draft, err := os.MkdirTemp(cache, "draft-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(draft) }() // the rename leaves no draft
	if err := k.install(ctx, k.path, draft); err != nil {
		return "", err
	}
	return final, os.Rename(draft, final)
}

// cacheFolder is where templates are kept: the user's cache, or a folder of the user's own among the temporary files
// where the user has no home.
func cacheFolder() (string, error) {
	parent, err := os.UserCacheDir()
	if err != nil {
		parent = filepath.Join(os.TempDir(), "ticketd-cache-"+strconv.Itoa(os.Getuid()))
	}
	dir := filepath.Join(parent, "ticketd-testenv")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	return dir, nil
}
