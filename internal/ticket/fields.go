package ticket

import "strings"

// Value is what one field holds: text, or NULL. NULL is a value; a field that nobody touched has none.
type Value struct {
	text string
	set  bool // false: NULL, so that the zero Value is NULL and never an empty string by accident
}

// Null is the value of a field that was set to nothing.
var Null = Value{}

// Text makes the value of a field that holds s, the empty string included.
func Text(s string) Value { return Value{text: s, set: true} }

// IsNull says whether the value is NULL.
func (v Value) IsNull() bool { return !v.set }

// Text returns what the value holds; NULL reads as the empty string.
func (v Value) Text() string { return v.text }

// Clone returns the same value in memory of its own.
func (v Value) Clone() Value { return Value{text: strings.Clone(v.text), set: v.set} }

// Field is one named value.
type Field struct {
	Name  string
	Value Value
}

// Fields are a ticket's named values, each name at most once, in the order in which they came.
type Fields []Field

// Get returns the value of the named field and whether it is there.
func (f Fields) Get(name string) (Value, bool) {
	for i := range f {
		if f[i].Name == name {
			return f[i].Value, true
		}
	}
	return Value{}, false
}

// With returns the fields with the named one set to v, in place where it was there already.
func (f Fields) With(name string, v Value) Fields {
	for i := range f {
		if f[i].Name == name {
			f[i].Value = v
			return f
		}
	}
	return append(f, Field{Name: name, Value: v})
}
