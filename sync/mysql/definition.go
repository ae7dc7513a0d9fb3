package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// flavour is the difference between the databases' descriptions of tables.
type flavour struct {
	mariaDB bool
	maxUnix int64 // the last second of a TIMESTAMP
	depth   int   // the greatest depth of JSON
}

const (
	lastSecondSigned   = 1<<31 - 1
	lastSecondUnsigned = 1<<32 - 1

	// Both databases count the levels of arrays and objects.
	depthMariaDB = 31
	depthMySQL   = 100
)

// LoadDefinition reads the definition of the tickets table from the database and remembers it for [DB.Definition]. The error
// wraps [flush.ErrSinkPaused] if ticketd cannot use the table in its present form, and else [flush.ErrSinkDown].
func (db *DB) LoadDefinition(ctx context.Context) (*table.Definition, error) {
	const operation = "read the table's definition"
	db.packet.Store(0)
	if err := db.identifyAgain(ctx); err != nil {
		return nil, err
	}
	if l := db.config.Layout; l != nil {
		return db.loadLayout(ctx, l)
	}
	facts, err := db.readFacts(ctx)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	db.altered.CompareAndSwap(false, len(facts.columns) == 0)
	d, err := db.assemble(&facts)
	if err == nil && !facts.beside {
		err = db.proveOwn(ctx)
	}
	if err == nil && !facts.unique {
		err = fmt.Errorf("column %s has no unique index of its own; add a unique index", db.config.Key)
	}
	if err != nil {
		return nil, fmt.Errorf("mysql: table %s: %w: %w", db.config.Table, flush.ErrSinkPaused, err)
	}
	if err := db.lookForNoTickets(ctx, d.Key); err != nil {
		return nil, db.failure(operation, err)
	}
	db.definition.Store(d)
	db.altered.Store(false)
	return d, nil
}

// loadLayout is LoadDefinition of a layout.
func (db *DB) loadLayout(ctx context.Context, l *Layout) (*table.Definition, error) {
	const operation = "read the tables' definition"
	f, err := db.flavour(ctx)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	all := make([]TableColumns, len(l.Needs))
	for i, name := range l.Needs {
		columns, err := db.describeTable(ctx, name)
		if err == nil {
			err = db.learnCharacters(ctx, columns)
		}
		if err != nil {
			return nil, db.failure(operation, err)
		}
		if len(columns) == 0 {
			return nil, fmt.Errorf("mysql: table %s: %w: no such table; correct table_prefix, or the database in the dsn", name,
				flush.ErrSinkPaused)
		}
		all[i] = TableColumns{}
		for c := range columns {
			all[i][columns[c].name] = columns[c].column(columns[c].name, f, false)
		}
	}
	side, err := db.tableExists(ctx, l.Side)
	if err != nil {
		return nil, db.failure(operation, err)
	}
	if !side {
		return nil, fmt.Errorf("mysql: table %s: %w: no such table; run ticketd migrate", l.Side, flush.ErrSinkPaused)
	}
	d, err := l.Assemble(all)
	if err == nil {
		d.Table, d.Key, d.Side, d.Revision = db.config.Table, db.config.Key, l.Side, sideRevisionColumn
		err = d.Prepare()
	}
	if err != nil {
		return nil, fmt.Errorf("mysql: table %s: %w: %w", db.config.Table, flush.ErrSinkPaused, err)
	}
	db.definition.Store(d)
	db.altered.Store(false)
	return d, nil
}

// facts are what the database says of the tickets table.
type facts struct {
	flavour     flavour
	columns     []described
	jsonColumns map[string]bool // see jsonChecks
	unique      bool            // the key has a unique index of its own
	beside      bool            // the table has a side table
}

func (db *DB) readFacts(ctx context.Context) (f facts, err error) {
	if f.flavour, err = db.flavour(ctx); err != nil {
		return f, err
	}
	if f.columns, err = db.describe(ctx); err != nil {
		return f, err
	}
	if err = db.learnCharacters(ctx, f.columns); err != nil {
		return f, err
	}
	if f.flavour.mariaDB {
		if f.jsonColumns, err = db.jsonChecks(ctx); err != nil {
			return f, err
		}
	}
	if f.unique, err = db.keyIsUnique(ctx); err != nil {
		return f, err
	}
	f.beside, err = db.tableExists(ctx, db.config.Table+sideSuffix)
	return f, err
}

