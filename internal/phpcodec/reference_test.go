package phpcodec

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxDepth is the PHP client's: messages of the protocol are less deep.
const maxDepth = 32

var (
	errMalformed = errors.New("not exactly one msgpack value")
	// errForeign says that no message of the protocol can hold the payload's content.
	errForeign = errors.New("nothing that the protocol carries")
)

func valid(s string) bool { return utf8.ValidString(s) }

// reference reads a payload with only the msgpack library's pieces: it is the measure for all three codecs. The error wraps
// errMalformed, errForeign, or both.
func reference(payload []byte) (any, error) {
	r := bytes.NewReader(payload)
	ref := &referee{d: msgpack.NewDecoder(r), left: r.Len}
	v, err := ref.value(0)
	if err == nil && r.Len() > 0 {
		err = errors.New("something follows the value")
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", errMalformed, err)
	}
	if ref.foreign {
		err = errors.Join(err, errForeign)
	}
	return v, err
}

type referee struct {
	d       *msgpack.Decoder
	left    func() int
	foreign bool
}

func (r *referee) value(depth int) (any, error) {
	c, err := r.d.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case msgpcode.IsFixedArray(c), c == msgpcode.Array16, c == msgpcode.Array32:
		n, err := r.d.DecodeArrayLen()
		if err != nil {
			return nil, err
		}
		return r.items(n, depth)
	case msgpcode.IsFixedMap(c), c == msgpcode.Map16, c == msgpcode.Map32:
		n, err := r.d.DecodeMapLen()
		if err != nil {
			return nil, err
		}
		return r.pairs(n, depth)
	case msgpcode.IsString(c), msgpcode.IsBin(c):
		return r.text()
	case msgpcode.IsExt(c):
		r.foreign = true
		_, n, err := r.d.DecodeExtHeader()
		if err == nil {
			_, err = r.bytes(n)
		}
		return nil, err
	case c == msgpcode.Float:
		return r.d.DecodeFloat32()
	case c == msgpcode.Double:
		return r.d.DecodeFloat64()
	case c == msgpcode.Uint64:
		n, err := r.d.DecodeUint64()
		if err == nil && n > 1<<63-1 {
			return strconv.FormatUint(n, 10), nil // PHP has no such integer
		}
		return int64(n), err
	case c == msgpcode.True, c == msgpcode.False:
		return r.d.DecodeBool()
	case c == msgpcode.Nil:
		return nil, r.d.DecodeNil()
	default:
		return r.d.DecodeInt64()
	}
}

func (r *referee) items(n, depth int) (any, error) {
	r.foreign = r.foreign || depth >= maxDepth
	a := newArray()
	for i := range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		a.put(int64(i), v)
	}
	return a, nil
}

func (r *referee) pairs(n, depth int) (any, error) {
	r.foreign = r.foreign || depth >= maxDepth
	a := newArray()
	for range n {
		key, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case string, int64:
			a.put(key, v)
		default:
			r.foreign = true
		}
	}
	return a, nil
}

func (r *referee) text() (any, error) {
	n, err := r.d.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	return r.bytes(n)
}

// bytes never allocates more than the input holds.
func (r *referee) bytes(n int) (string, error) {
	if n > r.left() {
		return "", errors.New("a length beyond the end")
	}
	b := make([]byte, n)
	err := r.d.ReadFull(b)
	return string(b), err
}
