package mysql

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/charset"
)

// Defaults of [Config].
const (
	DefaultTable    = "wp_support_tickets"
	DefaultKey      = "ticket_id"
	DefaultRevision = "revision"
	DefaultExtra    = "extra"
	DefaultMaxRows  = 1000
	DefaultMaxConns = 4
)

// Config describes the place of the tickets table and the names of its columns. An empty or zero value takes its default.
type Config struct {
	// DSN in go-sql-driver's form: user:password@unix(/path/to.sock)/database. ticketd never logs the DSN. This package sets the
	// variables that a session depends on (strict mode, character set, time zone), whatever the DSN says.
	DSN string
	// TLS encrypts the connections, instead of the DSN's own option; nil leaves the option. TLSName tells one TLS from another:
	// two databases share a connection only if their names are the same.
	TLS     *tls.Config
	TLSName string
	Table   string // default [DefaultTable]
	// Key and Revision are columns: the ticket's id (1 to 2^63-1, unique) and its revision.
	Key, Revision string
	// Extra is the JSON column for fields without a column of their own, if the table has the column.
	Extra string
	// DeletedAt, CreatedAt and UpdatedAt are columns, used if the table has them; default deleted_at and so on.
	DeletedAt, CreatedAt, UpdatedAt string
	// Columns maps ticket fields to columns with another name.
	Columns map[string]string
	// Layout, if not nil, describes other tables than a tickets table.
	Layout *Layout
	// MaxRows bounds one statement, 1 to 10000; default [DefaultMaxRows].
	MaxRows int
	// MaxConns bounds the database's share of its server's connections; default [DefaultMaxConns].
	MaxConns int
}

// maxMaxRows bounds MaxRows: larger statements only hold locks for longer.
const maxMaxRows = 10_000

// unquoted are the characters in the names of tables and columns that this package accepts: the names that the databases take
// unquoted. The statements quote the names too.
const unquoted = charset.Letters + "_$"

// longestName is the databases' limit in characters.
const longestName = 64

// withDefaults fills in empty values.
func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value    *string
		fallback string
	}{
		{&c.Table, DefaultTable},
		{&c.Key, DefaultKey},
		{&c.Revision, DefaultRevision},
		{&c.Extra, DefaultExtra},
		{&c.DeletedAt, "deleted_at"},
		{&c.CreatedAt, "created_at"},
		{&c.UpdatedAt, "updated_at"},
	} {
		if *d.value == "" {
			*d.value = d.fallback
		}
	}
	if c.MaxRows == 0 {
		c.MaxRows = DefaultMaxRows
	}
	if c.MaxConns == 0 {
		c.MaxConns = DefaultMaxConns
	}
	return c
}

// Validate reports every mistake at once, each with the name of the setting, and never repeats the DSN.
func (c Config) Validate() error {
	c = c.withDefaults()
	var wrong []error
	if _, err := c.parseDSN(); err != nil {
		wrong = append(wrong, err)
	}
	name := func(setting, value string, most int) {
		if !charset.Only(value, most, unquoted) {
			wrong = append(wrong, fmt.Errorf("%s: %q is not 1 to %d letters, digits, _ or $", setting, value, most))
		}
	}
	if c.standard() {
		name("table", c.Table, longestName-len(sequenceSuffix))
	} else {
		name("table", c.Table, longestName-len(tombstonesSuffix))
	}
	name("key", c.Key, longestName)
	name("revision", c.Revision, longestName)
	name("extra", c.Extra, longestName)
	name("deleted_at", c.DeletedAt, longestName)
	name("created_at", c.CreatedAt, longestName)
	name("updated_at", c.UpdatedAt, longestName)
	mapped := make(map[string]string, len(c.Columns))
	for field, column := range c.Columns {
		name("columns."+field, column, longestName)
		if field == "" || strings.HasPrefix(field, "_") {
			wrong = append(wrong, fmt.Errorf("columns: %q cannot be a ticket field: it is empty or begins with _", field))
		}
		if other, twice := mapped[column]; twice {
			wrong = append(wrong, fmt.Errorf("columns: %q and %q both name the column %q", other, field, column))
		}
		mapped[column] = field
	}
	if c.MaxRows < 1 || c.MaxRows > maxMaxRows {
		wrong = append(wrong, fmt.Errorf("max_rows: %d is not 1 to %d", c.MaxRows, maxMaxRows))
	}
	if c.MaxConns < 1 {
		wrong = append(wrong, fmt.Errorf("max_conns: %d is below 1", c.MaxConns))
	}
	return errors.Join(wrong...)
}

// parseDSN hides the driver's own error, which may quote a part of the password.
func (c Config) parseDSN() (*driver.Config, error) {
	parsed, err := driver.ParseDSN(c.DSN)
	if err != nil {
		return nil, errors.New("dsn: cannot be read; write it as user:password@unix(/path/to.sock)/database")
	}
	if parsed.DBName == "" {
		return nil, errors.New("dsn: names no database; write it as user:password@unix(/path/to.sock)/database")
	}
	if c.TLS != nil {
		parsed.TLS, parsed.TLSConfig = c.TLS, c.TLSName // with TLS set, the driver looks up no TLS by the name
	}
	return parsed, nil
}

// standard says that the table is the schema file's, not another program's table that the config describes.
func (c Config) standard() bool {
	usual := Config{}.withDefaults()
	return c.Layout == nil && c.Key == usual.Key && c.Revision == usual.Revision && c.Extra == usual.Extra &&
		c.DeletedAt == usual.DeletedAt &&
		c.CreatedAt == usual.CreatedAt && c.UpdatedAt == usual.UpdatedAt && len(c.Columns) == 0
}

// quote writes an identifier for SQL.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
