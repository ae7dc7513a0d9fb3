package protocol

import (
	"errors"
	"io"
)

// firstRead bounds the allocation for an announced length, in bytes. The buffer for a longer payload grows as the bytes
// arrive, so that a peer that announces much and sends little costs little.
const firstRead = 64 << 10

// ReadFrame reads a frame and returns the payload, in buf if buf is large enough; the next use of buf overwrites the payload.
//
// ReadFrame returns io.EOF if the stream ends before the frame's first byte, and io.ErrUnexpectedEOF within the frame. A
// frame with a bad header is an *[Error] with the code version, too_large or malformed; the payload is still in the stream.
// The caller sets deadlines.
func ReadFrame(r io.Reader, buf []byte) ([]byte, error) {
	if cap(buf) < HeaderBytes {
		buf = make([]byte, HeaderBytes, 1<<10)
	}
	header := buf[:HeaderBytes]
	if _, err := io.ReadFull(r, header); err != nil {
		return buf, err
	}
	n := int(header[1])<<16 | int(header[2])<<8 | int(header[3])
	switch {
	case header[0] != Version:
		return buf, Errorf(CodeVersion, "the frame has version %d; this side speaks version %d", header[0], Version)
	case n > MaxPayload:
		return buf, Closing(CodeTooLarge, "the frame announces %d bytes; at most %d are allowed: split it", n, MaxPayload)
	case n == 0:
		return buf, Errorf(CodeMalformed, "the frame is empty")
	}
	return readPayload(r, buf, n)
}

// FrameBytes returns the length of the frame that begins at b, header included. ok is false if b is shorter than a header, or if
// [ReadFrame] would refuse the frame.
func FrameBytes(b []byte) (n int, ok bool) {
	if len(b) < HeaderBytes || b[0] != Version {
		return 0, false
	}
	n = int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	return HeaderBytes + n, n > 0 && n <= MaxPayload
}

func readPayload(r io.Reader, buf []byte, n int) ([]byte, error) {
	have := 0
	for have < n {
		if have == cap(buf) || cap(buf) < min(n, firstRead) {
			grown := make([]byte, min(n, max(firstRead, 2*have)))
			copy(grown, buf[:have])
			buf = grown
		}
		next := min(n, cap(buf))
		if _, err := io.ReadFull(r, buf[have:next]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buf, err
		}
		have = next
	}
	return buf[:n], nil
}
