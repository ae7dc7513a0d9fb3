package wpconfig

import (
	"reflect"
	"strconv"
)

// value is what PHP computes: nil, a bool, an int64, a float64, a string, an array, or, where this package cannot tell, an
// unknown or an absent.
type value any

// unknown is a value that only PHP could tell, and why.
type unknown struct {
	why   string
	unset bool // perhaps there is no value at all
}

// absent is an environment variable that is not set here. It counts as not set where the file has a default; PHP may
// have the variable all the same.
type absent struct {
	variable string
	null     bool // null, as an element of $_ENV, and not false, as from getenv
}

// array is an array with the keys in order. A key is an int64 or a string.
type array struct {
	keys   []value
	values []value
	size   int    // elements, with those of the arrays in it
	why    string // of an element that is not known
}

// maxElements bounds an array.
const maxElements = 2000

// get returns an element; nil for one that is not there.
func (a *array) get(key value) value {
	for i, k := range a.keys {
		if k == key {
			return a.values[i]
		}
	}
	return nil
}

// with returns a copy with the element set; a nil key appends.
func (a *array) with(key, v value) *array {
	b := &array{
		keys: append([]value(nil), a.keys...), values: append([]value(nil), a.values...), size: a.size + 1, why: a.why,
	}
	if of, is := v.(*array); is {
		b.size += of.size
	}
	if b.size > maxElements {
		b.size, b.why = a.size, "is a list of more elements than this command reads"
		return b
	}
	if b.why == "" {
		b.why = doubtful(v)
	}
	if key == nil {
		var next int64
		for _, k := range b.keys {
			if n, is := k.(int64); is && n >= next {
				next = n + 1
			}
		}
		key = next
	}
	for i, k := range b.keys {
		if k == key {
			b.values[i] = v
			return b
		}
	}
	b.keys, b.values = append(b.keys, key), append(b.values, v)
	return b
}

// keyOf returns v as the key of an array; false for what is none.
func keyOf(v value) (value, bool) {
	switch v := v.(type) {
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && strconv.FormatInt(n, 10) == v {
			return n, true
		}
		return v, true
	case int64:
		return v, true
	case bool:
		if v {
			return int64(1), true
		}
		return int64(0), true
	case nil:
		return "", true
	default:
		return nil, false
	}
}

// doubtful returns why a value is not known; empty for a known one.
func doubtful(v value) string {
	switch v := v.(type) {
	case unknown:
		return v.why
	case absent:
		return notSet(v.variable)
	case *array:
		return v.why
	}
	return ""
}

func notSet(variable string) string {
	return "comes from PHP's environment variable " + variable + ", which is not set here: run this command with " + variable +
		"=… before it"
}

// truth returns PHP's bool of a value, and whether the value is known.
func truth(v value) (is, known bool) {
	switch v := v.(type) {
	case nil, absent:
		return false, true
	case bool:
		return v, true
	case int64:
		return v != 0, true
	case float64:
		return v != 0, true
	case string:
		return v != "" && v != "0", true
	case *array:
		return len(v.keys) > 0, true
	default:
		return false, false
	}
}

// text returns PHP's string of a value, and whether there is one.
func text(v value) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case bool:
		if v {
			return "1", true
		}
		return "", true
	case int64:
		return strconv.FormatInt(v, 10), true
	case string:
		return v, true
	default:
		return "", false
	}
}

// settle returns a value with an absent one as what PHP has without the variable.
func settle(v value) value {
	if a, is := v.(absent); is {
		if a.null {
			return nil
		}
		return false
	}
	return v
}

// same compares two values as === does, for values that are known.
func same(a, b value) bool { return reflect.DeepEqual(settle(a), settle(b)) }

// alike compares two values as == does; known is false where PHP's rules differ between its versions or are not copied here.
func alike(a, b value) (is, known bool) {
	a, b = settle(a), settle(b)
	if same(a, b) {
		return true, true
	}
	_, boolA := a.(bool)
	_, boolB := b.(bool)
	if boolA || boolB || a == nil || b == nil {
		ta, knownA := truth(a)
		tb, knownB := truth(b)
		if s, is := a.(string); is && b == nil {
			return s == "", true
		}
		if s, is := b.(string); is && a == nil {
			return s == "", true
		}
		return ta == tb, knownA && knownB
	}
	sa, isA := a.(string)
	sb, isB := b.(string)
	if isA && isB {
		_, noA := strconv.ParseFloat(sa, 64)
		_, noB := strconv.ParseFloat(sb, 64)
		return false, noA != nil || noB != nil // two numbers in other notations may be equal
	}
	return false, reflect.TypeOf(a) == reflect.TypeOf(b)
}
