package wal

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ticketd/ticketd/store"
)

func refused(t *testing.T, l *Log, want error) {
	t.Helper()
	before := l.End()
	_, err := l.Append([]byte("one that fits"), []byte(strings.Repeat("x", 200)))
	if !errors.Is(err, want) {
		t.Fatalf("Append: %v, want %v", err, want)
	}
	if l.End() != before {
		t.Fatalf("the log ends at %v after an error, was %v", l.End(), before)
	}
}

// A full disk takes nothing or all of an Append, and the log goes on without being opened again. (Without the cut the half
// written batch makes the last Open fail.)
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for room := range int64(230) {
		dir, d := t.TempDir(), newDisk()
		l, _, _ := open(t, dir, Options{Sync: Interval, OpenFile: d.open})
		appendAll(t, l, "a")
		d.setRoom(min(room, 228))
		refused(t, l, ErrFull)
		d.setRoom(50)
		if room%2 == 0 {
			appendAll(t, l, "b") // there is room for a smaller one
		} else {
			d.setRoom(-1)
			appendAll(t, l, "b")
		}
		d.setRoom(-1)
		appendAll(t, l, "c")
		closeLog(t, l)
		got, report := contents(t, dir, Options{Sync: Never})
		want(t, got, "a", "b", "c")
		if report.Cut != 0 {
			t.Fatalf("room for %d: report %+v", room, report)
		}
	}
}

func TestDiskFullAtANewSegment(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDisk()
	l, _, _ := open(t, dir, Options{SegmentBytes: 60, OpenFile: d.open})
	appendAll(t, l, "more than sixty bytes with the header")
	d.setRoom(10)
	refused(t, l, ErrFull)
	refused(t, l, store.ErrFull)
	d.setRoom(-1)
	commit(t, l, appendAll(t, l, "b"))
	if n := len(l.Stats().Segments); n != 2 {
		t.Errorf("%d segments, want 2", n)
	}
	closeLog(t, l)
	got, _ := contents(t, dir, Options{})
	want(t, got, "more than sixty bytes with the header", "b")
}

func TestMaxBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{SegmentBytes: 100, MaxBytes: 500})
	n := 0
	for ; ; n++ {
		if _, err := l.Append([]byte(strings.Repeat("x", 50))); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if bytes := l.Stats().Bytes; n < 3 || bytes > 500+headerSize {
		t.Fatalf("full after %d records of 50 bytes: %d bytes", n, bytes)
	}
	if err := l.Drop(l.End().Segment); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, "room again")
	closeLog(t, l)
}

// Who waits for a failed fdatasync hears of it, the file is not touched again, and nothing is lost even where the kernel has
// dropped all that was not on disk.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDisk()
	l, _, _ := open(t, dir, Options{OpenFile: d.open})
	commit(t, l, appendAll(t, l, "on disk"))
	safe := l.End()
	first := segmentPath(dir, safe.Segment)
	at := appendAll(t, l, "not on disk")
	d.fails("sync", 1)
	if err := l.Commit(t.Context(), at); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Commit: %v", err)
	}
	syncs, writes := len(d.syncs), d.writes[first]
	next := appendAll(t, l, "next")
	if next.Segment != safe.Segment+1 {
		t.Errorf("written to segment %d after %d failed", next.Segment, safe.Segment)
	}
	commit(t, l, next)
	commit(t, l, at) // it was written again, with the next segment
	closeLog(t, l)
	for _, path := range d.syncs[syncs:] {
		if path == first {
			t.Errorf("%s was synced again after a failure", first)
		}
	}
	if d.writes[first] != writes {
		t.Errorf("%s was written to after a failure", first)
	}
	want3 := []string{"on disk", "not on disk", "next"}
	got, _ := contents(t, dir, Options{})
	want(t, got, want3...)
	whole := readFile(t, first)
	for _, lost := range [][]byte{whole[:safe.Offset], append(whole[:safe.Offset:safe.Offset], 1, 2, 3)} {
		writeFile(t, first, lost)
		got, _ = contents(t, dir, Options{})
		want(t, got, want3...)
	}
}

