package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// MaxRecord is the longest payload, in bytes: a frame's worth of fields and what is said about them. It bounds what a damaged
// length can make a reader do.
const MaxRecord = 5 << 20

// frameSize is what a record has around its payload.
const frameSize = 8

// seed is what the checksums of a journal's records begin with.
func (id journalID) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

func appendRecord(b []byte, seed uint32, payload []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload))) //nolint:gosec // at most MaxRecord
	sum := crc32.Update(crc32.Update(seed, castagnoli, b[start:]), castagnoli, payload)
	b = binary.BigEndian.AppendUint32(b, sum)
	return append(b, payload...)
}

// parseRecord returns the payload of the record that data begins with, or nil where it begins with none. No record has an
// empty payload, so that a file full of zeros holds none.
func parseRecord(data []byte, seed uint32) []byte {
	if len(data) < frameSize {
		return nil
	}
	n := binary.BigEndian.Uint32(data)
	if n == 0 || n > MaxRecord || int(n) > len(data)-frameSize {
		return nil
	}
	payload := data[frameSize : frameSize+n]
	sum := crc32.Update(crc32.Update(seed, castagnoli, data[:4]), castagnoli, payload)
	if binary.BigEndian.Uint32(data[4:]) != sum {
		return nil
	}
	return payload
}

// readRun calls each for the records that follow each other from offset at, with the offset of their ends, and returns where
// the run ends: at the end of data, or at something that is no record.
func readRun(data []byte, at int64, seed uint32, each func(end int64, payload []byte) error) (int64, error) {
	for {
		payload := parseRecord(data[at:], seed)
		if payload == nil {
			return at, nil
		}
		at += int64(frameSize + len(payload))
		if err := each(at, payload); err != nil {
			return at, err
		}
	}
}

// findRecord returns the offset of the first record that begins at or after at, or -1.
func findRecord(data []byte, at int64, seed uint32) int64 {
	for ; at+frameSize < int64(len(data)); at++ {
		if parseRecord(data[at:], seed) != nil {
			return at
		}
	}
	return -1
}

// readAll calls each for every record that can be read after offset at, over bad places too, and returns how many bytes it
// left out.
func readAll(data []byte, at int64, seed uint32, each func(end int64, payload []byte) error) (skipped int64, err error) {
	for at < int64(len(data)) {
		found := findRecord(data, at, seed)
		if found < 0 {
			return skipped + int64(len(data)) - at, nil
		}
		skipped += found - at
		if at, err = readRun(data, found, seed, each); err != nil {
			return skipped, err
		}
	}
	return skipped, nil
}
