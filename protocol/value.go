package protocol

import (
	"github.com/ticketd/ticketd/internal/ticket"
)

// The domain's types, under names that programs outside of this module can use.
type (
	// Value is the value of a field on the wire: NULL, text, or (only from the daemon) a whole number.
	Value = ticket.Value
	// Field is a named value.
	Field = ticket.Field
	// Fields are named values, each name at most once.
	Fields = ticket.Fields
	// Selection says which tickets list and count are about; at most [MaxFilters] filters of at most [MaxChoices] values, and
	// [MaxFilters] texts of at most [MaxContains] bytes.
	Selection = ticket.Selection
	// Filter selects tickets by a comparison of a field: with [Equal], the zero [Operator], those with any of these values.
	Filter = ticket.Filter
	// Operator says how a filter compares.
	Operator = ticket.Operator
	// Period is a half-open span of time.
	Period = ticket.Period
	// Group is how many tickets have a value.
	Group = ticket.Group
)

// The operators of a filter.
const (
	Equal    = ticket.Equal
	NotEqual = ticket.NotEqual
	Below    = ticket.Below
	AtMost   = ticket.AtMost
	Above    = ticket.Above
	AtLeast  = ticket.AtLeast
)

// Operators returns every operator, the default first.
func Operators() []Operator { return ticket.Operators() }

// Null is the value NULL.
var Null = ticket.Null

// Text makes a text value, the empty string included. A text that is not valid UTF-8 travels as msgpack's bin, and only from
// the daemon.
func Text(s string) Value { return ticket.Text(s) }

// Int makes the value of an integer column, which travels as a msgpack integer.
func Int(n int64) Value { return ticket.Int(n) }

// ValidName says whether s may name a field: 1 to [MaxName] bytes of A-Z a-z 0-9 _ -, not beginning with an
// underscore.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName || s[0] == '_' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
