package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	driver "github.com/go-sql-driver/mysql"
	"github.com/pelletier/go-toml/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/unit"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Options of [Run].
type Options struct {
	// WordPress is the folder of a WordPress, or the path of its wp-config.php.
	WordPress string
	// URL is the address of the site, for a wp-config.php that decides by the host name; empty if not known.
	URL string
	// PHP is the program that reads wp-config.php instead of this package; empty for none.
	PHP string
	// Env are further variables of the environment that wp-config.php may read.
	Env []string
	// User is the user of the site's PHP; empty to look for the user.
	User string
	// Config is the path of the file to write. An existing file with any key is replaced only with Force.
	Config string
	Force  bool
	// Redis is an address in the form of redis.addr, or tls://host:port, "none" for the journal alone, or empty to search for a
	// Redis.
	Redis string
	// RedisUser and RedisPasswordFile are the login of Redis, and RedisCA is a file of the CA of its certificate; empty for none.
	RedisUser, RedisPasswordFile, RedisCA string
	// MySQLCA is a file of the CA of MySQL's certificate; empty for the system's CAs.
	MySQLCA string
	// Table is the tickets table; empty is {prefix}support_tickets.
	Table string
	// Adopt uses an existing table that ticketd did not make.
	Adopt bool
	// NoMigrate leaves the database unchanged; Run connects to the database in any case.
	NoMigrate bool
	// Site is the site's name in the configuration; empty stands for main. Add adds the site to an existing configuration.
	Site string
	Add  bool
	// Moved and Copy decide about a table that names another server as its home: the table has moved here, or is a copy.
	Moved, Copy bool
	// Set has further keys, in the form of --set, for the check alone.
	Set []string
	// Say receives messages for people: findings and actions.
	Say func(format string, args ...any)
	// Unit is what the service's unit hides from the daemon; nil asks systemd.
	Unit *unit.View
	// Places are where Run looks for servers; zero for the usual places.
	Places Places

	keep bool // keep a copy of a replaced file
}

// Places are where Run looks for servers.
type Places struct {
	MySQLSockets []string
	// Redis has addresses in the form of redis.addr.
	Redis []string
	// Pools are patterns of the files of PHP-FPM's pools.
	Pools []string
	// Debian is the folder of the WordPress in Debian's package.
	Debian string
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
	Pools: []string{
		"/etc/php/*/fpm/pool.d/*.conf", "/etc/php-fpm.d/*.conf", "/etc/php*/php-fpm.d/*.conf", "/usr/local/etc/php-fpm.d/*.conf",
		"/etc/opt/remi/php*/php-fpm.d/*.conf", "/opt/plesk/php/*/etc/php-fpm.d/*.conf", "/opt/cpanel/ea-php*/root/etc/php-fpm.d/*.conf",
	},
	Debian: "/usr/share/wordpress",
}

// defaultSite is the default of Options.Site.
const defaultSite = "main"

// Run searches, checks, and writes the configuration.
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

// begin writes a new configuration with a single site.
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
	o.showHidden(ctx, c)
	return o.write(text, o.check)
}

// showHidden notes the sockets that this command has used and that the service does not see, and a password without TLS.
func (o *Options) showHidden(ctx context.Context, c *config.Config) {
	if o.Unit == nil {
		view := unit.Read(ctx)
		o.Unit = &view
	}
	if site := c.Sites[o.Site]; site.Exposed() {
		o.Say("note: the connection to MySQL has no TLS: whoever is on the way can read the password and the tickets; set tls = " +
			"true in " +
			"the site's section, or MYSQL_CLIENT_FLAGS in wp-config.php")
	}
	var paths []string
	if path, unix := strings.CutPrefix(c.Redis.Addr, "unix://"); unix {
		paths = append(paths, path)
	}
	site := c.Sites[o.Site]
	if dsn, err := driver.ParseDSN(site.DSN.Reveal()); err == nil && dsn.Net == "unix" {
		paths = append(paths, dsn.Addr)
	}
	for _, path := range paths {
		if directive, dropIn := o.Unit.Hides(path); directive != "" {
			o.Say("note: the service does not see %s, by %s in its unit: move the socket to /run, or use systemctl edit ticketd.service "+
				"with the lines [Service] and %s", path, directive, dropIn)
		}
	}
}

