package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/wpconfig"
	"github.com/ticketd/ticketd/sync/mysql"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// site is a folder with a wp-config.php for the shared database, and the options of init.
type site struct {
	Options
	wp       string // the text of wp-config.php
	database string
	said     []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	mariadb, database := testenv.SharedMariaDB(t)
	dir := t.TempDir()
	s := &site{wp: fmt.Sprintf("<?php\ndefine('DB_NAME', '%s');\ndefine('DB_USER', 'root');\ndefine('DB_PASSWORD', '');\n"+
		"define('DB_HOST', 'localhost');\n$table_prefix = 'shop_';\n", database), database: database}
	s.Options = Options{
		WordPress: filepath.Join(dir, "html"), Config: filepath.Join(dir, "ticketd.toml"),
		Places: Places{MySQLSockets: []string{"/no/such.sock", mariadb.Socket()}, Redis: []string{"unix:///no/such.sock"}},
		Say:    func(format string, args ...any) { s.said = append(s.said, fmt.Sprintf(format, args...)) },
	}
	s.User = "root" // whose files these are
	s.exec(t, "CREATE TABLE shop_options (option_name VARCHAR(191) PRIMARY KEY, option_value LONGTEXT)")
	s.exec(t, "INSERT INTO shop_options VALUES ('siteurl', 'https://shop.example.com')")
	if err := os.Mkdir(s.WordPress, 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs init with the present wp-config.php.
func (s *site) run(ctx context.Context, t *testing.T) (*config.Config, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.WordPress, "wp-config.php"), []byte(s.wp), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(ctx, s.Options); err != nil {
		return nil, err
	}
	c, err := config.Load(s.Config, nil, nil)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	return c, nil
}

func TestInitWritesWhatWorks(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{Password: "hun\"ter2"})
	if err := redis.Client(t).Set(t.Context(), "cache", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.wp += fmt.Sprintf("define('WP_REDIS_PATH', '%s');\ndefine('WP_REDIS_PASSWORD', 'hun\"ter2');\ndefine('WP_REDIS_DATABASE', "+
		"1);\n", redis.Socket())
	c, err := s.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Redis.Addr != "unix://"+redis.Socket() || c.Redis.Password.Reveal() != `hun"ter2` || c.Redis.DB != 2 {
		t.Errorf("redis %+v: want the cache's, in the first database that neither it nor anybody uses", c.Redis)
	}
	main := c.Sites["main"]
	dsn, err := driver.ParseDSN(main.DSN.Reveal())
	if err != nil || dsn.Addr != s.Places.MySQLSockets[1] || main.TableName() != "shop_support_tickets" {
		t.Errorf("%+v, %v, table %s", dsn, err, main.TableName())
	}
	mariadb, _ := testenv.SharedMariaDB(t)
	var n int
	if err := mariadb.DB(t, dsn.DBName).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+
		"shop_support_tickets").Scan(&n); err != nil {
		t.Errorf("the table was not made: %v", err)
	}
	info, err := os.Stat(s.Config)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file: %v, %v, want 0640", info, err)
	}
	for _, line := range s.said {
		if strings.Contains(line, "ter2") {
			t.Errorf("a secret is shown: %s", line)
		}
	}
}

func TestInitWithoutRedisLeavesTheJournal(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.NoMigrate = true
	c, err := s.run(t.Context(), t)
	if err != nil || c.HasRedis() || c.JournalDir("main") == "" {
		t.Fatalf("%+v, %v", c, err)
	}
}

