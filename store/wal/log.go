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

// Sync says when records are on disk, where they outlive a loss of power; a killed process loses none in any case.
type Sync string

// The values of Sync.
const (
	Always   Sync = "always"   // Commit waits for an fdatasync that it shares with all who wait
	Interval Sync = "interval" // an fdatasync follows each write within the interval; Commit does not wait
	Never    Sync = "never"    // the kernel decides
)

// Options of a log.
type Options struct {
	// Sync is Always where it is empty.
	Sync Sync
	// Interval is how late the fdatasync may begin after a write, for Sync Interval; 100 ms where it is 0.
	Interval time.Duration
	// SegmentBytes is the size beyond which a segment is closed; where it is 0 what the function of that name says.
	SegmentBytes int64
	// MaxBytes bounds all segments together; 0: the disk does.
	MaxBytes int64
	Log      zerolog.Logger
	// OpenFile opens what segments are written through; nil stands for [OpenFile]. Tests replace it by what fails.
	OpenFile func(path string) (File, error)
	// OnRestored is called when files of the log were gone and have been written again: other files of the folder may be gone, too.
	OnRestored func()
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

// SegmentBytes is how large segments are in a log of at most maxBytes, 0 being no bound: 16 MiB, or less in a small log, as
// space comes back a segment at a time.
func SegmentBytes(maxBytes int64) int64 {
	const most = 16 << 20
	if maxBytes == 0 {
		return most
	}
	return min(most, max(maxBytes/32, 1))
}

// Position is the end of a record, or of all of them: a segment's number and a byte offset in it. Later ones are greater. It
// is no name for a record: one that was not on disk when its segment had to be given up is replayed at a later position than the
// one that Append has returned (its order among the others stays). Who needs a name puts a number into the record.
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

// Log is an open log. It is safe for concurrent use.
type Log struct {
	dir  string
	id   journalID
	seed uint32
	opts Options

	loop    lifecycle.Loop
	watcher lifecycle.Loop
	written chan struct{} // tells the interval syncer that something is not on disk yet

	mu       sync.Mutex
	lock     *os.File
	former   []*os.File          // the locks of folders that stood at the path before
	held     map[uint64]*os.File // the segments, open for reading
	gone     error               // why no records are taken: the folder is gone and cannot be made again
	closed   bool
	segments []Segment // in order; the last one is the active one
	total    int64     // bytes of all segments
	active   File
	failed   bool   // the active segment is not to be written or trusted any more
	synced   int64  // up to here the active segment is known to be on disk
	tail     []byte // the active segment's records behind synced; not kept for Never
	buf      []byte
	flight   *flight // the fdatasync under way, if any
	syncs    uint64
}

// Segment is one file of a log.
type Segment struct {
	Number uint64
	Bytes  int64
}

// Stats are a log's numbers at one moment.
type Stats struct {
	// Bytes of all segments.
	Bytes    int64
	Segments []Segment
	// Syncs counts the fdatasyncs of segments since Open, failed ones included.
	Syncs uint64
}

// ID returns the journal's name: 32 hex digits, random, made with the folder.
func (l *Log) ID() string { return l.id.String() }

// Stats returns the log's numbers.
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

// Gone says why the log takes no records: its folder is gone and cannot be made again; nil where it is there.
func (l *Log) Gone() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// Drop removes the segments numbered below before; never the active one. First it brings to disk what stays, whatever Sync is:
// what was in the segments that go may have been written there again.
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

// Close brings what is not on disk there (unless Sync is Never) and gives the folder free. It may be called again.
func (l *Log) Close() error {
	if err := l.loop.Stop(context.Background(), "journal's syncer"); err != nil {
		return err
	}
	if err := l.watcher.Stop(context.Background(), "journal's watch"); err != nil {
		return err
	}
	l.look() // what was removed lately is in no file that has a name
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.landed()
	var err error
	if l.opts.Sync != Never && l.unconfirmed() && (l.failed || l.datasync() != nil) {
		err = l.rotate() // where the records that are not known to be on disk are written once more
	}
	l.letGoAll()
	for _, f := range l.former {
		err = errors.Join(err, unlock(f))
	}
	return errors.Join(err, l.active.Close(), unlock(l.lock))
}
