package wal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Report is the result of Open or Salvage.
type Report struct {
	// Segments and Records count the segments and records that were read, Bytes is the size of the segments.
	Segments int
	Records  int64
	Bytes    int64
	// CutFile is the segment whose torn tail was cut off; empty without a torn tail. Cut is the tail's length in bytes.
	CutFile string
	Cut     int64
	// Aside are the names under which Salvage has kept damaged segments, Skipped the bytes of these segments that are no records.
	Aside   []string
	Skipped int64
}

// Open opens the log in a folder, makes the folder if missing, and calls replay for every record in order. The callee may use the
// record during the call only; an error of replay ends Open. [ErrLocked] says that another process has the log open, a
// [CorruptError] that the log is damaged.
func Open(dir string, o Options, replay func(at Position, record []byte) error) (*Log, Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, Report{}, fmt.Errorf("open the journal: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Report{}, fmt.Errorf("open the journal: %w", err)
	}
	if err := private(dir); err != nil {
		return nil, Report{}, fmt.Errorf("open the journal: %w", err)
	}
	held, err := lock(dir)
	if err != nil {
		return nil, Report{}, fmt.Errorf("open the journal: %w", err)
	}
	l := &Log{
		dir: dir, opts: o, lock: held, held: map[uint64]*os.File{}, written: make(chan struct{}, 1), roused: make(chan struct{}, 1),
	}
	report, err := l.recover(replay)
	if err == nil {
		err = l.holdAll()
	}
	if err != nil {
		return nil, report, errors.Join(err, unlock(held))
	}
	l.watcher.Start(context.Background(), l.watch)
	if o.Sync == Interval {
		l.loop.Start(context.Background(), l.syncEvery)
	}
	return l, report, nil
}

// recover reads the folder and makes it ready for Append.
func (l *Log) recover(replay func(Position, []byte) error) (Report, error) {
	if err := removeTmp(l.dir); err != nil {
		return Report{}, fmt.Errorf("open the journal: %w", err)
	}
	var err error
	if l.id, err = loadID(l.dir); err != nil {
		return Report{}, fmt.Errorf("open the journal: %w", err)
	}
	l.seed = l.id.seed()
	r := recovery{replay: replay}
	if err := walk(l.dir, l.id, r.visit); err != nil {
		return r.report, fmt.Errorf("open the journal: %w", err)
	}
	if r.corrupt != nil {
		return r.report, r.corrupt
	}
	if err := l.activate(&r); err != nil {
		return r.report, fmt.Errorf("open the journal: %w", noRoom(err))
	}
	l.segments = r.segments
	for _, s := range r.segments {
		l.total += s.Bytes
	}
	r.report.Segments, r.report.Bytes = len(r.segments), l.total
	return r.report, nil
}

// holdAll holds the segments that were found.
func (l *Log) holdAll() error {
	for _, s := range l.segments {
		if err := l.hold(s.Number); err != nil {
			l.letGoAll()
			return errors.Join(fmt.Errorf("open the journal: %w", err), l.active.Close())
		}
	}
	return nil
}

// recovery collects what the segments contain.
type recovery struct {
	replay   func(Position, []byte) error
	report   Report
	segments []Segment
	corrupt  *CorruptError
}

func (r *recovery) visit(f *found) error {
	if r.corrupt == nil && f.gap {
		r.blame(f, 0, "the segment before it is missing")
	}
	end, bad := f.good(r.record(f))
	if bad.err != nil {
		return bad.err
	}
	size := f.size
	if bad.reason != "" {
		switch {
		case r.corrupt != nil:
		case f.last && findRecord(f.data, end+1, f.seed) < 0: // no record behind the bad bytes: a torn write
			r.report.CutFile, r.report.Cut = f.path, int64(len(f.data))-end
			size = end
		default:
			r.blame(f, end, bad.reason)
		}
		if r.corrupt != nil {
			_, err := readAll(f.data, end, f.seed, r.record(f))
			if err != nil {
				return err
			}
		}
	}
	r.segments = append(r.segments, Segment{Number: f.number, Bytes: size})
	return nil
}

