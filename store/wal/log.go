package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
)

// Sync says when records are on disk and so survive a power loss; a killed process never loses a record.
type Sync string

// The values of Sync.
const (
	Always   Sync = "always"   // Commit waits for an fdatasync, shared by all waiting callers
	Interval Sync = "interval" // an fdatasync follows each write within the interval; Commit does not wait
	Never    Sync = "never"    // the kernel decides
)

// Options of a log.
type Options struct {
	// Sync is Always if empty.
	Sync Sync
	// Interval is how late the fdatasync may begin after a write, for Sync Interval; 0 means 100 ms.
	Interval time.Duration
	// SegmentBytes is the size beyond which a segment is closed; 0 means the result of the function [SegmentBytes].
	SegmentBytes int64
	// MaxBytes bounds all segments together; 0: the disk does.
	MaxBytes int64
	Log      zerolog.Logger
	// OpenFile opens a segment for writing; nil means [OpenFile]. Tests pass a function whose files fail.
	OpenFile func(path string) (File, error)
	// OnRestored is called after missing files of the log have been written again: other files of the folder may be missing, too.
	OnRestored func()
	// Unneeded says that the log has no pending change: then the log checks its files seldom, until the next record. Optional;
	// called without locks of the log.
	Unneeded func() bool
}

// SegmentBytes is the size of segments in a log of at most maxBytes (0: no bound): 16 MiB, or less in a small log, as space is
// freed a segment at a time.
func SegmentBytes(maxBytes int64) int64 {
	const most = 16 << 20
	if maxBytes == 0 {
		return most
	}
	return min(most, max(maxBytes/32, 1))
}

// Position is the end of a record or of the log: a segment's number and a byte offset in the segment. Later positions are
// greater. A position does not identify a record: if a segment had to be given up before a record was on disk, the record is
// replayed at a later position than Append returned (in the same order among the records). A caller that needs an identifier puts
// a number into the record.
type Position struct {
	Segment uint64
	Offset  int64
}

// Compare returns -1, 0 or 1 as p is before, at or after q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Segment, q.Segment), cmp.Compare(p.Offset, q.Offset))
}

// Less says whether p is before q.
func (p Position) Less(q Position) bool { return p.Compare(q) < 0 }

// Log is an open log, safe for concurrent use.
type Log struct {
	dir  string
	id   journalID
	seed uint32
	opts Options

	loop    lifecycle.Loop
	watcher lifecycle.Loop
	written chan struct{} // tells the interval syncer that a record is not on disk yet
	roused  chan struct{} // tells the watch that a record came during its rest

	mu       sync.Mutex
	lock     *os.File
	former   []*os.File          // the locks of former folders at the path
	held     map[uint64]*os.File // the segments, open for reading
	gone     error               // why the log refuses records: the folder is gone and cannot be made again
	appended bool                // since the watch's last look
	resting  bool                // the watch's next look is far
	closed   bool
	segments []Segment // in order; the last is active
	total    int64     // bytes of all segments
	active   File
	failed   bool   // the active segment must not be written or trusted any more
	synced   int64  // up to here the active segment is known to be on disk
	tail     []byte // the active segment's records behind synced; empty for Never
	buf      []byte
	flight   *flight // the fdatasync under way, if any
	syncs    uint64
}

// Segment is a file of a log.
type Segment struct {
	Number uint64
	Bytes  int64
}

// Stats are a log's figures.
type Stats struct {
	// Bytes of all segments.
	Bytes    int64
	Segments []Segment
	// Syncs counts the fdatasyncs of segments since Open, failed ones included.
	Syncs uint64
}

// ID returns the journal's name: 32 hex digits, random, made with the folder.
func (l *Log) ID() string { return l.id.String() }

// Stats returns the log's present figures.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Bytes: l.total, Segments: slices.Clone(l.segments), Syncs: l.syncs}
}

// End returns the position behind the last record.
func (l *Log) End() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end()
}

func (l *Log) end() Position {
	last := l.segments[len(l.segments)-1]
	return Position{Segment: last.Number, Offset: last.Bytes}
}

// Gone says why the log refuses records: the folder is gone and cannot be made again; nil if the folder exists.
func (l *Log) Gone() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// Drop removes the segments numbered below before, but never the active segment. First Drop syncs the remaining segments to disk,
// with every Sync: the caller may have written records of the removed segments once more.
func (l *Log) Drop(before uint64) error {
	if l.Stats().Segments[0].Number >= before {
		return nil
	}
	if err := l.commit(context.Background(), l.End()); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	for len(l.segments) > 1 && l.segments[0].Number < before {
		// Each removal is durable before the next, so that no crash leaves a gap.
		err := os.Remove(segmentPath(l.dir, l.segments[0].Number))
		if err == nil || os.IsNotExist(err) {
			err = syncDir(l.dir)
		}
		if err != nil {
			return fmt.Errorf("drop segment %d of the journal: %w", l.segments[0].Number, err)
		}
		l.letGo(l.segments[0].Number)
		l.total -= l.segments[0].Bytes
		l.segments = slices.Delete(l.segments, 0, 1)
	}
	return nil
}

// Close syncs the records to disk (unless Sync is Never) and unlocks the folder. Close may be called again.
func (l *Log) Close() error {
	if err := l.loop.Stop(context.Background(), "journal's syncer"); err != nil {
		return err
	}
	if err := l.watcher.Stop(context.Background(), "journal's watch"); err != nil {
		return err
	}
	l.look() // files that were removed lately are written again
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.landed()
	var err error
	if l.opts.Sync != Never && l.unconfirmed() && (l.failed || l.datasync() != nil) {
		err = l.rotate() // the new segment gets the unconfirmed records
	}
	l.letGoAll()
	for _, f := range l.former {
		err = errors.Join(err, unlock(f))
	}
	return errors.Join(err, l.active.Close(), unlock(l.lock))
}
