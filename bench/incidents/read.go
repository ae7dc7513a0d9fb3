package incidents

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReadFile reads a whole log.
func ReadFile(path string) ([]Update, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the incident log: %w", err)
	}
	defer func() { _ = file.Close() }()
	return Read(file)
}

// Read reads a whole log in order. The error names the unreadable line and column.
func Read(from io.Reader) ([]Update, error) {
	lines := csv.NewReader(from)
	lines.ReuseRecord = true
	header, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("reading the incident log's header: %w", err)
	}
	p, err := newParser(header)
	if err != nil {
		return nil, err
	}
	var updates []Update
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return updates, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the incident log: %w", err)
		}
		update, err := p.update(line)
		if err != nil {
			number, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("reading the incident log: line %d: %w", number, err)
		}
		updates = append(updates, update)
	}
}

// parser knows where the columns are.
type parser struct {
	ticket int
	fields []place
}

// place is the place of a field: the column in the log, the name in the log and the name in the table.
type place struct {
	at           int
	column, name string
	convert      func(string) (*string, error)
}

func newParser(header []string) (*parser, error) {
	p := &parser{ticket: slices.Index(header, ticketColumn)}
	if p.ticket < 0 {
		return nil, fmt.Errorf("reading the incident log: it has no column %s", ticketColumn)
	}
	add := func(column, name string) error {
		at := slices.Index(header, column)
		if at < 0 {
			return fmt.Errorf("reading the incident log: it has no column %s", column)
		}
		f := convert[column]
		if f == nil {
			f = value
		}
		p.fields = append(p.fields, place{at: at, column: column, name: name, convert: f})
		return nil
	}
	for column, name := range Columns {
		if err := add(column, name); err != nil {
			return nil, err
		}
	}
	for _, column := range Extra {
		if err := add(column, column); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *parser) update(line []string) (Update, error) {
	ticket, err := digits(line[p.ticket])
	if err != nil {
		return Update{}, fmt.Errorf("%s: %w", ticketColumn, err)
	}
	u := Update{Ticket: ticket, Fields: make(map[string]*string, len(p.fields))}
	for _, f := range p.fields {
		if u.Fields[f.name], err = f.convert(line[f.at]); err != nil {
			return Update{}, fmt.Errorf("%s: %w", f.column, err)
		}
	}
	return u, nil
}

// Last returns each ticket's last update: the expected final content of a table.
func Last(updates []Update) map[int64]Update {
	last := make(map[int64]Update)
	for _, u := range updates {
		last[u.Ticket] = u
	}
	return last
}

// Update is a line of the log.
type Update struct {
	Ticket int64
	// Fields are all fields of the ticket after the update, in every update; nil is NULL.
	Fields map[string]*string
}

// Columns are the fields with a column in wp_support_tickets, Extra the fields without a column, by the log's names.
var (
	Columns = map[string]string{
		"incident_state": "status", "category": "category", "priority": "priority", "assigned_to": "assigned_to",
		"caller_id": "customer_id", "opened_at": "created_at", "sys_updated_at": "updated_at", "u_symptom": "subject",
	}
	Extra = []string{
		"contact_type", "location", "subcategory", "impact", "urgency", "assignment_group", "problem_id", "closed_code",
		"resolved_by",
	}
)

// ticketColumn names the ticket in the log.
const ticketColumn = "number"

// unknown is the log's mark for an unknown value.
const unknown = "?"

// convert turns the log's values into the table's.
var convert = map[string]func(string) (*string, error){
	"assigned_to":    number,
	"caller_id":      number,
	"opened_at":      moment,
	"sys_updated_at": moment,
	"u_symptom":      notNull,
}

// value is how most fields are converted.
func value(s string) (*string, error) {
	if s == unknown {
		return nil, nil //nolint:nilnil // NULL is a value
	}
	return &s, nil
}

// number takes the digits of a name such as "Caller 2403".
func number(s string) (*string, error) {
	if s == unknown {
		return nil, nil //nolint:nilnil // NULL is a value
	}
	n, err := digits(s)
	if err != nil {
		return nil, err
	}
	text := strconv.FormatInt(n, 10)
	return &text, nil
}

// moment converts a time to MySQL's form. The columns are NOT NULL, and the log always has these times.
func moment(s string) (*string, error) {
	t, err := time.Parse("02-01-2006 15:04", s)
	if err != nil {
		return nil, err
	}
	text := t.Format(time.DateTime)
	return &text, nil
}

// notNull is for a column that is NOT NULL: an unknown value becomes empty.
func notNull(s string) (*string, error) {
	if s == unknown {
		s = ""
	}
	return &s, nil
}

// digits reads the number that a text ends with.
func digits(s string) (int64, error) {
	at := strings.LastIndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.ParseInt(s[at+1:], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q does not end with a number", s)
	}
	if n < 1 {
		return 0, errors.New("the number is below 1")
	}
	return n, nil
}