// assemble makes the definition from the facts and the config.
func (db *DB) assemble(f *facts) (*table.Definition, error) {
	c := db.config
	if len(f.columns) == 0 {
		return nil, errors.New("no such table; run ticketd migrate")
	}
	fields := make(map[string]string, len(c.Columns))
	for field, column := range c.Columns {
		fields[strings.ToLower(column)] = field
	}
	d := &table.Definition{Table: c.Table}
	if f.beside {
		d.Side, d.Revision = c.Table+sideSuffix, c.Revision
	}
	for _, col := range f.columns {
		field, mapped := fields[strings.ToLower(col.name)]
		if !mapped {
			field = col.name
		}
		delete(fields, strings.ToLower(col.name))
		if own, err := c.reserved(d, &col, mapped, f.jsonColumns[col.name]); own {
			if err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case strings.EqualFold(col.name, c.DeletedAt):
			d.DeletedAt = field
		case strings.EqualFold(col.name, c.CreatedAt):
			d.CreatedAt = field
		case strings.EqualFold(col.name, c.UpdatedAt):
			d.UpdatedAt = field
		}
		d.Columns = append(d.Columns, col.column(field, f.flavour, f.jsonColumns[col.name]))
	}
	if d.Key == "" {
		return nil, fmt.Errorf("no key column %s; name it in the config", c.Key)
	}
	if d.Revision == "" {
		return nil, fmt.Errorf("no revision column %s; run ticketd migrate", c.Revision)
	}
	for column, field := range fields {
		return nil, fmt.Errorf("the column map names the column %s for the field %q, but the table has no such column", column, field)
	}
	return d, d.Prepare()
}

// reserved notes a column that holds no ticket field: key, revision or extra.
func (c Config) reserved(d *table.Definition, col *described, mapped, jsonText bool) (own bool, err error) {
	switch {
	case d.Side != "" && c.theirs(col, mapped, jsonText):
		return false, nil
	case strings.EqualFold(col.name, c.Key):
		d.Key = col.name
		if !col.integer() {
			err = fmt.Errorf("key column %s is no integer", col.name)
		}
	case strings.EqualFold(col.name, c.Revision) && d.Side != "":
		// The column of an earlier version of ticketd, before revisions moved beside the table, or the owner's own column.
		if !col.nullable && !col.defaultText.Valid {
			err = fmt.Errorf("column %s must be given in every INSERT; make it a field of another name in the config's columns",
				col.name)
		}
	case strings.EqualFold(col.name, c.Revision):
		d.Revision = col.name
		if col.dataType != "bigint" || col.nullable {
			err = fmt.Errorf("revision column %s must be BIGINT UNSIGNED NOT NULL DEFAULT 0", col.name)
		}
	case strings.EqualFold(col.name, c.Extra):
		d.Extra = col.name
	default:
		return false, nil
	}
	return true, err
}

// described is one row of information_schema.columns.
type described struct {
	name, dataType, columnType, extra string
	nullable                          bool
	defaultText, charset, collation   sql.NullString
	generation                        sql.NullString
	chars, octets, precision, scale   sql.NullInt64
	timeDigits                        sql.NullInt64
	characters                        string
}

func (db *DB) describe(ctx context.Context) ([]described, error) {
	return db.describeTable(ctx, db.config.Table)
}

