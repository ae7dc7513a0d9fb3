package protocol

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

// keepBytes bounds the buffer that an Encoder keeps between two frames.
const keepBytes = 64 << 10

// Encoder builds whole frames, header included, in a reusable buffer: a frame is valid until the next call. Encoder writes
// every integer, string, array and map in the shortest format. An Encoder serves one goroutine; the zero Encoder is ready.
type Encoder struct {
	buf bytes.Buffer
	mp  *msgpack.Encoder
}

// Request builds a request. The error is an *[Error] with the code too_large.
func (e *Encoder) Request(id uint32, method Method, p Params) ([]byte, error) {
	e.begin()
	e.array(4)
	e.int(typeRequest)
	e.int(int64(id))
	e.str(string(method))
	p.encode(e)
	return e.end()
}

// Reply builds a reply with a result. The error is an *[Error] with the code too_large.
func (e *Encoder) Reply(id uint32, result Result) ([]byte, error) {
	e.begin()
	most, least := extentOf(result)
	if least > MaxPayload {
		return nil, tooLarge(least) // before building: the frame may be far too large
	}
	if most > keepBytes {
		e.buf.Grow(min(most, HeaderBytes+MaxPayload)) // once: a buffer that grows while writing ends twice as large
	}
	e.array(4)
	e.int(typeReply)
	e.int(int64(id))
	e.null()
	result.encode(e)
	return e.end()
}

// Failure builds a reply with an error. The message is cut to a length that always fits.
func (e *Encoder) Failure(id uint32, failure *Error) []byte {
	e.begin()
	e.array(4)
	e.int(typeReply)
	e.int(int64(id))
	failure.encode(e)
	e.null()
	frame, _ := e.end() // an error's strings are cut, so the frame is never too large
	return frame
}

// Progress builds a progress message of a flush.
func (e *Encoder) Progress(p Progress) []byte {
	e.begin()
	e.array(3)
	e.int(typeProgress)
	e.str(string(MethodFlush))
	e.mapLen(3)
	e.pair("id", int64(p.ID))
	e.pair("done", p.Done)
	e.pair("total", p.Total)
	frame, _ := e.end() // three numbers are never too large
	return frame
}

// Trim releases a buffer that is longer than usual frames need. The last frame is no longer valid.
func (e *Encoder) Trim() {
	if e.buf.Cap() > keepBytes {
		e.buf = bytes.Buffer{}
	}
}

func (e *Encoder) begin() {
	if e.mp == nil {
		e.mp = msgpack.NewEncoder(&e.buf)
	}
	e.Trim()
	e.buf.Reset()
	e.buf.Write(make([]byte, HeaderBytes))
}

func (e *Encoder) end() ([]byte, error) {
	frame := e.buf.Bytes()
	if err := seal(frame); err != nil {
		return nil, err
	}
	return frame, nil
}

// seal completes a frame whose payload follows HeaderBytes of room.
func seal(frame []byte) error {
	n := len(frame) - HeaderBytes
	if n > MaxPayload {
		return tooLarge(n)
	}
	binary.BigEndian.PutUint32(frame, Version<<24|uint32(n)) //nolint:gosec // n is within MaxPayload
	return nil
}

func tooLarge(n int) error {
	return Errorf(CodeTooLarge, "the message takes %d bytes; at most %d are allowed: ask for less at once", n, MaxPayload)
}

// The pieces of a message. The ignored errors are those of the writer; a bytes.Buffer returns no errors.

func (e *Encoder) null()        { _ = e.mp.EncodeNil() }
func (e *Encoder) int(n int64)  { _ = e.mp.EncodeInt(n) }
func (e *Encoder) bool(b bool)  { _ = e.mp.EncodeBool(b) }
func (e *Encoder) str(s string) { _ = e.mp.EncodeString(s) }
func (e *Encoder) array(n int)  { _ = e.mp.EncodeArrayLen(n) }
func (e *Encoder) mapLen(n int) { _ = e.mp.EncodeMapLen(n) }

func (e *Encoder) pair(key string, n int64) {
	e.str(key)
	e.int(n)
}

func (e *Encoder) pairStr(key, s string) {
	e.str(key)
	e.str(s)
}

func (e *Encoder) value(v Value) {
	switch {
	case v.IsNull():
		e.null()
	case v.IsInt():
		e.int(v.Int())
	case utf8.ValidString(v.Text()):
		e.str(v.Text())
	default: // bytes of a column without a character set, or of another program's hash
		_ = e.mp.EncodeBytes([]byte(v.Text()))
	}
}

func (e *Encoder) fields(fields []Field) {
	e.mapLen(len(fields))
	for i := range fields {
		e.str(fields[i].Name)
		e.value(fields[i].Value)
	}
}

// encode writes the error map. Long strings are cut at the border of a character.
func (e *Error) encode(enc *Encoder) {
	const maxMessage = 1 << 10
	n := 4
	if e.Field != "" {
		n++
	}
	if e.Revision != 0 {
		n++
	}
	enc.mapLen(n)
	enc.pairStr("code", string(e.Code))
	enc.pairStr("message", cut(e.Message, maxMessage))
	if e.Field != "" {
		enc.pairStr("field", cut(e.Field, maxMessage))
	}
	if e.Revision != 0 {
		enc.pair("revision", e.Revision)
	}
	enc.str("retryable")
	enc.bool(e.Retryable)
	enc.str("closing")
	enc.bool(e.Closing)
}

// cut shortens s to at most n bytes of valid UTF-8, which every string on the wire must be.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

// mark writes a key with the value true, or nothing.
func (e *Encoder) mark(key string, is bool) {
	if is {
		e.str(key)
		e.bool(true)
	}
}

// words writes a map of texts, in the order of its keys.
func (e *Encoder) words(key string, words map[string]string) {
	e.str(key)
	e.mapLen(len(words))
	for _, name := range slices.Sorted(maps.Keys(words)) {
		e.pairStr(name, words[name])
	}
}

func (e *Encoder) texts(key string, texts []string) {
	e.str(key)
	e.array(len(texts))
	for _, text := range texts {
		e.str(text)
	}
}

// optional is a pair of a map that is left out if its value is empty.
type optional struct {
	key  string
	text string
	n    int64
}

func given(all []optional) (n int) {
	for i := range all {
		if all[i].text != "" || all[i].n != 0 {
			n++
		}
	}
	return n
}

// optional writes the pairs that are given; the caller has written the head of the map.
func (e *Encoder) optional(all []optional) {
	for i := range all {
		switch o := &all[i]; {
		case o.text != "":
			e.pairStr(o.key, o.text)
		case o.n != 0:
			e.pair(o.key, o.n)
		}
	}
}
