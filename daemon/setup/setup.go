package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

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
	// Site is the site's name in the configuration; empty for main. Add adds it to a configuration that is there.
	Site string
	Add  bool
	// Moved and Copy say what a table is that is elsewhere than it says: it has moved here, or it is a copy.
	Moved, Copy bool
	// Set are further keys, as --set takes them, for the check alone.
	Set []string
	// Say is told, for people, what was found and done.
	Say func(format string, args ...any)
	// Places are where servers are looked for; zero for the usual ones.
	Places Places

	keep bool // what is replaced is kept
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

// defaultSite is the name of the site in the configuration, unless the options name another.
const defaultSite = "main"

// Run looks, checks, and writes the configuration.
func Run(ctx context.Context, o Options) error {
	if o.Places.MySQLSockets == nil && o.Places.Redis == nil {
		o.Places = usual
	}
	o.Site = cmp.Or(o.Site, defaultSite)
	unlock, err := lock(filepath.Dir(o.Config))
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	defer unlock()
	if o.Add {
		return o.add(ctx)
	}
	return o.begin(ctx)
}

// begin writes a configuration of one site.
func (o *Options) begin(ctx context.Context) error {
	o.keep = true
	if _, err := os.Lstat(o.Config); err == nil && !o.Force {
		if !setsNothing(o.Config) {
			return existsError(o.Config)
		}
		o.Force, o.keep = true, false
	}
	d, wp, err := o.draft(ctx)
	if err != nil {
		return err
	}
	if d.Redis, err = findRedis(ctx, o, wp); err != nil {
		return err
	}
	c, err := o.try(render(d))
	if err != nil {
		return err
	}
	own, err := o.table(ctx, c.Sites[o.Site])
	if err != nil {
		return err
	}
	if found := d.Redis; found != nil {
		if err := found.choose(ctx, o, own, wp.Redis.Database); err != nil {
			return err
		}
		d.KeyPrefix = found.Prefix
		o.Say("Redis: %s, database %d, keys %sticket:*", found.Addr, found.Database, found.Prefix)
	}
	text, err := render(d)
	if err != nil {
		return err
	}
	return o.write(text, o.check)
}

// lock keeps other runs for a configuration in the folder away until this one is over.
func lock(dir string) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return func() { _ = folder.Close() }, nil // which gives it back
}

// draft is what is known of the site before init has looked for a Redis.
func (o *Options) draft(ctx context.Context) (*draft, *wpconfig.Config, error) {
	path, wp, err := readWordPress(o.WordPress)
	if err != nil {
		return nil, nil, err
	}
	o.Say("%s: database %s, table prefix %s", path, wp.Name, wp.Prefix)
	dsn, err := dsnOf(wp, o.Places.MySQLSockets)
	if err != nil {
		return nil, nil, err
	}
	tickets, err := o.adopt(ctx, dsn, wp.Prefix)
	if err != nil {
		return nil, nil, err
	}
	return &draft{
		Site: o.Site, Source: path, DSN: dsn, Prefix: wp.Prefix, Multisite: wp.Multisite, User: webUser(), Group: webGroup(),
		Tickets: tickets,
	}, wp, nil
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

// check reads the new file as the daemon will.
func (o *Options) check(file string) error {
	_, err := config.Load(file, os.Environ(), o.Set)
	return err
}

// table connects to the database, makes the table, and returns whose keys in Redis are the site's.
func (o *Options) table(ctx context.Context, s config.Site) (owner, error) {
	db, err := boot.OpenDatabase(s)
	if err != nil {
		return owner{}, err
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		return owner{}, fmt.Errorf("the database that wp-config.php names cannot be used: %w", err)
	}
	identity, err := o.decided(ctx, db)
	if err != nil {
		return owner{}, err
	}
	if o.NoMigrate {
		o.Say("MySQL answers; the table is left to 'ticketd migrate'")
		return owner{identity: cmp.Or(identity.ID, db.Name()), name: db.Name()}, nil
	}
	statements, err := db.Migrate(ctx, mysql.MigrateOptions{})
	if err != nil {
		return owner{}, err
	}
	if identity, err = db.ReadIdentity(ctx); err != nil {
		return owner{}, err
	}
	o.Say("MySQL answers; %s is ready (%d statements were run)", db.Name(), len(statements))
	return owner{identity: identity.ID, name: db.Name()}, nil
}

// decided reads the table's identity, and changes it as was asked for where the table is elsewhere than it says.
func (o *Options) decided(ctx context.Context, db *mysql.DB) (mysql.Identity, error) {
	identity, err := db.ReadIdentity(ctx)
	switch {
	case err != nil || identity.ID == "" || identity.AtHome():
		return identity, err
	case o.Moved:
		return db.MoveIdentity(ctx)
	case o.Copy:
		return db.RenewIdentity(ctx)
	default:
		return identity, fmt.Errorf("%s belongs to the %s, and this is the %s: say --moved where that server was replaced, renamed or "+
			"restored here, or --copy where this is a clone of the site", db.Name(), identity.Home, identity.Here)
	}
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
