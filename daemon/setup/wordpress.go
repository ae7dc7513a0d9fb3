package setup

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/charset"
	"github.com/ticketd/ticketd/internal/wpconfig"
	"github.com/ticketd/ticketd/sync/mysql"
)

// draft has the values of the templates.
type draft struct {
	Source, DSN, Prefix string
	// Site is the site's name; KeyPrefix stands before its keys in Redis.
	Site, KeyPrefix string
	Multisite       bool
	Redis           *foundRedis
	User, Group     string // of PHP-FPM; empty if unknown
	Tickets         *adopted
	TLS             bool   // to MySQL, by keys of their own
	TLSCA           string // a file; empty for the system's CAs
}

// open opens a table with the draft's login.
func (d *draft) open(table string) (*mysql.DB, error) {
	s := config.SiteDefaults()
	s.DSN, s.Table, s.TLS, s.TLSCA = config.Secret(d.DSN), table, d.TLS, d.TLSCA
	return boot.OpenDatabase(s)
}

// unreachable adds to an error of MySQL what to do about it.
func unreachable(err error) error {
	text := "cannot use the database in wp-config.php: %w"
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		text += "; --mysql-ca FILE names the CA that signed the certificate"
	}
	return fmt.Errorf(text, err)
}

// draft returns the facts about the site from WordPress and MySQL, without Redis. Up to the check of WordPress' own table a
// failure ends with a configuration to write by hand.
func (o *Options) draft(ctx context.Context) (*draft, *wpconfig.Config, error) {
	d, wp, err := o.findings(ctx)
	if err != nil {
		return nil, nil, &byHandError{err, o.byHand(d, wp)}
	}
	if d.Tickets, err = o.adopt(ctx, d); err != nil {
		return nil, nil, err
	}
	return d, wp, nil
}

// findings reads the configuration and shows what it leads to. After a failure the results have what is known.
func (o *Options) findings(ctx context.Context) (*draft, *wpconfig.Config, error) {
	if control(o.WordPress) || control(o.URL) {
		return nil, nil, errors.New("--wp or --url has a control character, such as the end of a line")
	}
	place, err := locate(o.WordPress, o.Places.Debian)
	if err != nil {
		return nil, nil, err
	}
	php, err := o.findPHP(place.config)
	if err != nil {
		return nil, nil, err
	}
	d := &draft{Site: o.Site, Source: place.config, User: php.name, Group: php.group}
	wp, err := o.read(ctx, place, php)
	if err != nil {
		return d, nil, err
	}
	d.Prefix, d.Multisite = wp.Prefix, wp.Multisite
	o.Say("%s: database %s, table prefix %s", place.config, wp.Name, wp.Prefix)
	for _, note := range wp.Notes {
		o.Say("note: %s", note)
	}
	if d.DSN, err = dsnOf(wp, o.Places.MySQLSockets); err != nil {
		return d, wp, err
	}
	if err := d.secure(wp, o.MySQLCA); err != nil {
		return d, wp, err
	}
	if err := o.showWordPress(ctx, d, wp); err != nil {
		return d, wp, err
	}
	if php.name != "" {
		o.Say("PHP runs as %s: another user is named by --user", php.name)
	}
	if php.group != "" && php.group != socketGroup {
		o.Say("note: systemd's socket has the group %s; for %s use systemctl edit ticketd.socket with the lines [Socket] and "+
			"SocketGroup=%s",
			socketGroup, php.name, php.group)
	}
	const pass = 1
	if dir := filepath.Dir(config.Defaults().Daemon.Socket); errors.Is(php.eyes.may(dir, pass), fs.ErrPermission) {
		o.Say("note: %s may not pass through %s to the daemon's socket", php.name, dir)
	}
	if php.chroot != "" {
		o.Say("note: the pool of %s has chroot = %s, so that PHP sees neither the socket nor the spool; see docs/hosting.md", php.name,
			php.chroot)
	}
	return d, wp, nil
}

// socketGroup is SocketGroup= in the package's unit.
const socketGroup = "www-data"

// layout is where a WordPress has its files.
type layout struct {
	config, root string
	host         string // of Debian's package: the part of the file's name
}

// locate finds wp-config.php and the folder of WordPress itself: the two may be apart. A file of Debian's package stands for
// Debian's WordPress with that host.
func locate(path, debian string) (layout, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return layout{}, err
	}
	if name, is := strings.CutPrefix(filepath.Base(path), "config-"); is && filepath.Dir(path) == "/etc/wordpress" && there(debian) {
		return layout{filepath.Join(debian, wpConfigName), debian, strings.TrimSuffix(name, ".php")}, nil
	}
	l := layout{config: wpConfig(path)}
	dir := filepath.Dir(l.config)
	for _, l.root = range []string{path, dir, filepath.Join(dir, "wp"), filepath.Join(dir, "wordpress"), filepath.Join(dir,
		"core")} {
		if there(filepath.Join(l.root, "wp-settings.php")) {
			return l, nil
		}
	}
	l.root = dir
	return l, nil
}

