package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/daemon/config"
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
}

// Users returns User as a list.
func (d *draft) Users() []string { return []string{d.User} }

// draft returns the facts about the site from WordPress and MySQL, without Redis.
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

// readWordPress reads wp-config.php from WordPress' own places: the folder, or the folder above unless another WordPress is
// there.
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

// wpConfig returns the wp-config.php of a folder, or the path itself if the path is not a folder.
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

// webUsers are PHP-FPM's users in the distributions.
var webUsers = []string{"www-data", "apache", "nginx", "http", "wwwrun"}

// webUser returns the first of webUsers on this machine, or an empty string.
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
	switch {
	case wp.TLSUnverified:
		c.TLSConfig = "skip-verify"
	case wp.TLS:
		c.TLSConfig = "true"
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

// Mappings returns the columns as an inline table of TOML. plainName excludes names that need quotes.
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
func (o *Options) adopt(ctx context.Context, dsn, prefix string) (*adopted, error) {
	name := o.Table
	if name == "" {
		name = prefix + "support_tickets"
	}
	db, err := mysql.Open(mysql.Config{DSN: dsn, Table: name})
	if err != nil {
		return nil, fmt.Errorf("cannot use the table named by table_prefix in wp-config.php, or by --table: %w", err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		return nil, fmt.Errorf("cannot use the database in wp-config.php: %w", err)
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

// plainName matches the column names that the configuration accepts.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_$]{1,64}$`)

// guess maps ticketd's fields to columns with other names, by the names. Each column is used once.
func guess(found *mysql.Found) []mapping {
	taken := []string{strings.ToLower(found.Key)}
	column := func(name string) (string, bool) {
		i := slices.IndexFunc(found.Columns, func(c mysql.FoundColumn) bool { return strings.EqualFold(c.Name, name) })
		if i < 0 || !plainName.MatchString(found.Columns[i].Name) {
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