// record counts a record and passes the record on, unless the log is damaged before the record.
func (r *recovery) record(f *found) func(int64, []byte) error {
	return func(end int64, payload []byte) error {
		if r.corrupt != nil {
			r.corrupt.After++
			return nil //nolint:nilerr // Open returns the CorruptError after the count
		}
		r.report.Records++
		if r.replay == nil {
			return nil
		}
		if err := r.replay(Position{Segment: f.number, Offset: end}, payload); err != nil {
			return fmt.Errorf("the record that ends at byte %d of %s: %w", end, f.path, err)
		}
		return nil
	}
}

func (r *recovery) blame(f *found, at int64, reason string) {
	r.corrupt = &CorruptError{File: f.path, Offset: at, Reason: reason, Before: r.report.Records}
}

// activate opens the last segment for writing, without its torn tail, or makes the first segment.
func (l *Log) activate(r *recovery) error {
	number := uint64(1)
	if n := len(r.segments); n > 0 {
		last := r.segments[n-1]
		if last.Bytes >= headerSize {
			l.synced = last.Bytes
			return l.reopen(segmentPath(l.dir, last.Number), last.Bytes, r.report.Cut > 0)
		}
		// The segment has no complete header, so the segment is made again.
		number = last.Number
		r.segments = r.segments[:n-1]
	}
	h := header{id: l.id, number: number}
	f, err := writeWhole(l.opts.OpenFile, segmentPath(l.dir, number), h.bytes())
	if err != nil {
		return err
	}
	l.active, l.synced = f, headerSize
	r.segments = append(r.segments, Segment{Number: number, Bytes: headerSize})
	return nil
}

// reopen opens a segment for writing, and syncs to disk the bytes that a killed process has left in the kernel's memory.
func (l *Log) reopen(path string, size int64, torn bool) error {
	f, err := l.opts.OpenFile(path)
	if err != nil {
		return err
	}
	if torn {
		err = f.Truncate(size)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.active = f
	return nil
}

// loadID reads the journal's name, or makes a name. If the id file is missing, loadID reads the name from the segments.
func loadID(dir string) (id journalID, err error) {
	path := filepath.Join(dir, idName)
	text, err := readRegular(path)
	if err == nil {
		n, err := hex.Decode(id[:], []byte(strings.TrimSpace(string(text[:min(len(text), 2*len(id)+1)]))))
		if err != nil || n != len(id) {
			return id, fmt.Errorf("%s does not hold the 32 hex digits of a journal's id: remove the file if the segments are whole", path)
		}
		return id, nil
	}
	if !os.IsNotExist(err) {
		return id, err
	}
	numbers, err := list(dir)
	if err != nil {
		return id, err
	}
	_, _ = rand.Read(id[:])
	for _, n := range numbers {
		h, err := readHeader(segmentPath(dir, n))
		if err == nil {
			id = h.id
			break
		}
	}
	f, err := writeWhole(OpenFile, path, []byte(id.String()+"\n"))
	if err != nil {
		return id, noRoom(err)
	}
	return id, f.Close()
}

func (o Options) withDefaults() (Options, error) {
	o.Sync = cmp.Or(o.Sync, Always)
	o.Interval = cmp.Or(o.Interval, 100*time.Millisecond)
	o.SegmentBytes = cmp.Or(o.SegmentBytes, SegmentBytes(o.MaxBytes))
	if o.OpenFile == nil {
		o.OpenFile = OpenFile
	}
	switch {
	case !slices.Contains([]Sync{Always, Interval, Never}, o.Sync):
		return o, fmt.Errorf("sync is %q, want %q, %q or %q", o.Sync, Always, Interval, Never)
	case o.Interval < 0 || o.SegmentBytes < 0 || o.MaxBytes < 0:
		return o, errors.New("interval, segment bytes and max bytes cannot be below 0")
	}
	return o, nil
}
