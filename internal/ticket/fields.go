package ticket

import (
	"strconv"
	"strings"
)

type valueKind uint8

const (
	kindNull valueKind = iota // first, so that the zero Value is NULL and never an empty string by accident
	kindText
	kindInt
)

// Value is the value of a field: text, or NULL. NULL is a value; an unset field has no value. In a reply the value of an
// integer column is marked as an integer.
type Value struct {
	text string
	kind valueKind
}

// Null is the value NULL.
var Null = Value{}

// Text makes the value of a field that holds s, the empty string included.
func Text(s string) Value { return Value{text: s, kind: kindText} }

// Int makes the value of an integer column.
func Int(n int64) Value { return Value{text: strconv.FormatInt(n, 10), kind: kindInt} }

// IsNull says whether the value is NULL.
func (v Value) IsNull() bool { return v.kind == kindNull }

// IsInt says whether the value is marked as an integer column's.
func (v Value) IsInt() bool { return v.kind == kindInt }

// Text returns the text of the value; NULL returns the empty string.
func (v Value) Text() string { return v.text }

// Int returns the number of a value for which IsInt is true, and 0 for every other.
func (v Value) Int() int64 {
	if v.kind != kindInt {
		return 0
	}
	n, _ := strconv.ParseInt(v.text, 10, 64) // an integer by construction
	return n
}

// AsInt marks the value of an integer column. A text that is no 64-bit integer stays unmarked.
func (v Value) AsInt() Value {
	if v.kind == kindText {
		if _, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			v.kind = kindInt
		}
	}
	return v
}

// Clone returns the same value in separate memory.
func (v Value) Clone() Value { return Value{text: strings.Clone(v.text), kind: v.kind} }

// Field is a named value.
type Field struct {
	Name  string
	Value Value
}

// Fields are a ticket's named values, each name at most once, in the order of arrival.
type Fields []Field

// Get returns the value of the named field, and false for a missing field.
func (f Fields) Get(name string) (Value, bool) {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value, true
		}
	}
	return Value{}, false
}

// With returns the fields with the named field set to v, in place if the field exists.
func (f Fields) With(name string, v Value) Fields {
	for i := range f {
		if f[i].Name == name {
			f[i].Value = v
			return f
		}
	}
	return append(f, Field{Name: name, Value: v})
}

// Own returns a copy of the list, with room for more fields, whose values may be replaced.
func (f Fields) Own(room int) Fields { return append(make(Fields, 0, len(f)+room), f...) }
