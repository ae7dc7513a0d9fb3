package wal

import (
	"fmt"
	"os"

	"github.com/ticketd/ticketd/store"
)

// Append writes records, in the given order: all records, or on an error no record. The error is [ErrFull] without room,
// [ErrRecord], [ErrClosed], [ErrGone] or the disk's error. The position is the end of the last record.
func (l *Log) Append(records ...[]byte) (Position, error) {
	need := int64(0)
	for _, r := range records {
		if len(r) == 0 || len(r) > MaxRecord {
			return Position{}, fmt.Errorf("%d bytes: %w", len(r), ErrRecord)
		}
		need += int64(frameSize + len(r))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.mustRotate() && l.flight != nil {
		l.landed()
	}
	switch {
	case l.closed:
		return Position{}, ErrClosed
	case l.gone != nil:
		return Position{}, l.gone
	case l.opts.MaxBytes > 0 && l.total+need > l.opts.MaxBytes:
		return Position{}, fmt.Errorf("%w: %w", ErrFull, &store.FullError{
			Bound: "journal.max_bytes", Reason: fmt.Sprintf("%d of %d bytes are used; raise the bound", l.total, l.opts.MaxBytes),
		})
	}
	if l.mustRotate() {
		if err := l.rotate(); err != nil {
			return Position{}, err
		}
	}
	l.rouse()
	if err := l.write(records); err != nil {
		return Position{}, err
	}
	if l.opts.Sync == Interval {
		l.signal()
	}
	return l.end(), nil
}

// mustRotate says whether the active segment accepts no more records.
func (l *Log) mustRotate() bool {
	return l.failed || l.segments[len(l.segments)-1].Bytes > l.opts.SegmentBytes
}

// write appends records to the active segment in a single write, or leaves the segment unchanged.
func (l *Log) write(records [][]byte) error {
	l.buf = l.buf[:0]
	for _, r := range records {
		l.buf = appendRecord(l.buf, l.seed, r)
	}
	last := &l.segments[len(l.segments)-1]
	if _, err := l.active.WriteAt(l.buf, last.Bytes); err != nil {
		// A file that cannot be cut back is given up, and readers do not read behind the end that its successor names.
		if cut := l.active.Truncate(last.Bytes); cut != nil || !isFull(err) {
			l.fail(err)
		}
		return fmt.Errorf("append to the journal: %w", noRoom(err))
	}
	last.Bytes += int64(len(l.buf))
	l.total += int64(len(l.buf))
	if l.opts.Sync != Never {
		l.tail = append(l.tail, l.buf...)
	}
	if cap(l.buf) > maxKept {
		l.buf = nil
	}
	return nil
}

// maxKept is the largest buffer that is kept for the next Append.
const maxKept = 256 << 10

// fail gives up the active segment.
func (l *Log) fail(err error) {
	l.failed = true
	l.opts.Log.Error().Err(err).Uint64("segment", l.segments[len(l.segments)-1].Number).
		Msg("a segment of the journal cannot be relied on: the next write begins a new segment")
}

// Rotate closes the active segment and begins a new segment, unless the active segment is empty.
func (l *Log) Rotate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.landed()
	switch {
	case l.closed:
		return ErrClosed
	case !l.failed && l.segments[len(l.segments)-1].Bytes == headerSize:
		return nil
	}
	return l.rotate()
}

// rotate begins a new segment after the active segment is on disk. Unconfirmed records are written once more, at the beginning of
// the new segment, and no longer count in the old segment. No fdatasync except the caller's may be running.
func (l *Log) rotate() error {
	old := l.segments[len(l.segments)-1]
	counts := old.Bytes
	if l.opts.Sync != Never {
		if !l.failed && l.unconfirmed() {
			_ = l.datasync() // a failure is logged, and the new segment gets the records
		}
		if l.failed {
			counts = l.synced
		}
	}
	h := header{id: l.id, number: old.Number + 1, before: uint64(counts)} //nolint:gosec // a size
	path := segmentPath(l.dir, h.number)
	f, err := writeWhole(l.opts.OpenFile, path, h.bytes(), l.tail)
	if err == nil {
		if err = l.hold(h.number); err != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		// If the new segment is at its path nevertheless, readers would ignore records written to the old segment from now on.
		if _, absent := os.Lstat(path); absent == nil && !l.failed {
			l.fail(err)
		}
		return fmt.Errorf("begin a segment of the journal: %w", noRoom(err))
	}
	if err := l.active.Close(); err != nil {
		l.opts.Log.Warn().Err(err).Uint64("segment", old.Number).Msg("closing a segment of the journal")
	}
	size := int64(headerSize + len(l.tail))
	l.active, l.failed, l.synced, l.tail = f, false, size, nil
	l.segments = append(l.segments, Segment{Number: h.number, Bytes: size})
	l.total += size
	return nil
}
