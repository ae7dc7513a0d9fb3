package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// MaxRecord is the longest payload, in bytes: a frame's worth of fields and their descriptions. MaxRecord also bounds a reader's
// work on a damaged length.
const MaxRecord = 5 << 20

// frameSize is the bytes of a record beside the payload.
const frameSize = 8

// seed is the initial value of the checksums of a journal's records.
func (id journalID) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

func appendRecord(b []byte, seed uint32, payload []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload))) //nolint:gosec // at most MaxRecord
	sum := crc32.Update(crc32.Update(seed, castagnoli, b[start:]), castagnoli, payload)
	b = binary.BigEndian.AppendUint32(b, sum)
	return append(b, payload...)
}

// parseRecord returns the payload of the record at the beginning of data, or nil if no record is at the beginning. No record has
// an empty payload, so that a file full of zeros has no records.
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

// readRun calls each for consecutive records from offset at, with the offset of the record's end, and returns where the run ends:
// at the end of data, or at bytes that are no record.
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

// readAll calls each for every readable record after offset at, also behind bad places, and returns the number of skipped bytes.
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
