package protocol

import (
	"encoding/binary"
	"errors"
	"io"
)

// firstRead bounds what is allocated on a frame's word alone, in bytes: a longer payload's buffer grows as its bytes
// arrive, so that a peer that announces much and sends little costs little.
const firstRead = 64 << 10

// ReadFrame reads one frame and returns its payload, in buf where that is large enough; the next use of buf overwrites
// it.
//
// It returns io.EOF where the stream ends before the frame's first byte and io.ErrUnexpectedEOF within the frame. A
// frame that may not be read is an *[Error] with the code version, too_large or malformed; its payload is still in the
// stream. Deadlines are the caller's.
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

// FrameBytes returns how many bytes the frame has that begins here, header included. false says that these bytes do not tell, or
// that [ReadFrame] would refuse the frame.
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

func tooLarge(n int) error {
	return Errorf(CodeTooLarge, "the message takes %d bytes; at most %d are allowed: ask for less at once", n, MaxPayload)
}

// seal completes a frame whose payload stands behind HeaderBytes of room.
func seal(frame []byte) error {
	n := len(frame) - HeaderBytes
	if n > MaxPayload {
		return tooLarge(n)
	}
	binary.BigEndian.PutUint32(frame, Version<<24|uint32(n)) //nolint:gosec // n is within MaxPayload
	return nil
}