// read reads wp-config.php, by itself or with PHP.
func (o *Options) read(ctx context.Context, place layout, php *phpUser) (*wpconfig.Config, error) {
	source := &wpconfig.Source{
		Path: place.config, Root: place.root, Host: cmp.Or(hostOf(o.URL), place.host), Getenv: os.LookupEnv, Permitted: o.Env,
		Files: php.eyes,
	}
	src, err := php.eyes.Read(place.config)
	if err != nil {
		return nil, fmt.Errorf("--wp: %w; name WordPress' folder or its wp-config.php", err)
	}
	if o.PHP != "" {
		if php.eyes.user == nil && os.Geteuid() == 0 && php.name == "" {
			return nil, errors.New("--php: PHP would run as root: name PHP-FPM's user with --user")
		}
		c, err := wpconfig.Ask(ctx, source, wpconfig.PHP{Program: o.PHP, User: php.eyes.user})
		if err != nil {
			return nil, fmt.Errorf("%s, read by PHP:\n%w", place.config, err)
		}
		return c, nil
	}
	c, err := wpconfig.Parse(src, source)
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w\n%s", place.config, err, o.advice(place))
	}
	return c, nil
}

// advice returns what may help where this command cannot read a configuration.
func (o *Options) advice(place layout) string {
	const php = "--php has PHP itself read the file: in a process without a network, as PHP's user"
	switch {
	case there(filepath.Join(filepath.Dir(filepath.Dir(place.config)), "config", "application.php")):
		return "This is Bedrock, where PHP packages read the settings. " + php
	case place.root == o.Places.Debian && o.URL == "":
		files, _ := filepath.Glob("/etc/wordpress/config-*.php") // the pattern is valid
		if len(files) == 0 {
			return "This is Debian's WordPress, with a file for each site in /etc/wordpress, and no file is there"
		}
		return "This is Debian's WordPress, with a file for each site: --wp names the file, one of " + strings.Join(files, ", ")
	default:
		return php
	}
}

// hostOf returns the host, with its port, of a URL or of a bare name.
func hostOf(site string) string {
	if _, rest, found := strings.Cut(site, "://"); found {
		site = rest
	}
	host, _, _ := strings.Cut(site, "/")
	return host
}

// showWordPress shows the address of the WordPress whose tables the configuration leads to: a wrong guess of the database or
// the prefix is seen before anything is written.
func (o *Options) showWordPress(ctx context.Context, d *draft, wp *wpconfig.Config) error {
	db, err := d.open(wp.Prefix + "options")
	if err != nil {
		return fmt.Errorf("cannot use the table named by table_prefix in wp-config.php: %w", err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		return unreachable(err)
	}
	address, err := mysql.SiteURL(ctx, db)
	if err != nil {
		return fmt.Errorf("no WordPress in the database %s with the table prefix %s, which wp-config.php seems to name: %w", wp.Name,
			wp.Prefix, err)
	}
	if control(address) {
		return fmt.Errorf("siteurl in %soptions has a control character", wp.Prefix)
	}
	o.Say("WordPress: %s", address)
	if host := hostOf(o.URL); host != "" && host != hostOf(address) {
		o.Say("note: --url names %s, and WordPress has the address %s: a site that is one of several has its own configuration",
			host, address)
	}
	return nil
}

// byHandError ends with a configuration to write by hand.
type byHandError struct {
	error

	configuration string
}

func (e *byHandError) Error() string { return e.error.Error() + "\n\n" + e.configuration }

func (e *byHandError) Unwrap() error { return e.error }

// byHand returns the smallest configuration, with what is known.
func (o *Options) byHand(d *draft, wp *wpconfig.Config) string {
	user, group, prefix, database := "www-data", "www-data", "wp_", "DATABASE"
	if d != nil {
		user, group, prefix = cmp.Or(d.User, user), cmp.Or(d.Group, group), cmp.Or(d.Prefix, prefix)
	}
	if wp != nil && !strings.ContainsAny(wp.Name, `"\/?`) {
		database = wp.Name
	}
	lines := []string{fmt.Sprintf("Nothing is written. The smallest configuration by hand, %s:", o.Config)}
	for _, pair := range []struct {
		key   string
		value any
	}{
		{"\n    [daemon]", nil},
		{"socket_group", group},
		{"\n    [sites." + o.Site + "]", nil},
		{"dsn", "USER:PASSWORD@unix(/run/mysqld/mysqld.sock)/" + database},
		{"table_prefix", prefix},
		{"allow_users", []string{user}},
	} {
		if pair.value == nil {
			lines = append(lines, pair.key)
			continue
		}
		text, err := line(pair.key, pair.value)
		if err != nil {
			text = pair.key + " = ..."
		}
		lines = append(lines, "    "+text)
	}
	return strings.Join(append(lines, "\nThen: ticketd migrate && ticketd doctor"), "\n")
}

const wpConfigName = "wp-config.php"

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// wpConfig returns the wp-config.php of a folder, or the path itself if the path is not a folder. WordPress looks in its own
// folder, and in the folder above unless another WordPress is there; Bedrock has the file in the folder web.
func wpConfig(path string) string {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return path
	}
	inside, above := filepath.Join(path, wpConfigName), filepath.Dir(filepath.Clean(path))
	switch web := filepath.Join(path, "web", wpConfigName); {
	case there(inside):
		return inside
	case there(web):
		return web
	case !there(filepath.Join(above, "wp-settings.php")) && there(filepath.Join(above, wpConfigName)):
		return filepath.Join(above, wpConfigName)
	}
	return inside
}

