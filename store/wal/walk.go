package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// found is a segment as walk has found the file.
type found struct {
	number uint64
	path   string
	size   int64  // of the file
	data   []byte // the bytes that count
	short  bool   // the successor says that the segment was longer
	gap    bool   // earlier segments exist, but not the direct predecessor
	last   bool
	seed   uint32
	header header
	broken error // the fault of the header
}

// walk calls visit for the segments of a folder, in order.
func walk(dir string, id journalID, visit func(*found) error) error {
	numbers, err := list(dir)
	if err != nil {
		return err
	}
	for i, n := range numbers {
		f := &found{number: n, path: segmentPath(dir, n), last: i == len(numbers)-1, seed: id.seed()}
		if err := f.load(id); err != nil {
			return err
		}
		salvaged := f.broken == nil && f.header.flags&flagSalvaged != 0
		f.gap = i > 0 && numbers[i-1]+1 != n && !salvaged
		if !f.last && !salvaged {
			f.limit(dir, numbers[i+1])
		}
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// load reads a segment's file.
func (f *found) load(id journalID) error {
	data, err := readRegular(f.path)
	if err != nil {
		return err
	}
	f.data, f.size = data, int64(len(data))
	f.header, f.broken = parseHeader(data)
	if other := (*VersionError)(nil); errors.As(f.broken, &other) {
		other.File = f.path
		return other
	}
	switch {
	case f.broken != nil:
	case f.header.id != id:
		return fmt.Errorf("%s belongs to journal %s, this is journal %s", f.path, f.header.id, id)
	case f.header.number != f.number:
		f.broken = fmt.Errorf("according to the header this is segment %d", f.header.number)
	}
	return nil //nolint:nilerr // the visitor judges a broken header
}

// limit cuts off a segment's bytes that do not count according to the successor.
func (f *found) limit(dir string, successor uint64) {
	h, err := readHeader(segmentPath(dir, successor))
	if err != nil || h.number != f.number+1 || h.before == 0 {
		return // walk finds the successor's damage at the successor
	}
	if h.before > uint64(len(f.data)) {
		f.short = true
		return
	}
	f.data = f.data[:h.before]
}

func readHeader(path string) (header, error) {
	file, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return header{}, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, headerSize))
	if err != nil {
		return header{}, err
	}
	return parseHeader(data)
}

// damage is the first fault of a segment.
type damage struct {
	reason string // empty: no fault
	err    error  // each has refused a record
}

// good calls each for the records up to the first bad place and returns that place: 0 for the header; the end of the counting
// bytes for a segment without a fault.
func (f *found) good(each func(int64, []byte) error) (int64, damage) {
	if f.broken != nil {
		return 0, damage{reason: f.broken.Error()}
	}
	end, err := readRun(f.data, headerSize, f.seed, each)
	switch {
	case err != nil:
		return end, damage{err: err}
	case end < int64(len(f.data)):
		return end, damage{reason: "the next bytes are no record, or the record's checksum is wrong"}
	case f.short:
		return end, damage{reason: "the file is shorter than at its closing"}
	}
	return end, damage{}
}
