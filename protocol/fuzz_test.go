package protocol

import (
	"bytes"
	"errors"
	"testing"

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

// FuzzReadFrame: whatever comes, a frame is either refused or returned as it was sent, and nothing is read beyond it.
func FuzzReadFrame(f *testing.F) {
	for _, c := range goldenCases() {
		f.Add(readGolden(f, c.name))
	}
	f.Add([]byte("\x01\x00\x00\x02\xc0"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		payload, err := ReadFrame(r, nil)
		if err != nil {
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

// FuzzDecodeRequest: decoding never panics, agrees with the msgpack library on what is well-formed, and what it takes
// comes out the same after encoding and decoding it again.
func FuzzDecodeRequest(f *testing.F) {
	for _, c := range goldenCases() {
		f.Add(readGolden(f, c.name)[HeaderBytes:])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		_, _ = DecodeAnswer(payload)
		req, err := DecodeRequest(payload)
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

// requireStable encodes a request twice, with a decoding between: both frames must be the same.
func requireStable(t *testing.T, req Request, p Params) {
	t.Helper()
	if many, ok := p.(*SetManyParams); ok {
		for i := range many.Tickets {
			if many.Tickets[i].Err != nil {
				return // a refused pair has no wire form
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
}