// dsnOf converts the login in wp-config.php to a DSN. "localhost" stands for the first existing socket.
func dsnOf(wp *wpconfig.Config, sockets []string) (string, error) {
	c := driver.NewConfig()
	c.User, c.Passwd, c.DBName = wp.User, wp.Password, wp.Name
	switch {
	case wp.Host.Socket != "":
		c.Net, c.Addr = "unix", wp.Host.Socket
	case wp.Host.Local:
		socket := firstSocket(sockets)
		if socket == "" {
			return "", fmt.Errorf("DB_HOST is localhost, where PHP uses MySQL's socket, and no socket exists at %s: "+
				"write localhost:/path/to.sock into wp-config.php", strings.Join(sockets, ", "))
		}
		c.Net, c.Addr = "unix", socket
	default:
		c.Net, c.Addr = "tcp", wp.Host.Address
	}
	dsn := c.FormatDSN()
	// A DSN does not escape names and passwords, so the parsed DSN is compared with the input.
	back, err := driver.ParseDSN(dsn)
	if err != nil || back.User != c.User || back.Passwd != c.Passwd || back.Addr != c.Addr || back.DBName != c.DBName {
		return "", errors.New("the database's user, password or host in wp-config.php cannot be written as a DSN: a user with a " +
			"colon, or a path with a bracket; give ticketd its own user and write the configuration by hand")
	}
	return dsn, nil
}

// secure turns TLS on where wp-config.php has it or a CA is named. A Unix socket needs none.
func (d *draft) secure(wp *wpconfig.Config, ca string) error {
	dsn, err := driver.ParseDSN(d.DSN)
	if err != nil {
		return err
	}
	switch {
	case dsn.Net == "unix" && ca != "":
		return errors.New("--mysql-ca: wp-config.php names a Unix socket, which needs no TLS")
	case dsn.Net == "unix":
	case ca != "":
		d.TLS = true
		d.TLSCA, err = filepath.Abs(ca)
	case wp.TLSUnverified:
		dsn.TLSConfig = "skip-verify"
		d.DSN = dsn.FormatDSN()
	case wp.TLS:
		d.TLS = true
	}
	return err
}

func firstSocket(paths []string) string {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			return path
		}
	}
	return ""
}

// adopted has the configuration's lines about the table.
type adopted struct {
	Table, Key string // empty for the defaults
	Columns    []mapping
}

// mapping is a field and its column.
type mapping struct{ Field, Column string }

// Mappings returns the columns as an inline table of TOML. guess excludes names that need quotes.
func (a *adopted) Mappings() string {
	pairs := make([]string, len(a.Columns))
	for i, m := range a.Columns {
		pairs[i] = fmt.Sprintf("%s = %q", m.Field, m.Column)
	}
	return "{ " + strings.Join(pairs, ", ") + " }"
}

// lines returns the configuration's lines for a message.
func (a *adopted) lines() string {
	var b strings.Builder
	if a.Table != "" {
		fmt.Fprintf(&b, "    table = %q\n", a.Table)
	}
	if a.Key != "" {
		fmt.Fprintf(&b, "    key_column = %q\n", a.Key)
	}
	if len(a.Columns) > 0 {
		fmt.Fprintf(&b, "    columns = %s\n", a.Mappings())
	}
	return b.String()
}

// standardKey is the daemon's default column of the ticket's id.
const standardKey = "ticket_id"