// lock keeps other runs out of the folder's configurations until unlock.
func lock(dir string) (unlock func(), err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return func() { _ = folder.Close() }, nil // closing releases the lock
}

func existsError(path string) error {
	return fmt.Errorf("%s exists and stays unchanged; --force replaces the file", path)
}

// setsNothing returns whether a file has only comments, like the file in the packages.
func setsNothing(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	keys := make(map[string]any)
	return toml.Unmarshal(text, &keys) == nil && len(keys) == 0
}

// check loads the new file in the daemon's way.
func (o *Options) check(file string) error {
	_, err := config.Load(file, os.Environ(), o.Set)
	return err
}

// table connects to the database, makes the table, and returns the owner of the site's keys in Redis.
func (o *Options) table(ctx context.Context, s config.Site) (owner, error) {
	db, err := boot.OpenDatabase(s)
	if err != nil {
		return owner{}, err
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		return owner{}, fmt.Errorf("cannot use the database in wp-config.php: %w", err)
	}
	identity, err := o.decided(ctx, db)
	if err != nil {
		return owner{}, err
	}
	if o.NoMigrate {
		o.saySQL(ctx, db)
		return owner{identity: cmp.Or(identity.ID, db.Name()), name: db.Name()}, nil
	}
	statements, err := db.Migrate(ctx, mysql.MigrateOptions{History: s.History.Enabled})
	if mysql.Denied(err) {
		return owner{}, fmt.Errorf("%w: run this command again with --no-migrate, which prints the SQL that an administrator runs", err)
	}
	if err != nil {
		return owner{}, err
	}
	if identity, err = db.ReadIdentity(ctx); err != nil {
		return owner{}, err
	}
	o.Say("MySQL answers; %s is ready (%d statements run)", db.Name(), len(statements))
	return owner{identity: identity.ID, name: db.Name()}, nil
}

// saySQL prints the statements that make the table, for somebody who may run them.
func (o *Options) saySQL(ctx context.Context, db *mysql.DB) {
	statements, err := db.Migrate(ctx, mysql.MigrateOptions{DryRun: true})
	switch {
	case err != nil:
		o.Say("MySQL answers; 'ticketd migrate' makes the table (what it needs cannot be told: %v)", err)
	case len(statements) == 0:
		o.Say("MySQL answers; %s is ready", db.Name())
	default:
		o.Say("MySQL answers; 'ticketd migrate' makes %s, or an administrator, by:", db.Name())
		for _, statement := range statements {
			o.Say("%s;", statement)
		}
	}
}

// decided reads the table's identity. For a table that names another home, decided changes the identity as the options
// decide.
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
		return identity, fmt.Errorf("%s belongs to the %s, and this is the %s: use --moved if that server was replaced, renamed or "+
			"restored here, or --copy if this is a clone of the site", db.Name(), identity.Home, identity.Here)
	}
}

// add adds a site to the configuration and keeps the existing text, comments included.
func (o *Options) add(ctx context.Context) error {
	text, err := os.ReadFile(o.Config)
	if err != nil {
		return fmt.Errorf("--add: %w; without --add, init writes a new configuration", err)
	}
	before, err := config.Load(o.Config, os.Environ(), o.Set)
	if err != nil {
		return fmt.Errorf("--add: cannot use the existing configuration: %w", err)
	}
	if _, there := before.Sites[o.Site]; there {
		return fmt.Errorf("--add: %s has a site %s already: choose another name", o.Config, o.Site)
	}
	d, _, err := o.draft(ctx)
	if err != nil {
		return err
	}
	const tentative = "ticketd-init:" // lets try check the rest before a prefix is chosen and marked in Redis
	d.KeyPrefix = tentative
	c, err := o.try(joined(text, d))
	if err != nil {
		return err
	}
	own, err := o.table(ctx, c.Sites[o.Site])
	if err != nil {
		return err
	}
	if d.KeyPrefix = ""; c.HasRedis() {
		if d.KeyPrefix, err = o.prefixIn(ctx, c, own); err != nil {
			return err
		}
		o.Say("Redis: the other sites' Redis, keys %sticket:*", d.KeyPrefix)
	}
	whole, err := joined(text, d)
	if err != nil {
		return err
	}
	o.showHidden(ctx, c)
	o.Force, o.keep = true, false // the new file contains the old text
	return o.write(whole, o.check)
}

