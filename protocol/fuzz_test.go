package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

func newParams(m Method) Params {
	for _, c := range sampleParams() {
		if c.Method == m {
			return newLike(c.Params)
		}
	}
	return nil
}

// FuzzReadFrame: on any input, in pieces of any size, ReadFrame refuses a frame or returns the frame as sent, reads no byte
// beyond the frame, and allocates no more than a few times the bytes received.
func FuzzReadFrame(f *testing.F) {
	for _, c := range goldenCases() {
		f.Add(readGolden(f, c.name), uint16(0))
	}
	f.Add([]byte("\x01\x00\x00\x02\xc0"), uint16(1))
	f.Add([]byte("\x01\x40\x00\x00\xc0"), uint16(9000))
	f.Add([]byte("\x01\x40\x00\x01\xc0"), uint16(0))
	f.Add([]byte("\x02\x00\x00\x01\xc0"), uint16(3))
	f.Fuzz(func(t *testing.T, stream []byte, room uint16) {
		r := bytes.NewReader(stream)
		payload, err := ReadFrame(r, make([]byte, 0, room))
		if most := max(int(room), firstRead, 3*len(stream)); cap(payload) > most {
			t.Errorf("room for %d bytes, at most %d were to be made", cap(payload), most)
		}
		dripped, dripErr := ReadFrame(iotest.OneByteReader(bytes.NewReader(stream)), nil)
		if fmt.Sprint(err) != fmt.Sprint(dripErr) || err == nil && !bytes.Equal(dripped, payload) {
			t.Errorf("at once %v, byte by byte %v", err, dripErr)
		}
		if err != nil {
			var refusal *Error
			if !errors.As(err, &refusal) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("refused with %#v", err)
			}
			return
		}
		if consumed := len(stream) - r.Len(); consumed != HeaderBytes+len(payload) {
			t.Errorf("%d bytes were read for a payload of %d", consumed, len(payload))
		}
		if !bytes.Equal(payload, stream[HeaderBytes:HeaderBytes+len(payload)]) {
			t.Error("the payload came out changed")
		}
	})
}

// requireBounded fails where work allocates much more than a payload of so many bytes can be worth.
func requireBounded(t *testing.T, size int, work func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	const base, perByte = 128 << 10, 256
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(base+perByte*size) {
		t.Errorf("decoding %d bytes allocated %d", size, took)
	}
}

// FuzzDecodeRequest: decoding never panics, allocates in proportion to the payload, and agrees with the msgpack library on
// what is well-formed. An accepted request stays the same after another encoding and decoding. A refusal has a code and names
// the wrong parameter, if any.
func FuzzDecodeRequest(f *testing.F) {
	for _, c := range goldenCases() {
		f.Add(readGolden(f, c.name)[HeaderBytes:])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		req, err := DecodeRequest(payload)
		requireBounded(t, len(payload), func() {
			if req, err := DecodeRequest(payload); err == nil && newParams(req.Method) != nil {
				_ = newParams(req.Method).Decode(req.Params) // judged below
			}
		})
		if err != nil {
			requireError(t, err)
			return
		}
		d := msgpack.NewDecoder(bytes.NewReader(payload))
		if err := d.Skip(); err != nil {
			t.Fatalf("the library does not take what this package takes: %v", err)
		}
		p := newParams(req.Method)
		if p == nil {
			return
		}
		if err := p.Decode(req.Params); err != nil {
			requireError(t, err)
			return
		}
		requireStable(t, req, p)
	})
}

// requireStable encodes a request, decodes the frame and encodes again: the two frames must be the same.
func requireStable(t *testing.T, req Request, p Params) {
	t.Helper()
	if many, ok := p.(*SetManyParams); ok {
		for i := range many.Tickets {
			if many.Tickets[i].Err != nil {
				return // a refused pair has no wire form
			}
		}
	}
	if checks, ok := p.(*CheckParams); ok {
		for i := range checks.Entries {
			if checks.Entries[i].Err != nil {
				return
			}
		}
	}
	var first, second Encoder
	a, err := first.Request(req.ID, req.Method, p)
	if err != nil {
		return // 128 floats in text take more room than on the wire
	}
	again, err := DecodeRequest(a[HeaderBytes:])
	if err != nil {
		t.Fatal(err)
	}
	q := newLike(p)
	if err := q.Decode(again.Params); err != nil {
		t.Fatal(err)
	}
	b, err := second.Request(again.ID, again.Method, q)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%x became %x", a, b)
	}
}

func requireError(t *testing.T, err error) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) || (refusal.Code != CodeMalformed && refusal.Code != CodeInvalid) {
		t.Fatalf("got %v, want malformed or invalid", err)
	}
	if refusal.Message == "" || len(refusal.Message) > 1<<10 || !utf8.ValidString(refusal.Error()) {
		t.Errorf("refused with %q", refusal.Error())
	}
}

// FuzzDecodeAnswer reads any input as an answer, and the result as that of each method: a refusal is errShape, and an
// accepted result stays the same after another encoding and decoding.
func FuzzDecodeAnswer(f *testing.F) {
	for _, c := range goldenCases() {
		f.Add(readGolden(f, c.name)[HeaderBytes:])
	}
	f.Add([]byte("\x94\x01\x01\xc0\x81\xa7tickets\xdc\x03\xe8\xc0"))
	f.Add([]byte("\x94\x01\x01\xc0\x81\xa7results\xdd\x7f\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		answer, err := DecodeAnswer(payload)
		if err != nil {
			requireShape(t, err)
			return
		}
		var first, second Encoder
		switch {
		case answer.Progress != nil:
			again, err := DecodeAnswer(bytes.Clone(first.Progress(*answer.Progress))[HeaderBytes:])
			if err != nil || *again.Progress != *answer.Progress {
				t.Errorf("%+v became %+v (%v)", answer.Progress, again.Progress, err)
			}
		case answer.Reply.Err != nil:
			a := first.Failure(answer.Reply.ID, answer.Reply.Err)
			again, err := DecodeAnswer(a[HeaderBytes:])
			if err != nil || !bytes.Equal(second.Failure(again.Reply.ID, again.Reply.Err), a) {
				t.Errorf("%+v became %+v (%v)", answer.Reply.Err, again.Reply, err)
			}
		default:
			for _, sample := range sampleResults() {
				requireResult(t, len(payload), answer.Reply, newLike(sample.result))
			}
		}
	})
}

// requireResult decodes a reply's result, encodes, decodes and encodes again: the two frames must be the same.
func requireResult(t *testing.T, size int, reply *Reply, r Result) {
	t.Helper()
	var err error
	requireBounded(t, size, func() { err = r.Decode(reply.Result) })
	if err != nil {
		requireShape(t, err)
		return
	}
	var first, second Encoder
	a, err := first.Reply(reply.ID, r)
	if err != nil {
		return // short values on the wire, such as floats, are longer as text
	}
	again, err := DecodeAnswer(a[HeaderBytes:])
	if err != nil {
		t.Fatalf("%T: %v of %x", r, err, a)
	}
	q := newLike(r)
	if err := q.Decode(again.Reply.Result); err != nil {
		t.Fatalf("%T: %v of %x", r, err, a)
	}
	if b, err := second.Reply(reply.ID, q); err != nil || !bytes.Equal(a, b) {
		t.Errorf("%T: %x became %x (%v)", r, a, b, err)
	}
}

func requireShape(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errShape) {
		t.Errorf("refused with %v", err)
	}
}