// adopt checks whether another plugin has a table of this name. Such a table is used only with Adopt.
func (o *Options) adopt(ctx context.Context, d *draft) (*adopted, error) {
	name, prefix := o.Table, d.Prefix
	if name == "" {
		name = prefix + "support_tickets"
	}
	db, err := d.open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot use the table named by table_prefix in wp-config.php, or by --table: %w", err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		return nil, unreachable(err)
	}
	found, err := db.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	a := &adopted{Table: o.Table}
	if !found.There || found.Ours {
		return a, nil
	}
	if found.Key != "" && found.Key != standardKey {
		a.Key = found.Key
	}
	a.Columns = guess(found)
	switch {
	case !o.Adopt:
		return nil, &strangerError{name: name, found: found, proposal: a, own: prefix + "ticketd_tickets"}
	case found.Key == "":
		return nil, fmt.Errorf("%s cannot be adopted: the table has no integer column with a unique index of its own, which a "+
			"ticket's id needs; --table %sticketd_tickets makes ticketd's own table", name, prefix)
	}
	o.Say("%s is not ticketd's and is never altered; its revisions are in %s_ticketd. Check key_column and "+
		"columns in %s",
		name, name, o.Config)
	return a, nil
}

// strangerError stops init at a table that ticketd did not make.
type strangerError struct {
	name     string
	found    *mysql.Found
	proposal *adopted
	own      string // a free name for ticketd's own table
}

func (e *strangerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s exists, and ticketd did not make this table. Its columns:\n", e.name)
	for _, c := range e.found.Columns {
		fmt.Fprintf(&b, "    %s %s\n", c.Name, c.Type)
	}
	if e.found.Key == "" {
		b.WriteString("ticketd cannot use the table: the table has no integer column with a unique index of its own, which a " +
			"ticket's id needs.\n")
	} else {
		b.WriteString("ticketd can use the table without altering the table: revisions are in " + e.name + "_ticketd. " +
			"ticketd changes nothing until you choose:\n  --adopt uses the table")
		if lines := e.proposal.lines(); lines != "" {
			b.WriteString(", with these lines in the configuration, a guess from its columns' names:\n" + lines)
		} else {
			b.WriteString("; its columns have the names of ticketd's fields\n")
		}
	}
	fmt.Fprintf(&b, "  --table %s makes ticketd's own table", e.own)
	return b.String()
}

// Unwrap returns errStranger for errors.Is.
func (*strangerError) Unwrap() error { return errStranger }

var errStranger = errors.New("the table is not ticketd's")

// synonyms are, for each of ticketd's fields, the column names of other plugins, the likeliest first.
var synonyms = []struct {
	field string
	names []string
}{
	{"customer_id", []string{"customer", "user_id", "author_id", "requester_id", "client_id", "created_by", "author", "user"}},
	{"subject", []string{"title", "summary", "topic", "ticket_subject", "name"}},
	{"status", []string{"state", "ticket_status", "status_id"}},
	{"category", []string{"category_id", "department", "department_id", "ticket_category", "queue", "type"}},
	{"priority", []string{"priority_id", "ticket_priority", "urgency", "severity"}},
	{"assigned_to", []string{"agent_id", "assigned_agent", "assignee_id", "assignee", "staff_id", "assigned", "agent", "owner_id"}},
	{"created_at", []string{"date_created", "created", "created_on", "date_added", "create_time", "opened_at"}},
	{"updated_at", []string{"date_updated", "updated", "updated_on", "last_updated", "modified", "date_modified",
		"last_modified", "update_time"}},
	{"deleted_at", []string{"date_deleted", "deleted_on", "deleted_time", "trashed_at"}},
}

// maxName bounds the column names that the configuration accepts, in characters.
const maxName = 64

// guess maps ticketd's fields to columns with other names, by the names. Each column is used once.
func guess(found *mysql.Found) []mapping {
	taken := []string{strings.ToLower(found.Key)}
	column := func(name string) (string, bool) {
		i := slices.IndexFunc(found.Columns, func(c mysql.FoundColumn) bool { return strings.EqualFold(c.Name, name) })
		if i < 0 || !charset.Only(found.Columns[i].Name, maxName, charset.Letters+"_$") {
			return "", false
		}
		return found.Columns[i].Name, true
	}
	var all []mapping
	for _, s := range synonyms {
		if _, there := column(s.field); there {
			continue
		}
		for _, name := range s.names {
			have, there := column(name)
			if there && !slices.Contains(taken, name) {
				all, taken = append(all, mapping{s.field, have}), append(taken, name)
				break
			}
		}
	}
	return all
}
