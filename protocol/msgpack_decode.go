package protocol

import (
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// decoder reads a msgpack value piece by piece. Returned strings are parts of the value: a request costs a single allocation
// for all strings.
//
// Every read is safe on any input; a cut value or a value of another type is an error.
type decoder struct {
	s  string
	r  strings.Reader // over s; mp reads from r, so that mp's position is the decoder's
	mp *msgpack.Decoder
}

var decoders = sync.Pool{New: func() any {
	d := &decoder{}
	d.mp = msgpack.NewDecoder(&d.r)
	return d
}}

// openDecoder takes a decoder from the pool; close returns the decoder.
func openDecoder(raw Raw) *decoder {
	d, _ := decoders.Get().(*decoder)
	d.s = string(raw)
	d.r.Reset(d.s)
	return d
}

func (d *decoder) close() {
	d.s = ""
	d.r.Reset("") // the pool must not keep the payload alive
	decoders.Put(d)
}

func (d *decoder) offset() int { return len(d.s) - d.r.Len() }

// code returns the first byte of the next value, or at the end the byte that msgpack never uses.
func (d *decoder) code() byte {
	const neverUsed = 0xc1
	if d.r.Len() == 0 {
		return neverUsed
	}
	return d.s[d.offset()]
}

func (d *decoder) seek(off int) { _, _ = d.r.Seek(int64(off), io.SeekStart) } // fails for negative offsets only

// raw returns the next value unread.
func (d *decoder) raw() (Raw, bool) {
	start := d.offset()
	end, ok := skip(d.s, start)
	if !ok {
		return "", false
	}
	d.seek(end)
	return Raw(d.s[start:end]), true
}

func isInt(c byte) bool {
	return msgpcode.IsFixedNum(c) || msgpcode.Uint8 <= c && c <= msgpcode.Int64
}

func isString(c byte) bool { return msgpcode.IsString(c) || msgpcode.IsBin(c) }

func isArray(c byte) bool {
	return msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32
}

func isMap(c byte) bool {
	return msgpcode.IsFixedMap(c) || c == msgpcode.Map16 || c == msgpcode.Map32
}

// int reads an integer of any format that fits 64 bits signed.
func (d *decoder) int() (int64, bool) {
	c := d.code()
	switch {
	case !isInt(c):
		return 0, false
	case c == msgpcode.Uint64:
		n, err := d.mp.DecodeUint64()
		return int64(n), err == nil && n <= math.MaxInt64 //nolint:gosec // the second result is false if n does not fit
	default:
		n, err := d.mp.DecodeInt64()
		return n, err == nil
	}
}

func (d *decoder) bool() (bool, bool) {
	switch d.code() {
	case msgpcode.True, msgpcode.False:
		b, err := d.mp.DecodeBool()
		return b, err == nil
	default:
		return false, false
	}
}

// str reads a str or a bin as bytes; the caller checks UTF-8.
func (d *decoder) str() (string, bool) {
	if !isString(d.code()) {
		return "", false
	}
	n, err := d.mp.DecodeBytesLen()
	if err != nil || n > d.r.Len() {
		return "", false
	}
	start := d.offset()
	d.seek(start + n)
	return d.s[start : start+n], true
}

// arrayLen reads the head of an array. The length is at most the number of bytes left, so that callers may allocate for the
// whole array.
func (d *decoder) arrayLen() (int, bool) {
	if !isArray(d.code()) {
		return 0, false
	}
	n, err := d.mp.DecodeArrayLen()
	return n, err == nil && n <= d.r.Len()
}

// mapLen reads the head of a map; an empty array stands for an empty map. The length is at most half the number of bytes
// left, so that callers may allocate for the whole map.
func (d *decoder) mapLen() (int, bool) {
	c := d.code()
	if isArray(c) {
		n, ok := d.arrayLen()
		return 0, ok && n == 0
	}
	if !isMap(c) {
		return 0, false
	}
	n, err := d.mp.DecodeMapLen()
	return n, err == nil && n <= d.r.Len()/2
}

// key reads the key of a map. PHP turns a numeric string key of an array into an integer, so an integer key stands for its
// decimal form.
func (d *decoder) key() (string, bool) {
	if isInt(d.code()) {
		n, ok := d.int()
		return strconv.FormatInt(n, 10), ok
	}
	return d.str()
}

// value reads a field's value and converts the value to text as in SPEC.md section 3. why is empty on success.
func (d *decoder) value() (v Value, why string) {
	c := d.code()
	var err error
	switch {
	case c == msgpcode.Nil:
		err = d.mp.DecodeNil()
	case isString(c):
		s, ok := d.str()
		if !ok {
			return Null, "is cut"
		}
		if !utf8.ValidString(s) {
			return Null, "is not valid UTF-8; convert it before sending"
		}
		v = Text(s)
	case c == msgpcode.Uint64:
		var n uint64
		n, err = d.mp.DecodeUint64()
		v = Text(strconv.FormatUint(n, 10))
	case isInt(c):
		var n int64
		n, err = d.mp.DecodeInt64()
		v = Text(strconv.FormatInt(n, 10))
	case c == msgpcode.True, c == msgpcode.False:
		var b bool
		b, err = d.mp.DecodeBool()
		v = Text("0")
		if b {
			v = Text("1")
		}
	case c == msgpcode.Float, c == msgpcode.Double:
		return d.float(c)
	default:
		return Null, "is " + kindName(c) + "; a field is one value: text, a number, a boolean or nil"
	}
	if err != nil {
		return Null, "is cut"
	}
	return v, ""
}

func (d *decoder) float(c byte) (Value, string) {
	f, err := d.mp.DecodeFloat64()
	if err != nil {
		return Null, "is cut"
	}
	bits := 64
	if c == msgpcode.Float {
		bits = 32
	}
	s, ok := floatText(f, bits)
	if !ok {
		return Null, "is not a finite number"
	}
	return Text(s), ""
}

// floatText is the shortest decimal form that reads back as the same number, in the notation that ECMAScript and JSON
// use: an exponent only below 1e-6 and from 1e21, so that a whole number in a float looks like a whole number. bits is
// 32 or 64, the width on the wire. ok is false for NaN and the infinities.
func floatText(f float64, bits int) (s string, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", false
	}
	if f == 0 {
		return "0", true // minus zero is the same number
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

// kindName names the type that a value's first byte announces.
func kindName(c byte) string {
	switch {
	case isInt(c):
		return "an integer"
	case isString(c):
		return "a string"
	case isArray(c):
		return "an array"
	case isMap(c):
		return "a map"
	case msgpcode.IsExt(c):
		return "an extension type"
	case c == msgpcode.Nil:
		return "nil"
	case c == msgpcode.True, c == msgpcode.False:
		return "a boolean"
	case c == msgpcode.Float, c == msgpcode.Double:
		return "a float"
	default:
		return "no msgpack value"
	}
}