// A user that may not CREATE is told how an administrator makes the table; what is printed makes it.
func TestInitWithoutTheRightToCreate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mariadb, _ := testenv.SharedMariaDB(t)
	root := mariadb.DB(t, s.database)
	for _, statement := range []string{
		"CREATE USER {db}_dml@localhost", "GRANT SELECT, INSERT, UPDATE, DELETE ON {db}.* TO {db}_dml@localhost",
	} {
		if _, err := root.ExecContext(t.Context(), strings.ReplaceAll(statement, "{db}", s.database)); err != nil {
			t.Fatal(err)
		}
	}
	s.wp = strings.Replace(s.wp, "'root'", "'"+s.database+"_dml'", 1)
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "--no-migrate") {
		t.Fatalf("error %v, want --no-migrate named", err)
	}
	s.NoMigrate = true
	c, err := s.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range s.said {
		if sql, is := strings.CutSuffix(line, ";"); is {
			if _, err := root.ExecContext(t.Context(), sql); err != nil {
				t.Errorf("%v: %s", err, sql)
			}
		}
	}
	db, err := boot.OpenDatabase(c.Sites["main"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.LoadDefinition(t.Context()); err != nil {
		t.Errorf("the table is not there: %v", err)
	}
	if n, err := mysql.NewSequence(db).Lease(t.Context(), 1); err != nil || n == 0 {
		t.Errorf("the sequence: %v, %v", n, err)
	}
}

// After any failure the folder is unchanged.
func TestInitWritesNothingThatDoesNotWork(t *testing.T) {
	t.Parallel()
	replica := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"replicaof 127.0.0.1 1"}})
	evicting := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"maxmemory-policy allkeys-lru"}})
	refusing := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{`rename-command ZADD ""`}})
	for name, test := range map[string]struct {
		change func(*site)
		want   string
	}{
		"a computed password": {func(s *site) { s.wp = strings.Replace(s.wp, "''", "f()", 1) },
			"DB_HOST, DB_PASSWORD may be set where"},
		"another password":   {func(s *site) { s.wp = strings.Replace(s.wp, "'root'", "'nobody'", 1) }, "cannot use the database"},
		"no socket":          {func(s *site) { s.Places.MySQLSockets = []string{"/no/such.sock"} }, "localhost:/path/to.sock"},
		"a named Redis away": {func(s *site) { s.Redis = "unix:///no/such.sock" }, "--redis unix:///no/such.sock"},
		"a replica":          {func(s *site) { s.Redis = "unix://" + replica.Socket() }, "which refuses writes"},
		"an evicting Redis":  {func(s *site) { s.Redis = "unix://" + evicting.Socket() }, "maxmemory-policy"},
		"a refusing Redis":   {func(s *site) { s.Redis = "unix://" + refusing.Socket() }, "a command that ticketd needs (Redis 6.2"},
		"a prefix":           {func(s *site) { s.wp = strings.Replace(s.wp, "shop_", "sh op", 1) }, "table_prefix"},
		"no WordPress":       {func(s *site) { s.WordPress += "/none" }, "--wp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			test.change(s)
			var err error
			if name == "no WordPress" {
				err = Run(t.Context(), s.Options)
			} else {
				_, err = s.run(t.Context(), t)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.Config), "*.toml"))
			hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(s.Config), ".*"))
			if len(left)+len(hidden) > 0 {
				t.Errorf("it left %v %v", left, hidden)
			}
		})
	}
}

// A second set-up keeps the site's database with its tickets, which is no longer free.
func TestInitAgainKeepsTheDatabase(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	s := newSite(t)
	s.Redis, s.NoMigrate, s.Force = "unix://"+server.Socket(), true, true
	first, err := s.run(t.Context(), t)
	if err != nil || first.Redis.DB == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	options := server.Options()
	options.DB = first.Redis.DB
	client := goredis.NewClient(options)
	defer client.Close()
	if err := client.HSet(t.Context(), "ticket:1", "status", "open").Err(); err != nil {
		t.Fatal(err)
	}
	if again, err := s.run(t.Context(), t); err != nil || again.Redis.DB != first.Redis.DB {
		t.Errorf("database %d (%v), it was %d", again.Redis.DB, err, first.Redis.DB)
	}
}

func TestInitReplacesOnlyWithForce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.WriteFile(s.Config, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("error %v", err)
	}
	// A file that appears during init counts, too.
	if err := s.write("yours", func(string) error { return nil }); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("error %v", err)
	}
	if text, _ := os.ReadFile(s.Config); string(text) != "mine" {
		t.Errorf("it was replaced by %q", text)
	}
	s.Force = true
	if _, err := s.run(t.Context(), t); err != nil {
		t.Error(err)
	}
	// A file with only comments may be replaced.
	if err := os.WriteFile(s.Config, []byte("# a package's\n#[daemon]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Force = false
	if _, err := s.run(t.Context(), t); err != nil {
		t.Error(err)
	}
}

// A wp-config.php may lie in the folder above WordPress, unless that folder is another WordPress.
func TestConfigOneFolderAbove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	html := filepath.Join(dir, "html")
	if err := os.Mkdir(html, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wp-config.php"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if path := wpConfig(html); path != filepath.Join(dir, "wp-config.php") {
		t.Error(path)
	}
	if err := os.WriteFile(filepath.Join(dir, "wp-settings.php"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if path := wpConfig(html); path != filepath.Join(html, "wp-config.php") {
		t.Errorf("another WordPress' is taken: %s", path)
	}
}

func TestDSNKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "p@ss:w/o?r#d", "a)b(c", "%41", "é\t'\""} {
		wp := &wpconfig.Config{Name: "n-1", User: "u", Password: password, Host: wpconfig.Host{Address: "[::1]:3306"}, TLS: true}
		dsn, err := dsnOf(wp, nil)
		if err != nil {
			t.Errorf("%q: %v", password, err)
			continue
		}
		if c, err := driver.ParseDSN(dsn); err != nil || c.Passwd != password {
			t.Errorf("%q became %+v, %v", password, c, err)
		}
	}
	if _, err := dsnOf(&wpconfig.Config{Name: "n", User: "a:b", Host: wpconfig.Host{Socket: "/s"}}, nil); err == nil {
		t.Error("a user with a colon is written as another")
	}
}
