package protocol

import (
	"math"
	"strconv"
)

type valueKind uint8

const (
	kindNull valueKind = iota // first, so that the zero Value is NULL and never an empty string by accident
	kindText
	kindInt
)

// Value is what one field holds on the wire: NULL, text, or (only from the daemon) a whole number.
type Value struct {
	text string
	num  int64
	kind valueKind
}

// Null is the value of a field that is set to nothing.
var Null = Value{}

// Text makes the value of a field that holds s, the empty string included. What is no valid UTF-8 travels as msgpack's bin, and
// only from the daemon.
func Text(s string) Value { return Value{text: s, kind: kindText} }

// Int makes the value of an integer column, which travels as a msgpack integer.
func Int(n int64) Value { return Value{num: n, kind: kindInt} }

// IsNull says whether the value is NULL.
func (v Value) IsNull() bool { return v.kind == kindNull }

// IsInt says whether the value travels as an integer.
func (v Value) IsInt() bool { return v.kind == kindInt }

// Int returns the number of a value for which IsInt is true, and 0 for every other.
func (v Value) Int() int64 { return v.num }

// Text returns the value as text: an integer in decimal, NULL as the empty string.
func (v Value) Text() string {
	if v.kind == kindInt {
		return strconv.FormatInt(v.num, 10)
	}
	return v.text
}

// Field is one named value.
type Field struct {
	Name  string
	Value Value
}

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