// Commit alone brings a log that has failed in order again: a caller who repeats a request appends nothing.
func TestCommitAfterAFailedSync(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDisk()
	l, _, _ := open(t, dir, Options{OpenFile: d.open})
	at := appendAll(t, l, "a")
	d.fails("sync", 2) // the new segment's, too
	for range 2 {
		if err := l.Commit(t.Context(), at); !errors.Is(err, syscall.EIO) {
			t.Fatalf("Commit: %v", err)
		}
	}
	commit(t, l, at)
	closeLog(t, l)
	got, _ := contents(t, dir, Options{})
	want(t, got, "a")
}

func TestFailedSyncAtClose(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDisk()
	l, _, _ := open(t, dir, Options{OpenFile: d.open})
	safe := l.End()
	appendAll(t, l, "a")
	d.fails("sync", 1)
	closeLog(t, l)
	first := segmentPath(dir, safe.Segment)
	writeFile(t, first, readFile(t, first)[:safe.Offset])
	got, _ := contents(t, dir, Options{})
	want(t, got, "a")
}

// A file that cannot be cut back is given up; what it has too much is not read.
func TestFailedWrite(t *testing.T) {
	t.Parallel()
	for _, mode := range []Sync{Always, Interval, Never} {
		for _, cut := range []int{0, 1} {
			dir, d := t.TempDir(), newDisk()
			l, _, _ := open(t, dir, Options{Sync: mode, OpenFile: d.open})
			appendAll(t, l, "a")
			d.fails("write", 1)
			d.fails("truncate", cut)
			refused(t, l, syscall.EIO)
			appendAll(t, l, "b")
			closeLog(t, l)
			got, _ := contents(t, dir, Options{})
			want(t, got, "a", "b")
		}
	}
}

// A segment is on disk before its successor takes records, and what stays before anything is dropped: Commit and Drop rely on it.
func TestSyncedBeforeOthersCount(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDisk()
	l, _, _ := open(t, dir, Options{OpenFile: d.open})
	first := appendAll(t, l, "a")
	before := d.countSyncs()
	if err := l.Rotate(); err != nil {
		t.Fatal(err)
	}
	if d.syncs[before] != segmentPath(dir, first.Segment) {
		t.Errorf("synced %v at a rotation, want the old segment first", d.syncs[before:])
	}
	closeLog(t, l)

	for _, mode := range []Sync{Always, Interval, Never} {
		dir, d := t.TempDir(), newDisk()
		l, _, _ := open(t, dir, Options{Sync: mode, Interval: time.Hour, OpenFile: d.open})
		appendAll(t, l, "a")
		if err := l.Rotate(); err != nil {
			t.Fatal(err)
		}
		at := appendAll(t, l, "a once more")
		before := d.countSyncs()
		if err := l.Drop(at.Segment); err != nil {
			t.Fatal(err)
		}
		if d.countSyncs() == before || l.Stats().Segments[0].Number != at.Segment {
			t.Errorf("%s: dropped what was not on disk elsewhere", mode)
		}
		appendAll(t, l, "b")
		if mode != Never { // it syncs no segment but the new one, whose failure is an error
			d.fails("sync", 1)
		}
		if err := l.Rotate(); err != nil {
			t.Fatal(err)
		}
		closeLog(t, l)
		got, _ := contents(t, dir, Options{})
		want(t, got, "a once more", "b")
	}
}

// A new segment gets into its place, and then the folder cannot be synced, as the process has no descriptor left for it: what is
// written from then on is read again. (Where the old segment takes it, what comes after the rotation is gone.)
func TestRotationFailsHalfWay(t *testing.T) { //nolint:paralleltest // it takes the descriptors of the whole process
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{})
	commit(t, l, appendAll(t, l, "before"))
	free, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) // the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	err = errors.Join(syscall.Close(free), syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	one := limit
	one.Cur = uint64(free + 1)
	err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &one))
	failed := l.Rotate()
	if err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(failed, syscall.EMFILE) {
		t.Fatalf("Rotate: %v, want no descriptor left", failed)
	}
	if _, err := os.Stat(segmentPath(dir, l.End().Segment+1)); err != nil {
		t.Fatalf("%v: the test proves nothing", err)
	}
	commit(t, l, appendAll(t, l, "after"))
	closeLog(t, l)
	got, _ := contents(t, dir, Options{})
	want(t, got, "before", "after")
}
