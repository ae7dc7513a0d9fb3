package setup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/wpconfig"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Options of [Run].
type Options struct {
	// WordPress is its folder, or the path of its wp-config.php.
	WordPress string
	// Config is the path of the file to write; one that is there and sets anything is replaced only with Force.
	Config string
	Force  bool
	// Redis is an address as redis.addr takes it, "none" for the journal alone, or empty for looking for one.
	Redis string
	// Table is the tickets table; empty is {prefix}support_tickets.
	Table string
	// Adopt uses a table that is there and that ticketd did not make.
	Adopt bool
	// NoMigrate leaves the database as it is; it is connected to all the same.
	NoMigrate bool
	// Set are further keys, as --set takes them, for the check alone.
	Set []string
	// Say is told, for people, what was found and done.
	Say func(format string, args ...any)
	// Places are where servers are looked for; zero for the usual ones.
	Places Places
}

// Places are where servers are looked for.
type Places struct {
	MySQLSockets []string
	// Redis are addresses as redis.addr takes them.
	Redis []string
}

// The places that Debian, Ubuntu, Fedora and Alpine use.
var usual = Places{
	MySQLSockets: []string{
		"/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock",
	},
	Redis: []string{
		"unix:///run/redis/redis-server.sock", "unix:///run/redis/redis.sock", "unix:///run/valkey/valkey-server.sock",
		"unix:///run/valkey/valkey.sock", "127.0.0.1:6379",
	},
}

// webUsers are the users under which distributions run PHP-FPM.
var webUsers = []string{"www-data", "apache", "nginx", "http", "wwwrun"}

// siteName is the name of the site in the configuration.
const siteName = "main"

// Run looks, checks, and writes the configuration.
func Run(ctx context.Context, o Options) error {
	if o.Places.MySQLSockets == nil && o.Places.Redis == nil {
		o.Places = usual
	}
	if _, err := os.Lstat(o.Config); err == nil && !o.Force {
		if !setsNothing(o.Config) {
			return existsError(o.Config)
		}
		o.Force = true
	}
	path, wp, err := readWordPress(o.WordPress)
	if err != nil {
		return err
	}
	o.Say("%s: database %s, table prefix %s", path, wp.Name, wp.Prefix)
	dsn, err := dsnOf(wp, o.Places.MySQLSockets)
	if err != nil {
		return err
	}
	table, err := o.adopt(ctx, dsn, wp.Prefix)
	if err != nil {
		return err
	}
	found, err := findRedis(ctx, &o, wp)
	if err != nil {
		return err
	}
	text, err := render(&draft{
		Source: path, DSN: dsn, Prefix: wp.Prefix, Multisite: wp.Multisite, Redis: found, User: webUser(), Group: webGroup(),
		Tickets: table,
	})
	if err != nil {
		return err
	}
	return o.write(text, func(file string) error { return o.check(ctx, file) })
}

func existsError(path string) error {
	return fmt.Errorf("%s is there already and is left as it is; --force replaces it", path)
}

// setsNothing says that a file has nothing but comments, as the one that packages bring along.
func setsNothing(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	keys := make(map[string]any)
	return toml.Unmarshal(text, &keys) == nil && len(keys) == 0
}

// readWordPress finds the wp-config.php, where WordPress does: in its folder, or one above unless another WordPress is there.
func readWordPress(path string) (string, *wpconfig.Config, error) {
	path = wpConfig(path)
	src, err := os.ReadFile(path)
	if err != nil {
		return "", nil, fmt.Errorf("--wp: %w; name WordPress' folder or its wp-config.php", err)
	}
	c, err := wpconfig.Parse(src, os.LookupEnv)
	if err != nil {
		return "", nil, fmt.Errorf("%s:\n%w", path, err)
	}
	return path, c, nil
}

// wpConfig is the wp-config.php of a folder, or the path itself where it is none.
func wpConfig(path string) string {
	const name = "wp-config.php"
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return path
	}
	inside, above := filepath.Join(path, name), filepath.Dir(filepath.Clean(path))
	if !there(inside) && !there(filepath.Join(above, "wp-settings.php")) && there(filepath.Join(above, name)) {
		return filepath.Join(above, name)
	}
	return inside
}

// check reads the new file as the daemon will, connects to the database, and makes the table.
func (o *Options) check(ctx context.Context, file string) error {
	c, err := config.Load(file, os.Environ(), o.Set)
	if err != nil {
		return err
	}
	db, err := boot.OpenDatabase(c.Sites[siteName])
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		return fmt.Errorf("the database that wp-config.php names cannot be used: %w", err)
	}
	if o.NoMigrate {
		o.Say("MySQL answers; the table is left to 'ticketd migrate'")
		return nil
	}
	statements, err := db.Migrate(ctx, mysql.MigrateOptions{})
	if err != nil {
		return err
	}
	o.Say("MySQL answers; %s is ready (%d statements were run)", db.Name(), len(statements))
	return nil
}

// webUser is the user of PHP-FPM on this machine, as far as names tell.
func webUser() string {
	at := slices.IndexFunc(webUsers, func(name string) bool { _, err := config.UserID(name); return err == nil })
	if at < 0 {
		return ""
	}
	return webUsers[at]
}

func webGroup() string {
	at := slices.IndexFunc(webUsers, func(name string) bool { _, err := config.GroupID(name); return err == nil })
	if at < 0 {
		return ""
	}
	return webUsers[at]
}
