package mysql

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// A server shapes each session that it opens: by its global variables, and by init_connect, which it runs for every user without
// the right SUPER (or CONNECTION ADMIN). So a connection is used only after it was given everything that ticketd's statements
// rely on, and after the server has said that it holds.

const (
	dialTimeout  = 5 * time.Second
	readTimeout  = 30 * time.Second
	writeTimeout = 30 * time.Second
	// connCollation is known to both databases; the columns' own collations decide comparisons.
	connCollation = "utf8mb4_general_ci"
)

// ErrSession means that the server was reached, and did not give a session that ticketd's statements can rely on.
var ErrSession = errors.New("the server does not allow ticketd's session")

// setting is a session variable and the value that the statements rely on.
type setting struct {
	name string
	// value is SQL, as it stands in a SET.
	value string
	// only is the version comment that shows the variable to those servers alone that have it; empty where all do.
	only string
	// limit says that the variable bounds what a statement may cost, so that the DSN may name another value.
	limit bool
}

// Version comments: what follows them is read by these servers alone, and MariaDB passes over MySQL's.
const (
	mariaDB = "M!100502"
	mySQL   = "!80000"
)

// settings are set in this order. What only costs time, and what only a statement that ticketd does not use would notice, is the
// server's.
var settings = []setting{
	// Text arrives as it was sent, and comes back so.
	{name: "character_set_client", value: "'utf8mb4'"},
	{name: "character_set_results", value: "'utf8mb4'"},
	{name: "character_set_connection", value: "'utf8mb4'"},
	{name: "collation_connection", value: "'" + connCollation + "'"},
	// A statement is committed when it is answered, and a COMMIT neither begins another transaction nor ends the connection.
	{name: "completion_type", value: "'NO_CHAIN'"},
	{name: "autocommit", value: "ON"},
	// The look-up of tombstones relies on locks on what is not there.
	{name: "tx_isolation", value: "'REPEATABLE-READ'", only: mariaDB},
	{name: "transaction_isolation", value: "'REPEATABLE-READ'", only: mySQL},
	{name: "tx_read_only", value: "OFF", only: mariaDB},
	{name: "transaction_read_only", value: "OFF", only: mySQL},
	// The database refuses what it would otherwise cut silently, and reads literals and names as they are written here.
	{
		name:  "sql_mode",
		value: "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
	},
	{name: "foreign_key_checks", value: "ON"},
	{name: "unique_checks", value: "ON"},
	{name: "check_constraint_checks", value: "ON", only: mariaDB},
	{name: "time_zone", value: "'+00:00'"},
	// A SELECT returns all rows of the present, and a WHERE means what it says.
	{name: "sql_select_limit", value: "18446744073709551615"},
	{name: "sql_big_selects", value: "ON"}, // else max_join_size refuses some
	{name: "sql_auto_is_null", value: "OFF"},
	{name: "max_sort_length", value: "1024"}, // pages of a list compare whole values, so that they must be sorted by whole values
	{name: "system_versioning_asof", value: "DEFAULT", only: mariaDB},
	{name: "sql_safe_updates", value: "OFF"}, // it refuses UPDATE and DELETE that find their rows by a join
	// A migration reads SHOW CREATE TABLE, and believes a DROP or ALTER that succeeds.
	{name: "sql_quote_show_create", value: "ON"},
	{name: "sql_if_exists", value: "OFF", only: mariaDB},
	// The lock wait is shorter than the read time-out, so that a locked row is reported as one and not as a lost connection, and so
	// short that the rows beside it do not wait long until it is found. The read time-out, or the caller's context, ends statements.
	{name: "innodb_lock_wait_timeout", value: "1", limit: true},
	{name: "max_statement_time", value: "0", only: mariaDB, limit: true},
	{name: "idle_transaction_timeout", value: "0", only: mariaDB, limit: true},
	{name: "idle_readonly_transaction_timeout", value: "0", only: mariaDB, limit: true},
	{name: "idle_write_transaction_timeout", value: "0", only: mariaDB, limit: true},
	{name: "max_execution_time", value: "0", only: mySQL, limit: true},
}

// lenient is how the session differs that inserts rows of defaults and rolls back: columns without a default get their type's,
// and constraints are not looked at. MySQL cannot switch its CHECK constraints off; they stay on there.
var lenient = map[string]string{"sql_mode": "''", "foreign_key_checks": "OFF", "check_constraint_checks": "OFF"}

// sessions makes connections whose session is ticketd's own.
type sessions struct {
	sqldriver.Connector

	database string
	settings []setting
}

