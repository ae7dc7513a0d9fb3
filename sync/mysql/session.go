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

// A server shapes each session by its global variables and by init_connect, which the server runs for every user without the
// right SUPER (or CONNECTION ADMIN). So ticketd uses a connection only after setting every variable that its statements rely on,
// and after the server has confirmed the values.

const (
	dialTimeout  = 5 * time.Second
	readTimeout  = 30 * time.Second
	writeTimeout = 30 * time.Second
	// connCollation is known to both databases; the columns' own collations decide comparisons.
	connCollation = "utf8mb4_general_ci"
)

// ErrSession means that the server answered, but did not give a session that ticketd's statements can rely on.
var ErrSession = errors.New("the server does not allow ticketd's session")

// setting is a session variable and the value that the statements rely on.
type setting struct {
	name string
	// value is SQL for a SET.
	value string
	// only is the version comment that shows the variable only to servers that have the variable; empty if all servers do.
	only string
	// limit says that the variable bounds a statement's cost, so that the DSN may give another value.
	limit bool
}

// Version comments: only these servers read the text that follows, and MariaDB skips MySQL's comments.
const (
	mariaDB = "M!100502"
	mySQL   = "!80000"
)

// settings are set in this order. The server keeps its own values of variables that only cost time, or that only a statement
// outside of ticketd would notice.
var settings = []setting{
	// Text arrives and returns unchanged.
	{name: "character_set_client", value: "'utf8mb4'"},
	{name: "character_set_results", value: "'utf8mb4'"},
	{name: "character_set_connection", value: "'utf8mb4'"},
	{name: "collation_connection", value: "'" + connCollation + "'"},
	// A statement is committed when it is answered. A COMMIT neither begins another transaction nor ends the connection.
	{name: "completion_type", value: "'NO_CHAIN'"},
	{name: "autocommit", value: "ON"},
	// The look-up of tombstones relies on locks on missing keys.
	{name: "tx_isolation", value: "'REPEATABLE-READ'", only: mariaDB},
	{name: "transaction_isolation", value: "'REPEATABLE-READ'", only: mySQL},
	{name: "tx_read_only", value: "OFF", only: mariaDB},
	{name: "transaction_read_only", value: "OFF", only: mySQL},
	// The database refuses values instead of cutting them silently, and reads literals and names as written here.
	{
		name:  "sql_mode",
		value: "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
	},
	{name: "foreign_key_checks", value: "ON"},
	{name: "unique_checks", value: "ON"},
	{name: "check_constraint_checks", value: "ON", only: mariaDB},
	{name: "time_zone", value: "'+00:00'"},
	// A SELECT returns all rows of the present, and a WHERE has its usual meaning.
	{name: "sql_select_limit", value: "18446744073709551615"},
	{name: "sql_big_selects", value: "ON"}, // else max_join_size refuses some queries
	{name: "sql_auto_is_null", value: "OFF"},
	{name: "max_sort_length", value: "1024"}, // pages of a list compare whole values, so the sort must use whole values
	{name: "system_versioning_asof", value: "DEFAULT", only: mariaDB},
	{name: "sql_safe_updates", value: "OFF"}, // safe updates refuse UPDATE and DELETE that find rows by a join
	// A migration reads SHOW CREATE TABLE, and believes a DROP or ALTER that succeeds.
	{name: "sql_quote_show_create", value: "ON"},
	{name: "sql_if_exists", value: "OFF", only: mariaDB},
	// The lock wait is shorter than the read time-out, so that a locked row is reported as locked and not as a lost connection, and
	// short enough that the other rows of the batch do not wait long. The read time-out, or the caller's context, ends statements.
	{name: "innodb_lock_wait_timeout", value: "1", limit: true},
	{name: "max_statement_time", value: "0", only: mariaDB, limit: true},
	{name: "idle_transaction_timeout", value: "0", only: mariaDB, limit: true},
	{name: "idle_readonly_transaction_timeout", value: "0", only: mariaDB, limit: true},
	{name: "idle_write_transaction_timeout", value: "0", only: mariaDB, limit: true},
	{name: "max_execution_time", value: "0", only: mySQL, limit: true},
}

// lenient are the different settings of the session that inserts rows of defaults and rolls back: columns without a default get
// their type's default, and the server does not check constraints. MySQL cannot switch its CHECK constraints off.
var lenient = map[string]string{"sql_mode": "''", "foreign_key_checks": "OFF", "check_constraint_checks": "OFF"}

// sessions makes connections with ticketd's own session, without a database in use.
type sessions struct {
	sqldriver.Connector

	settings []setting
	login    string // what tells these sessions from others on the same server
}

// connector makes a connector. changes are the values of settings that differ in its sessions.
func connector(dsn *driver.Config, changes map[string]string) (sessions, error) {
	s := sessions{settings: slices.Clone(settings)}
	dsn = dsn.Clone()
	dsn.DBName = "" // sites with several databases share a connection
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
	dsn.RejectReadOnly = false // true would replace the server's message by "bad connection"; see [DB.failure]
	dsn.MaxAllowedPacket = 0   // ask the server
	dsn.ParseTime, dsn.MultiStatements, dsn.ClientFoundRows = false, false, false
	dsn.Logger = &driver.NopLogger{} // the returned errors carry the same text
	var err error
	if s.Connector, err = driver.NewConnector(dsn); err != nil {
		return sessions{}, fmt.Errorf("mysql: the DSN's options contradict each other: %w", err)
	}
	s.login = dsn.FormatDSN() + " " + s.assignments()
	return s, nil
}

// patience adds default time-outs to a DSN.
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

// take gives ticketd its own session: no transaction under way, the settings. The last statement asks whether all settings hold.
// The question comes last, as limits that a server presets can prevent an answer.
func (s sessions) take(ctx context.Context, conn sqldriver.Conn) error {
	for _, statement := range []string{
		"ROLLBACK AND NO CHAIN NO RELEASE", // a plain ROLLBACK would follow completion_type
		s.assignments(),
	} {
		if _, err := query(ctx, conn, statement); err != nil {
			return err
		}
	}
	return s.check(ctx, conn)
}

// assignments returns the statement that sets all settings.
func (s sessions) assignments() string {
	var set strings.Builder
	set.WriteString("SET ")
	for i, w := range s.settings {
		assignment := "@@SESSION." + w.name + " = " + w.value
		if i > 0 { // all servers know the first variable
			assignment = ", " + assignment
		}
		if w.only != "" {
			assignment = "/*" + w.only + " " + assignment + " */"
		}
		set.WriteString(assignment)
	}
	return set.String()
}

// check returns an error if a setting that this server has does not hold.
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

// is says that a value, as the server writes values, equals the setting's.
func (s *setting) is(value string) bool {
	want := strings.Trim(s.value, "'")
	if s.name == "sql_mode" { // the server has its own order
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
