package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// readBuffer is how much of a segment a reader fetches at once.
const readBuffer = 64 << 10

// Read calls each for the records behind a position, in order, with the position of the record's end, until each returns false.
// Under [Always] Read ends at what is known to be on disk, so that no reader gets a record that a loss of power takes back. A
// position before the first segment stands for the beginning of the log. A record that was written once more after a segment was
// given up may come twice.
func (l *Log) Read(from Position, each func(end Position, payload []byte) bool) error {
	l.mu.Lock()
	limit := l.end()
	if l.opts.Sync == Always {
		limit = l.durable()
	}
	var segments []Segment
	files := make(map[uint64]*os.File)
	for _, s := range l.segments {
		if s.Number >= from.Segment && s.Number <= limit.Segment {
			segments = append(segments, s)
			files[s.Number] = l.held[s.Number]
		}
	}
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for _, s := range segments {
		at, end := int64(headerSize), s.Bytes
		if s.Number == from.Segment {
			at = max(at, from.Offset)
		}
		if s.Number == limit.Segment {
			end = min(end, limit.Offset)
		}
		if files[s.Number] == nil || at >= end {
			continue
		}
		more, err := l.readSegment(files[s.Number], s.Number, at, end, each)
		if errors.Is(err, os.ErrClosed) { // the segment was removed meanwhile
			continue
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// readSegment reads a segment's records up to the first bytes that are no record.
func (l *Log) readSegment(
	file *os.File, number uint64, at, end int64, each func(Position, []byte) bool,
) (more bool, err error) {
	r := bufio.NewReaderSize(io.NewSectionReader(file, at, end-at), readBuffer)
	var head [frameSize]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return endOf(err)
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == 0 || n > MaxRecord {
			return true, nil
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(r, payload); err != nil {
			return endOf(err)
		}
		sum := crc32.Update(crc32.Update(l.seed, castagnoli, head[:4]), castagnoli, payload)
		if binary.BigEndian.Uint32(head[4:]) != sum {
			return true, nil
		}
		if at += int64(frameSize + len(payload)); !each(Position{Segment: number, Offset: at}, payload) {
			return false, nil
		}
	}
}

// endOf says that a segment may end anywhere.
func endOf(err error) (more bool, failed error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true, nil
	}
	return false, fmt.Errorf("read a segment of the journal: %w", err)
}
