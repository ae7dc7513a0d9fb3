package wal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// All who wait while one fdatasync is under way share the next. (With one for each of them this counts 51.)
func TestSyncsAreShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l, _, _ := open(t, dir, Options{OpenFile: d.open})
		before := d.countSyncs()
		d.gate = make(chan struct{})
		var all sync.WaitGroup
		write := func() { commit(t, l, appendAll(t, l, "x")) }
		all.Go(write)
		synctest.Wait() // its fdatasync is under way
		for range 50 {
			all.Go(write)
		}
		synctest.Wait() // the others wait
		close(d.gate)
		all.Wait()
		if n := d.countSyncs() - before; n != 2 {
			t.Errorf("%d fdatasyncs for 51 writers, want 2", n)
		}
		closeLog(t, l)
	})
}

func TestCommitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l, _, _ := open(t, dir, Options{OpenFile: d.open})
		at := appendAll(t, l, "x")
		d.gate = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Commit(ctx, at); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Commit: %v", err)
		}
		close(d.gate)
		commit(t, l, at)
		closeLog(t, l)
	})
}

// What was written is on disk after the interval, and an idle log leaves the disk alone.
func TestInterval(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		l, _, _ := open(t, dir, Options{Sync: Interval, Interval: time.Second, OpenFile: d.open})
		before := d.countSyncs()
		for range 3 {
			commit(t, l, appendAll(t, l, "x")) // does not wait
			appendAll(t, l, "y")
			if n := d.countSyncs() - before; n != 0 {
				t.Errorf("%d fdatasyncs at once", n)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if n := d.countSyncs() - before; n != 1 {
				t.Errorf("%d fdatasyncs after the interval, want 1", n)
			}
			time.Sleep(time.Hour)
			before++
		}
		d.fails("sync", 1)
		appendAll(t, l, "z")
		time.Sleep(2 * time.Second) // the second try makes a new segment
		synctest.Wait()
		if l.unconfirmed() || l.End().Segment != 2 {
			t.Errorf("not on disk after a failure: %v of %v", l.durable(), l.End())
		}
		closeLog(t, l)
	})
	got, _ := contents(t, dir, Options{})
	want(t, got, "x", "y", "x", "y", "x", "y", "z")
}

func TestNeverSyncsNothing(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDisk()
	l, _, _ := open(t, dir, Options{Sync: Never, OpenFile: d.open})
	before := d.countSyncs()
	commit(t, l, appendAll(t, l, "x"))
	closeLog(t, l)
	if n := d.countSyncs() - before; n != 0 {
		t.Errorf("%d fdatasyncs", n)
	}
	got, _ := contents(t, dir, Options{})
	want(t, got, "x")
}

// Writers, rotations, drops and failing disks at once: what was acknowledged is there, in each writer's order, and once.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 60
	dir, d := t.TempDir(), newDisk()
	l, _, _ := open(t, dir, Options{SegmentBytes: 500, OpenFile: d.open})
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				at, err := l.Append(fmt.Appendf(nil, "%d %d", w, i))
				for errors.Is(err, syscall.EIO) { // it has begun a segment, and met what another writer asked for
					at, err = l.Append(fmt.Appendf(nil, "%d %d", w, i))
				}
				if err != nil {
					t.Errorf("Append: %v", err)
				}
				if i%20 == 5 {
					d.fails("sync", 1)
				}
				for l.Commit(t.Context(), at) != nil { // a failure is another writer's doing
					continue
				}
				if i%7 == 0 {
					// Another writer's failure of the disk may befall it.
					if err := l.Rotate(); err != nil && !errors.Is(err, syscall.EIO) {
						t.Errorf("Rotate: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
	closeLog(t, l)
	got, _ := contents(t, dir, Options{})
	next := map[string]int{}
	for _, r := range got {
		w, i, _ := strings.Cut(r, " ")
		if i != strconv.Itoa(next[w]) {
			t.Fatalf("record %q of writer %s, want its number %d", r, w, next[w])
		}
		next[w]++
	}
	if len(got) != writers*each {
		t.Fatalf("%d records, want %d", len(got), writers*each)
	}
}
