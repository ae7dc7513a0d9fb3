package protocol

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestReadFrameRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream string
		want   error
	}{
		"nothing":             {"", io.EOF},
		"a cut header":        {"\x01\x00", io.ErrUnexpectedEOF},
		"a cut payload":       {"\x01\x00\x00\x02\xc0", io.ErrUnexpectedEOF},
		"no payload":          {"\x01\x00\x00\x01", io.ErrUnexpectedEOF},
		"an empty frame":      {"\x01\x00\x00\x00", &Error{Code: CodeMalformed}},
		"another version":     {"\x02\x00\x00\x01\xc0", &Error{Code: CodeVersion}},
		"text":                {"GET / HTTP/1.1\r\n", &Error{Code: CodeVersion}},
		"one byte too many":   {"\x01\x40\x00\x01", &Error{Code: CodeTooLarge}},
		"the longest length":  {"\x01\xff\xff\xff", &Error{Code: CodeTooLarge}},
		"version before size": {"\x00\xff\xff\xff", &Error{Code: CodeVersion}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadFrame(bytes.NewReader([]byte(c.stream)), nil)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			var refusal *Error
			if errors.As(err, &refusal) && !refusal.Closing {
				t.Error("the connection would stay open although the stream is out of step")
			}
		})
	}
}

// TestReadFrameSizes reads payloads around the sizes at which the buffer grows, in one piece and byte by byte.
func TestReadFrameSizes(t *testing.T) {
	t.Parallel()
	var buf []byte
	for _, n := range []int{1, 3, firstRead - 1, firstRead, firstRead + 1, 3*firstRead + 7, MaxPayload, 5} {
		frame := append(make([]byte, HeaderBytes), bytes.Repeat([]byte{0xc0, 1, 2}, n/3+1)[:n]...)
		if err := seal(frame); err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{bytes.NewReader(frame), iotest.HalfReader(bytes.NewReader(frame))} {
			got, err := ReadFrame(r, buf)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, frame[HeaderBytes:]) {
				t.Errorf("a payload of %d bytes came out changed", n)
			}
			buf = got
		}
	}
}

// TestReadFrameTrustsNoLength: ReadFrame allocates for an announced length only as the bytes arrive.
func TestReadFrameTrustsNoLength(t *testing.T) {
	t.Parallel()
	buf, err := ReadFrame(bytes.NewReader([]byte("\x01\x40\x00\x00abc")), nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
	if cap(buf) > firstRead {
		t.Errorf("%d bytes were allocated for 3", cap(buf))
	}
}

func TestEncoderRefusesTooLarge(t *testing.T) {
	t.Parallel()
	var e Encoder
	_, err := e.Reply(1, &Ticket{ID: 1, Revision: 1, Fields: []Field{{Name: "a", Value: Text(string(make([]byte, MaxPayload)))}}})
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Code != CodeTooLarge || refusal.Closing {
		t.Fatalf("got %v, want too_large that leaves the connection open", err)
	}
	if _, err := e.Reply(1, &RevisionResult{Revision: 1}); err != nil {
		t.Errorf("the encoder is of no use after a refusal: %v", err)
	}
}
