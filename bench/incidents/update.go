package incidents

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Update is one line of the log.
type Update struct {
	Ticket int64
	// Fields are the ticket's fields after the update, all of them in every update; nil is NULL.
	Fields map[string]*string
}

// Columns are the fields that wp_support_tickets has a column for, Extra those that it has not, both by the log's
// names.
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

// unknown is what the log writes where it knows no value.
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

// moment brings a time into MySQL's form. The columns are NOT NULL, and the log always knows these times.
func moment(s string) (*string, error) {
	t, err := time.Parse("02-01-2006 15:04", s)
	if err != nil {
		return nil, err
	}
	text := t.Format(time.DateTime)
	return &text, nil
}

// notNull is for a column that is NOT NULL: what is unknown is empty.
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
