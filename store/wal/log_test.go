package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, got, _ := open(t, dir, Options{})
	want(t, got)
	id := l.ID()
	first := appendAll(t, l, "a", "b")
	second := appendAll(t, l, "c")
	if !first.Less(second) {
		t.Errorf("positions %v, then %v", first, second)
	}
	commit(t, l, second)
	closeLog(t, l)
	closeLog(t, l)
	if _, err := l.Append([]byte("d")); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}

	l, got, report := open(t, dir, Options{})
	want(t, got, "a", "b", "c")
	if l.ID() != id || len(id) != 32 {
		t.Errorf("id %q, was %q", l.ID(), id)
	}
	if report.Cut != 0 || report.CutFile != "" || report.Segments != 1 {
		t.Errorf("report %+v of a log that was closed", report)
	}
	appendAll(t, l, "d")
	closeLog(t, l)
	got, _ = contents(t, dir, Options{})
	want(t, got, "a", "b", "c", "d")
}

func TestSegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{SegmentBytes: 100})
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf("record %2d of thirty bytes %5d", i, i))
		appendAll(t, l, all[i])
	}
	stats := l.Stats()
	total := int64(0)
	for _, s := range stats.Segments {
		if s.Bytes > 100+30+frameSize {
			t.Errorf("segment %d has %d bytes", s.Number, s.Bytes)
		}
		total += s.Bytes
	}
	if len(stats.Segments) < 5 || total != stats.Bytes {
		t.Fatalf("stats %+v", stats)
	}
	if err := l.Drop(stats.Segments[2].Number); err != nil {
		t.Fatal(err)
	}
	after := l.Stats()
	if after.Segments[0] != stats.Segments[2] || after.Bytes >= stats.Bytes {
		t.Fatalf("stats %+v after Drop, before %+v", after, stats)
	}
	closeLog(t, l)

	l, got, _ := open(t, dir, Options{SegmentBytes: 100})
	want(t, got, all[len(all)-len(got):]...)
	if err := l.Drop(1 << 60); err != nil {
		t.Fatal(err)
	}
	if left := l.Stats().Segments; len(left) != 1 {
		t.Fatalf("segments %v, want the active one", left)
	}
	appendAll(t, l, "new")
	if err := l.Rotate(); err != nil {
		t.Fatal(err)
	}
	rotated := l.End()
	if err := l.Rotate(); err != nil { // an empty one is not closed
		t.Fatal(err)
	}
	if l.End() != rotated {
		t.Fatalf("end %v after rotating an empty segment, was %v", l.End(), rotated)
	}
	if err := l.Drop(1 << 60); err != nil {
		t.Fatal(err)
	}
	end := l.End()
	closeLog(t, l)
	l, got, _ = open(t, dir, Options{})
	want(t, got)
	if next := appendAll(t, l, "more"); next.Segment != end.Segment {
		t.Errorf("segment %d after %d: numbers must not come back", next.Segment, end.Segment)
	}
	closeLog(t, l)
}

func TestOnlyOneOpensIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{})
	if _, _, err := Open(dir, Options{}, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open: %v", err)
	}
	if _, err := Salvage(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("Salvage of an open log: %v", err)
	}
	closeLog(t, l)
	contents(t, dir, Options{})
}

func TestRecordLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{Sync: Never})
	for _, r := range [][]byte{{}, make([]byte, MaxRecord+1)} {
		if _, err := l.Append([]byte("good"), r); !errors.Is(err, ErrRecord) {
			t.Errorf("record of %d bytes: %v", len(r), err)
		}
	}
	largest := string(make([]byte, MaxRecord))
	appendAll(t, l, largest)
	closeLog(t, l)
	got, _ := contents(t, dir, Options{})
	want(t, got, largest)
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{})
	appendAll(t, l, "a")
	closeLog(t, l)
	refused := errors.New("unknown kind")
	if _, _, err := Open(dir, Options{}, func(Position, []byte) error { return refused }); !errors.Is(err, refused) {
		t.Fatalf("Open: %v", err)
	}
	got, _ := contents(t, dir, Options{}) // and gave the lock back
	want(t, got, "a")
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Sync: "sometimes"}, {MaxBytes: -1}, {SegmentBytes: -1}, {Interval: -1}} {
		if _, _, err := Open(t.TempDir(), o, nil); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// What was under way when a process was killed is no segment.
func TestLeftoversGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{})
	appendAll(t, l, "a")
	closeLog(t, l)
	left := segmentPath(dir, 2) + tmpSuffix
	writeFile(t, left, []byte("half a hea"))
	got, _ := contents(t, dir, Options{})
	want(t, got, "a")
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", left, err)
	}
}

func TestIDComesFromTheSegmentsWhereItsFileIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{})
	id := l.ID()
	appendAll(t, l, "a")
	closeLog(t, l)
	if err := os.Remove(filepath.Join(dir, "id")); err != nil {
		t.Fatal(err)
	}
	l, got, _ := open(t, dir, Options{})
	want(t, got, "a")
	if l.ID() != id {
		t.Errorf("id %s, was %s", l.ID(), id)
	}
	closeLog(t, l)
	writeFile(t, filepath.Join(dir, "id"), []byte("0000\n"))
	if _, _, err := Open(dir, Options{}, nil); err == nil {
		t.Error("half an id was accepted")
	}
}
