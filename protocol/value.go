package protocol

import (
	"math"
	"strconv"

	"github.com/ticketd/ticketd/internal/ticket"
)

// The domain's types, under names that programs outside of this module can use.
type (
	// Value is what one field holds on the wire: NULL, text, or (only from the daemon) a whole number.
	Value = ticket.Value
	// Field is one named value.
	Field = ticket.Field
	// Fields are named values, each name at most once.
	Fields = ticket.Fields
	// Selection says which tickets list and count are about; at most [MaxFilters] filters of at most [MaxChoices] values, and
	// [MaxFilters] texts of at most [MaxContains] bytes.
	Selection = ticket.Selection
	// Filter asks for the tickets of which a field has one of the values.
	Filter = ticket.Filter
	// Period is a half-open span of time.
	Period = ticket.Period
	// Group is how many tickets have a value.
	Group = ticket.Group
)

// Null is the value of a field that is set to nothing.
var Null = ticket.Null

// Text makes the value of a field that holds s, the empty string included. What is no valid UTF-8 travels as msgpack's bin, and
// only from the daemon.
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

// floatText is the shortest decimal form that reads back as the same number, in the notation that ECMAScript and JSON
// use: an exponent only below 1e-6 and from 1e21, so that a whole number in a float looks like a whole number. bits is
// 32 or 64, the width on the wire. ok is false for NaN and the infinities.
func floatText(f float64, bits int) (s string, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", false
	}
	if f == 0 {
		return "0", true // minus zero too: it is the same number
	}
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 || abs >= 1e21 {
		format = 'e'
	}
	s = strconv.FormatFloat(f, format, -1, bits)
	if n := len(s); format == 'e' && s[n-4] == 'e' && s[n-2] == '0' {
		s = s[:n-2] + s[n-1:] // e-07 to e-7
	}
	return s, true
}
