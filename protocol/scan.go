package protocol

import "github.com/vmihailenco/msgpack/v5/msgpcode"

// skip returns the offset behind the msgpack value that begins at off, and false without a complete value.
//
// skip counts the values still to come instead of descending, so that nesting costs no stack, and refuses a length as soon as
// fewer bytes are left than the length needs (every value takes at least one byte).
func skip(s string, off int) (end int, ok bool) {
	for need := 1; need > 0; need-- {
		if off >= len(s) {
			return 0, false
		}
		head, body, children, ok := extent(s, off)
		if !ok || body > len(s)-off-head {
			return 0, false
		}
		off += head + body
		if children > len(s)-off || need-1 > len(s)-off-children {
			return 0, false
		}
		need += children
	}
	return off, true
}

// extent measures the value at off without contained values: the bytes of the head, the bytes of the body, and the number of
// values that follow as children. ok is false for the code that msgpack never uses and for a cut head.
func extent(s string, off int) (head, body, children int, ok bool) {
	c := s[off]
	switch {
	case msgpcode.IsFixedNum(c):
		return 1, 0, 0, true
	case msgpcode.IsFixedString(c):
		return 1, int(c & msgpcode.FixedStrMask), 0, true
	case msgpcode.IsFixedArray(c):
		return 1, 0, int(c & msgpcode.FixedArrayMask), true
	case msgpcode.IsFixedMap(c):
		return 1, 0, 2 * int(c&msgpcode.FixedMapMask), true
	case msgpcode.IsFixedExt(c):
		return 2, 1 << (c - msgpcode.FixExt1), 0, true
	}
	switch c {
	case msgpcode.Nil, msgpcode.False, msgpcode.True:
		return 1, 0, 0, true
	case msgpcode.Uint8, msgpcode.Int8:
		return 2, 0, 0, true
	case msgpcode.Uint16, msgpcode.Int16:
		return 3, 0, 0, true
	case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
		return 5, 0, 0, true
	case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
		return 9, 0, 0, true
	}
	return counted(s, off)
}

// counted is extent for codes followed by a length of one, two or four bytes.
func counted(s string, off int) (head, body, children int, ok bool) {
	var width, tag int // tag: the type of an extension, one byte between length and body
	c := s[off]
	switch c {
	case msgpcode.Str8, msgpcode.Bin8:
		width = 1
	case msgpcode.Str16, msgpcode.Bin16, msgpcode.Array16, msgpcode.Map16:
		width = 2
	case msgpcode.Str32, msgpcode.Bin32, msgpcode.Array32, msgpcode.Map32:
		width = 4
	case msgpcode.Ext8:
		width, tag = 1, 1
	case msgpcode.Ext16:
		width, tag = 2, 1
	case msgpcode.Ext32:
		width, tag = 4, 1
	default:
		return 0, 0, 0, false
	}
	if len(s)-off < 1+width+tag {
		return 0, 0, 0, false
	}
	n := 0
	for _, b := range []byte(s[off+1 : off+1+width]) {
		n = n<<8 | int(b)
	}
	switch c {
	case msgpcode.Array16, msgpcode.Array32:
		return 1 + width, 0, n, true
	case msgpcode.Map16, msgpcode.Map32:
		return 1 + width, 0, 2 * n, true
	default:
		return 1 + width + tag, n, 0, true
	}
}