func (db *DB) describeTable(ctx context.Context, name string) ([]described, error) {
	rows, err := db.pool.QueryContext(ctx, `SELECT column_name, data_type, column_type, extra, is_nullable = 'YES',
		column_default, character_set_name, collation_name, generation_expression,
		character_maximum_length, character_octet_length, numeric_precision, numeric_scale, datetime_precision
		FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position`,
		name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []described
	for rows.Next() {
		var c described
		if err := rows.Scan(&c.name, &c.dataType, &c.columnType, &c.extra, &c.nullable,
			&c.defaultText, &c.charset, &c.collation, &c.generation,
			&c.chars, &c.octets, &c.precision, &c.scale, &c.timeDigits); err != nil {
			return nil, err
		}
		c.dataType, c.extra = strings.ToLower(c.dataType), strings.ToLower(c.extra)
		all = append(all, c)
	}
	return all, rows.Err()
}

func (db *DB) flavour(ctx context.Context) (flavour, error) {
	var version string
	var folds int
	if err := db.pool.QueryRowContext(ctx, "SELECT VERSION(), @@lower_case_table_names").Scan(&version, &folds); err != nil {
		return flavour{}, err
	}
	db.caseCounts.Store(folds == 0)
	return flavourOf(version), nil
}

// flavourOf reads the answer of VERSION(), such as 8.0.36 or 10.11.6-MariaDB-0+deb12u1.
func flavourOf(version string) flavour {
	f := flavour{maxUnix: lastSecondSigned, depth: depthMySQL}
	if !strings.Contains(version, "MariaDB") {
		return f
	}
	f.mariaDB, f.depth = true, depthMariaDB
	var major, minor int
	_, _ = fmt.Sscanf(version, "%d.%d", &major, &minor) // a version in another form counts as old
	if major > 11 || major == 11 && minor >= 5 {
		f.maxUnix = lastSecondUnsigned
	}
	return f
}

// jsonChecks returns the columns that MariaDB keeps as text with a json_valid constraint: MariaDB's JSON type.
func (db *DB) jsonChecks(ctx context.Context) (map[string]bool, error) {
	rows, err := db.pool.QueryContext(ctx, `SELECT check_clause FROM information_schema.check_constraints
		WHERE constraint_schema = DATABASE() AND table_name = ?`, db.config.Table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := make(map[string]bool)
	for rows.Next() {
		var clause string
		if err := rows.Scan(&clause); err != nil {
			return nil, err
		}
		if name, ok := strings.CutPrefix(clause, "json_valid(`"); ok {
			columns[strings.TrimSuffix(name, "`)")] = true
		}
	}
	return columns, rows.Err()
}

// keyIsUnique says whether the key column alone is a unique index: otherwise every upsert would insert.
func (db *DB) keyIsUnique(ctx context.Context) (bool, error) {
	return uniqueAlone(ctx, db.pool, db.config.Table, db.config.Key)
}

// proveOwn refuses a table whose revision column may be the owner's, as no other table of ticketd is beside the table.
func (db *DB) proveOwn(ctx context.Context) error {
	if db.config.Revision != DefaultRevision {
		return nil
	}
	if there, err := db.tableExists(ctx, db.config.Table+sequenceSuffix); there || err != nil {
		return err
	}
	return fmt.Errorf("there is no table %s%s, so the column %s may be another plugin's; run ticketd migrate",
		db.config.Table, sequenceSuffix, db.config.Revision)
}

// tableExists says whether the database has the table.
func (db *DB) tableExists(ctx context.Context, name string) (bool, error) {
	var n int
	err := db.pool.QueryRowContext(ctx,
		"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", name).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look for table %s: %w", name, err)
	}
	return n > 0, nil
}

// theirs says that a column with a reserved name is the owner's: a revision that the config maps to a field, or an extra column
// that is no JSON.
func (c Config) theirs(col *described, mapped, jsonText bool) bool {
	if strings.EqualFold(col.name, c.Extra) {
		return col.dataType != "json" && !jsonText
	}
	return strings.EqualFold(col.name, c.Revision) && mapped
}

// wholeUnicode are the character sets that have every character.
var wholeUnicode = []string{"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"}

// knownAtTheDoor are the character sets whose characters package table knows.
var knownAtTheDoor = []string{"ascii", "latin1", "utf8", "utf8mb3", "ucs2"}

// learnCharacters notes the characters of the columns' character sets, as package table must refuse all other characters. db
// asks the server once for each character set, as the server has its own tables.
func (db *DB) learnCharacters(ctx context.Context, columns []described) error {
	for i := range columns {
		name := columns[i].charset.String
		if name == "" || slices.Contains(wholeUnicode, name) || slices.Contains(knownAtTheDoor, name) {
			continue
		}
		known, there := db.characters.Load(name)
		if !there {
			ranges, err := db.askCharacters(ctx, name)
			if err != nil {
				return err
			}
			known, _ = db.characters.LoadOrStore(name, ranges)
		}
		columns[i].characters, _ = known.(string)
	}
	return nil
}

// askCharacters returns the ranges of a character set's characters, each as its first and its last: the characters that a
// conversion returns unchanged. Only [wholeUnicode] has characters beyond Unicode's first plane.
func (db *DB) askCharacters(ctx context.Context, charset string) (string, error) {
	const (
		end  = 0x10000
		step = 0x1000 // some 12 kB a query
	)
	var ranges []rune
	for from := rune(0); from < end; from += step {
		asked := make([]rune, 0, step)
		for r := from; r < from+step; r++ {
			if utf8.ValidRune(r) {
				asked = append(asked, r)
			}
		}
		var answer string
		query := "SELECT CONVERT(CONVERT(? USING " + quote(charset) + ") USING utf8mb4)"
		if err := db.pool.QueryRowContext(ctx, query, string(asked)).Scan(&answer); err != nil {
			return "", err
		}
		held := []rune(answer)
		if len(held) != len(asked) { // the lengths differ: only the database knows the characters
			return "", nil
		}
		for i, r := range asked {
			switch last := len(ranges) - 1; {
			case held[i] != r:
			case last > 0 && ranges[last] == r-1:
				ranges[last] = r
			default:
				ranges = append(ranges, r, r)
			}
		}
	}
	return string(ranges), nil
}

// isTicket is the condition that a row's key is a ticket id. Tables of other plugins have rows with the key 0 or below, and
// unsigned keys reach further than ids: no client could name such a row, and no answer could carry its key.
func isTicket(key string) string { return quote(key) + " BETWEEN 1 AND 9223372036854775807" }

// lookForNoTickets counts, for [DB.NoTickets], the rows whose key is no ticket id.
func (db *DB) lookForNoTickets(ctx context.Context, key string) error {
	var n int64
	var first sql.NullString
	err := db.pool.QueryRowContext(ctx, "SELECT COUNT(*),MIN("+quote(key)+") FROM "+quote(db.config.Table)+
		" WHERE NOT "+isTicket(key)).Scan(&n, &first)
	if err != nil {
		return err
	}
	text := ""
	if n > 0 {
		text = fmt.Sprintf("rows of %s have a %s that is no ticket id (%d rows, the first is %s): list and count omit these rows, as "+
			"ticket ids begin at 1 and end at 9223372036854775807", db.config.Table, key, n, first.String)
	}
	db.noTickets.Store(&text)
	return nil
}

// NoTickets describes the rows whose key was no ticket id at the last reading of the definition; empty without such a row.
func (db *DB) NoTickets() string {
	if text := db.noTickets.Load(); text != nil {
		return *text
	}
	return ""
}

const (
	// rereadPause is the least time between two readings of the definition because of a refusal.
	rereadPause = time.Second
	// rereadTimeout bounds such a reading: a write waits for the reading.
	rereadTimeout = 500 * time.Millisecond
)

// Reread serves a caller that has refused a change by the definition judged, or whose change the database refused: the table may
// have been altered since. Reread reads the definition again, once for all concurrent callers and at most once a second, so that
// a stream of refused writes does not load the database. Reread returns the new definition, or nil if the definition is
// unchanged or the reading fails: then the refusal stands.
func (db *DB) Reread(ctx context.Context, judged *table.Definition) *table.Definition {
	if reflect.DeepEqual(db.definition.Load(), judged) {
		db.rereads.do(ctx, func() {
			ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
			defer cancel()
			_, _ = db.LoadDefinition(ctx) // the next flush reports a missing or unusable table
		})
	}
	if now := db.definition.Load(); !reflect.DeepEqual(now, judged) {
		return now
	}
	return nil
}

// seldom runs a function once for all concurrent callers, and not again for a while. The zero value is ready.
type seldom struct {
	mu      sync.Mutex
	ended   time.Time
	running chan struct{} // closed at the end of the run; nil if no run is under way
}

// do runs f, or waits for the run under way, until ctx ends. It returns at once if the last run ended less than [rereadPause]
// ago.
func (s *seldom) do(ctx context.Context, f func()) {
	s.mu.Lock()
	if running := s.running; running != nil {
		s.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
		}
		return
	}
	if time.Since(s.ended) < rereadPause {
		s.mu.Unlock()
		return
	}
	running := make(chan struct{})
	s.running = running
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended, s.running = time.Now(), nil
		close(running)
	}()
	f()
}

// sideKey is the side table's column of the ticket's id.
func (db *DB) sideKey() string {
	if db.config.Layout != nil {
		return db.config.Key
	}
	return sideKeyColumn
}