// prefixIn chooses a prefix in the configuration's Redis.
func (o *Options) prefixIn(ctx context.Context, c *config.Config, own owner) (string, error) {
	client, err := boot.OpenRedis(c)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	if err := notElsewhere(ctx, c, own); err != nil {
		return "", err
	}
	var taken []string
	for name, s := range c.Sites {
		if name != o.Site {
			taken = append(taken, s.KeyPrefix)
		}
	}
	prefix, err := choosePrefix(ctx, client, len(c.Redis.Cluster) > 0, o.Site, own, taken)
	if err != nil {
		return "", errors.Join(errors.New("cannot use the configuration's Redis for another site"), err)
	}
	return prefix, nil
}

// choosePrefix picks the key prefix of an added site, and marks the prefix in Redis.
func choosePrefix(
	ctx context.Context, client goredis.UniversalClient, cluster bool, site string, own owner, taken []string,
) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*lookTimeout)
	defer cancel()
	likely := []string{"", site + ":"}
	if !cluster {
		others, err := redis.Prefixes(ctx, client)
		if err != nil {
			return "", err
		}
		likely = append(likely, others...)
	}
	for _, prefix := range likely {
		if of, err := redis.NewKeys(client, prefix, cluster).Owner(ctx); err == nil && own.is(of) && !slices.Contains(taken, prefix) {
			return prefix, nil
		}
	}
	for _, prefix := range []string{site + ":", site + "-" + own.identity[:min(len(own.identity), 6)] + ":"} {
		if slices.Contains(taken, prefix) {
			continue
		}
		of, err := redis.NewKeys(client, prefix, cluster).Reserve(ctx, own.identity)
		if err != nil {
			return "", err
		}
		if own.is(of) {
			return prefix, nil
		}
	}
	return "", fmt.Errorf("the keys %s:* in Redis belong to another table: choose another name for the site", site)
}

// notElsewhere refuses if the table's keys are in another database of the same Redis: two hosts of the site, or the former
// and this configuration, would not see each other's changes.
func notElsewhere(ctx context.Context, c *config.Config, own owner) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for n := 0; n < databases && len(c.Redis.Cluster) == 0; n++ {
		if n == c.Redis.DB {
			continue
		}
		other := *c
		other.Redis.DB = n
		prefix, there, err := placeOf(ctx, &other, own)
		if err != nil {
			break // fewer databases, or no right to look: the site's own database is checked separately
		}
		if there {
			return fmt.Errorf("the table's keys are in database %d of this Redis already (%sticket:*), and this configuration uses %d: "+
				"all daemons of a table must use the same keys. To give up the old keys, run 'ticketd flush' on their daemon, stop "+
				"the daemon, remove the keys (redis-cli -n %[1]d --scan --pattern '%[2]sticket:*' | xargs redis-cli -n %[1]d UNLINK) "+
				"and try again",
				n, prefix, c.Redis.DB)
		}
	}
	return nil
}

// placeOf finds the prefix of the table's keys in the configuration's database of Redis.
func placeOf(ctx context.Context, c *config.Config, own owner) (prefix string, there bool, err error) {
	client, err := boot.OpenRedis(c)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = client.Close() }()
	prefixes, err := redis.Prefixes(ctx, client)
	for _, prefix := range prefixes {
		if of, err := redis.NewKeys(client, prefix, false).Owner(ctx); err == nil && own.is(of) {
			return prefix, true, nil
		}
	}
	return "", false, err
}

// joined returns the text, followed by the site's section.
func joined(text []byte, d *draft) (string, error) {
	p := &page{}
	p.add(strings.TrimRight(string(text), "\n"), "")
	p.section(d)
	return p.text.String(), p.err
}
