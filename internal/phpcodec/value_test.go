package phpcodec

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/ticketd/ticketd/protocol"
)

// A value of PHP is nil, a bool, int64, float32 (a float in PHP, but with a different text in the protocol), float64, string,
// or *array.

// array is PHP's array: it keeps the order of first insertion.
type array struct {
	keys   []any // int64 or string
	values []any
	at     map[any]int
}

func newArray(items ...any) *array {
	a := &array{at: map[any]int{}}
	for i, item := range items {
		a.put(int64(i), item)
	}
	return a
}

// put sets a key, as PHP does: a string that is the decimal form of an integer is that integer.
func (a *array) put(key, value any) {
	if text, is := key.(string); is {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
			key = n
		}
	}
	if at, there := a.at[key]; there {
		a.values[at] = value
		return
	}
	a.at[key] = len(a.keys)
	a.keys, a.values = append(a.keys, key), append(a.values, value)
}

// as is the value as a T, or the zero T for another type.
func as[T any](v any) T {
	t, _ := v.(T)
	return t
}

// get returns the element under a key, nil without the key or without an array.
func (a *array) get(key any) any {
	if a == nil {
		return nil
	}
	probe := array{at: map[any]int{}}
	probe.put(key, nil)
	if at, there := a.at[probe.keys[0]]; there {
		return a.values[at]
	}
	return nil
}

// dump writes a value as the worker's dump() does.
func dump(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'n')
	case bool:
		if v {
			return append(b, 't')
		}
		return append(b, 'f')
	case int64:
		return fmt.Appendf(b, "i%d;", v)
	case float32:
		return dump(b, float64(v))
	case float64:
		if math.IsNaN(v) {
			return append(b, "dnan;"...)
		}
		return fmt.Appendf(b, "d%016x;", math.Float64bits(v))
	case string:
		return fmt.Appendf(b, "s%d:%s", len(v), v)
	case *array:
		b = fmt.Appendf(b, "a%d{", len(v.keys))
		for i := range v.keys {
			b = dump(dump(b, v.keys[i]), v.values[i])
		}
		return append(b, '}')
	default:
		panic(fmt.Sprintf("%T is no value of PHP", v))
	}
}

// serialize writes a value for PHP's unserialize().
func serialize(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "N;"...)
	case bool:
		if v {
			return append(b, "b:1;"...)
		}
		return append(b, "b:0;"...)
	case int64:
		return fmt.Appendf(b, "i:%d;", v)
	case float64:
		switch {
		case math.IsNaN(v):
			return append(b, "d:NAN;"...)
		case math.IsInf(v, 0):
			return fmt.Appendf(b, "d:%sINF;", map[bool]string{true: "-"}[v < 0])
		}
		return fmt.Appendf(b, "d:%s;", strconv.FormatFloat(v, 'g', -1, 64))
	case string:
		return fmt.Appendf(b, "s:%d:\"%s\";", len(v), v)
	case *array:
		b = fmt.Appendf(b, "a:%d:{", len(v.keys))
		for i := range v.keys {
			b = serialize(serialize(b, v.keys[i]), v.values[i])
		}
		return append(b, '}')
	default:
		panic(fmt.Sprintf("%T is not for PHP", v))
	}
}

// fieldValue is the meaning of a value in a request by SPEC.md section 3: NULL or a text. false for a refused value. JSON's
// encoder writes floats as the protocol does.
func fieldValue(v any) (protocol.Value, bool) {
	switch v := v.(type) {
	case nil:
		return protocol.Null, true
	case bool:
		if v {
			return protocol.Text("1"), true
		}
		return protocol.Text("0"), true
	case int64:
		return protocol.Text(strconv.FormatInt(v, 10)), true
	case float32, float64:
		text, err := json.Marshal(v)
		if string(text) == "-0" {
			text = []byte("0")
		}
		return protocol.Text(string(text)), err == nil
	case string:
		return protocol.Text(v), valid(v)
	default:
		return protocol.Null, false
	}
}