// connector makes the connector of a pool. The changes are values of settings that differ in this pool.
func connector(dsn *driver.Config, changes map[string]string) (sqldriver.Connector, error) {
	s := sessions{database: dsn.DBName, settings: slices.Clone(settings)}
	params := maps.Clone(dsn.Params)
	for i := range s.settings {
		own := &s.settings[i]
		given, there := params[own.name]
		delete(params, own.name)
		if there && own.limit {
			own.value = given
		}
		if change, there := changes[own.name]; there {
			own.value = change
		}
	}
	dsn.Params = params
	dsn.Collation = connCollation
	dsn.InterpolateParams = true
	dsn.RejectReadOnly = false // it would replace the server's words by "bad connection"; see [DB.failure]
	dsn.MaxAllowedPacket = 0   // ask the server
	dsn.ParseTime, dsn.MultiStatements, dsn.ClientFoundRows = false, false, false
	dsn.Logger = &driver.NopLogger{} // what it would log is in the errors that it returns
	var err error
	if s.Connector, err = driver.NewConnector(dsn); err != nil {
		return nil, fmt.Errorf("mysql: the DSN's options contradict each other: %w", err)
	}
	return s, nil
}

// patience gives a DSN the time-outs that it does not name itself.
func patience(dsn *driver.Config) *driver.Config {
	for _, t := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&dsn.Timeout, dialTimeout}, {&dsn.ReadTimeout, readTimeout}, {&dsn.WriteTimeout, writeTimeout}} {
		if *t.value == 0 {
			*t.value = t.fallback
		}
	}
	return dsn
}

// Connect implements [sqldriver.Connector].
func (s sessions) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.take(ctx, conn); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %w", ErrSession, err)
	}
	return conn, nil
}

// take makes a session ticketd's own: no transaction under way, the settings, the database of the DSN. It then asks once whether
// all of it holds. The question comes last, as a server can preset limits that keep even it from an answer.
func (s sessions) take(ctx context.Context, conn sqldriver.Conn) error {
	for _, statement := range []string{
		"ROLLBACK AND NO CHAIN NO RELEASE", // without more words it would do what completion_type says
		s.assignments(),
		"USE " + quote(s.database),
	} {
		if _, err := query(ctx, conn, statement); err != nil {
			return err
		}
	}
	return s.check(ctx, conn)
}

// assignments is the statement that sets all settings.
func (s sessions) assignments() string {
	var set strings.Builder
	set.WriteString("SET ")
	for i, w := range s.settings {
		assignment := "@@SESSION." + w.name + " = " + w.value
		if i > 0 { // the first is known to all servers
			assignment = ", " + assignment
		}
		if w.only != "" {
			assignment = "/*" + w.only + " " + assignment + " */"
		}
		set.WriteString(assignment)
	}
	return set.String()
}

// check demands of the settings that this server has that they hold.
func (s sessions) check(ctx context.Context, conn sqldriver.Conn) error {
	names := make([]string, len(s.settings))
	for i := range s.settings {
		names[i] = "'" + s.settings[i].name + "'"
	}
	rows, err := query(ctx, conn, "SHOW SESSION VARIABLES WHERE Variable_name IN ("+strings.Join(names, ", ")+")")
	if err != nil {
		return err
	}
	have := make(map[string]string, len(rows))
	for _, row := range rows {
		have[row[0]] = row[1]
	}
	for _, want := range s.settings {
		value, there := have[want.name]
		if there && !want.is(value) || !there && want.only == "" {
			return fmt.Errorf("the server keeps %s at %q, and ticketd's statements rely on %s", want.name, value, want.value)
		}
	}
	return nil
}

// is says that a value, as the server writes it, is the one of the setting.
func (s *setting) is(value string) bool {
	want := strings.Trim(s.value, "'")
	if s.name == "sql_mode" { // the server has an order of its own
		a, b := strings.Split(want, ","), strings.Split(value, ",")
		slices.Sort(a)
		slices.Sort(b)
		return slices.Equal(a, b)
	}
	if strings.EqualFold(want, value) {
		return true
	}
	a, errA := strconv.ParseFloat(want, 64) // MariaDB writes 0 s as 0.000000
	b, errB := strconv.ParseFloat(value, 64)
	return errA == nil && errB == nil && a == b
}

// query runs a statement on a connection of the driver and returns its rows as text; NULL is empty.
func query(ctx context.Context, conn sqldriver.Conn, statement string, args ...any) ([][]string, error) {
	queryer, ok := conn.(sqldriver.QueryerContext)
	if !ok {
		return nil, fmt.Errorf("mysql: the driver's %T takes no queries", conn)
	}
	named := make([]sqldriver.NamedValue, len(args))
	for n, arg := range args {
		named[n] = sqldriver.NamedValue{Ordinal: n + 1, Value: arg}
	}
	rows, err := queryer.QueryContext(ctx, statement, named)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	cells := make([]sqldriver.Value, len(rows.Columns()))
	var all [][]string
	for {
		if err := rows.Next(cells); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		row := make([]string, len(cells))
		for n, cell := range cells {
			switch v := cell.(type) {
			case nil:
			case []byte:
				row[n] = string(v)
			default:
				row[n] = fmt.Sprint(v)
			}
		}
		all = append(all, row)
	}
}
