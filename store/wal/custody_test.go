package wal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/internal/testenv"
)

// small makes a segment of each few records.
var small = Options{SegmentBytes: headerSize + 1} //nolint:gochecknoglobals // a constant

// filled is an open log of several segments, with records a to e, that looks after its files only when it is told to.
func filled(t *testing.T, o Options) (l *Log, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "journal")
	l, _, _ = open(t, dir, o)
	if err := l.watcher.Stop(t.Context(), "watch"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{"a", "b", "c", "d", "e"} {
		appendAll(t, l, r)
	}
	return l, dir
}

// killed is what another process finds in the folder, the first one having been killed.
func killed(t *testing.T, l *Log, dir string) []string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "killed")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	got, _ := contents(t, copied, l.opts)
	return got
}

// Files of an open log are removed, moved away or replaced: a look writes them again, all records and those that come later are
// there after a kill, and the folder is locked.
func TestFilesAreGone(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(l *Log, dir string) error{
		"the folder":          func(_ *Log, dir string) error { return os.RemoveAll(dir) },
		"the folder's folder": func(_ *Log, dir string) error { return os.RemoveAll(filepath.Dir(dir)) },
		"moved away":          func(_ *Log, dir string) error { return os.Rename(dir, dir+"-away") },
		"an empty one in its place": func(_ *Log, dir string) error {
			return errors.Join(os.Rename(dir, dir+"-away"), os.Mkdir(dir, 0o700))
		},
		"a copy in its place": func(_ *Log, dir string) error {
			return errors.Join(os.CopyFS(dir+"-copy", os.DirFS(dir)), os.RemoveAll(dir), os.Rename(dir+"-copy", dir))
		},
		"the active segment": func(l *Log, dir string) error { return os.Remove(segmentPath(dir, l.end().Segment)) },
		"a closed segment":   func(_ *Log, dir string) error { return os.Remove(segmentPath(dir, 2)) },
		"the lock":           func(_ *Log, dir string) error { return os.Remove(filepath.Join(dir, lockName)) },
	} {
		for how, o := range map[string]Options{"always": {}, "never": {Sync: Never}} {
			t.Run(what+", "+how, func(t *testing.T) {
				t.Parallel()
				o.SegmentBytes = small.SegmentBytes
				l, dir := filled(t, o)
				if err := spoil(l, dir); err != nil {
					t.Fatal(err)
				}
				if !l.look() {
					t.Fatal("nothing was missed")
				}
				want(t, killed(t, l, dir), "a", "b", "c", "d", "e")
				commit(t, l, appendAll(t, l, "f"))
				appendAll(t, l, "g")
				want(t, killed(t, l, dir), "a", "b", "c", "d", "e", "f", "g")
				if _, err := lock(dir); !errors.Is(err, ErrLocked) {
					t.Errorf("the folder is not locked: %v", err)
				}
				if l.look() {
					t.Error("they are written again although they are there")
				}
				closeLog(t, l)
				got, _ := contents(t, dir, o)
				want(t, got, "a", "b", "c", "d", "e", "f", "g")
			})
		}
	}
}

// A folder that was moved away is put back in the place of the one that was made: what it has is what counts once more, without
// what the log has given back meanwhile.
func TestFolderIsPutBack(t *testing.T) {
	t.Parallel()
	l, dir := filled(t, small)
	away := dir + "-away"
	for range 2 { // each time the former one comes back
		if err := os.Rename(dir, away); err != nil {
			t.Fatal(err)
		}
		l.look()
		appendAll(t, l, "f")
		if err := l.Drop(3); err != nil {
			t.Fatal(err)
		}
		if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, away, unix.RENAME_EXCHANGE); err != nil {
			t.Fatal(err)
		}
		if !l.look() {
			t.Fatal("nothing was missed")
		}
		if err := os.RemoveAll(away); err != nil {
			t.Fatal(err)
		}
	}
	want(t, killed(t, l, dir), "c", "d", "e", "f", "f")
	closeLog(t, l)
}

// A log that cannot be made again takes no records, and confirms none, until it can.
func TestFolderCannotBeMade(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		spoil func(dir string) error
		why   string
	}{
		"a file in its place": {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "not a directory"},
		"another journal": {func(dir string) error {
			other, _, err := Open(dir, Options{}, nil)
			if err != nil {
				return err
			}
			return other.Close()
		}, "of another journal"},
		"open to all": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777))
		}, "other users may write"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l, dir := filled(t, small)
			at := appendAll(t, l, "f")
			if err := errors.Join(os.RemoveAll(dir), c.spoil(dir)); err != nil {
				t.Fatal(err)
			}
			l.look()
			if _, err := l.Append([]byte("g")); !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("Append: %v, want ErrGone with %q", err, c.why)
			}
			if err := l.Commit(t.Context(), at); !errors.Is(err, ErrGone) {
				t.Errorf("Commit: %v, want ErrGone", err)
			}
			if err := l.Gone(); !errors.Is(err, ErrGone) {
				t.Errorf("Gone: %v", err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			l.look()
			commit(t, l, appendAll(t, l, "h"))
			want(t, killed(t, l, dir), "a", "b", "c", "d", "e", "f", "h")
			closeLog(t, l)
		})
	}
}

// The log looks by itself, within a second, and says when it has written its files again.
func TestLogLooksAfterItsFolder(t *testing.T) {
	t.Parallel()
	restored := make(chan struct{}, 1)
	o := small
	o.OnRestored = func() { restored <- struct{}{} }
	dir := filepath.Join(t.TempDir(), "journal")
	l, _, _ := open(t, dir, o)
	appendAll(t, l, "a")
	appendAll(t, l, "b")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	<-restored
	want(t, killed(t, l, dir), "a", "b")
	closeLog(t, l)
}

// A log that is closed when its folder has just been removed writes all of it again.
func TestCloseWithoutAFolder(t *testing.T) {
	t.Parallel()
	l, dir := filled(t, small)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	got, _ := contents(t, dir, small)
	want(t, got, "a", "b", "c", "d", "e")
}

// A log without needed records looks seldom, until the next record: then the log looks as soon as ever.
func TestLogRestsUntilTheNextRecord(t *testing.T) {
	t.Parallel()
	restored := make(chan time.Time, 1)
	var needed atomic.Bool
	o := small
	o.OnRestored = func() { restored <- time.Now() }
	o.Unneeded = func() bool { return !needed.Load() }
	dir := filepath.Join(t.TempDir(), "journal")
	l, _, _ := open(t, dir, o)
	testenv.Eventually(t, 10*lookEvery, "the log rests", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.resting
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	needed.Store(true)
	began := time.Now()
	appendAll(t, l, "a")
	if took := (<-restored).Sub(began); took > lookIdle/2 {
		t.Errorf("the folder was missed after %v, want about %v", took, lookEvery)
	}
	want(t, killed(t, l, dir), "a")
	if pause := l.rest(); pause != lookEvery {
		t.Errorf("a log with needed records looks after %v, want %v", pause, lookEvery)
	}
	closeLog(t, l)
}
