package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// otherMySQL is the variable that names a mysqld of Oracle's, to run what needs a MariaDB against it.
const otherMySQL = "TICKETD_TEST_MYSQL"

// databaseKind is what differs between MariaDB and MySQL.
type databaseKind struct {
	path  string // of the server
	flags []string
	// install makes a data folder whose root has no password, over the socket and over 127.0.0.1.
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
	"--performance-schema=OFF", // hundreds of megabytes for what no test asks
}

// The size of InnoDB's log in a fresh data folder. MariaDB's default of 96 MB and MySQL's of 100 MB would be most of what is
// copied at each start; with less than this, MySQL waits for its log while it makes the folder.
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
