package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// lookEvery is how often the log checks whether its files are still at their paths.
	lookEvery = 500 * time.Millisecond
	// lookIdle is the same for a log that has no pending change and gets none.
	lookIdle = 10 * time.Second
)

// ErrGone refuses records while the log's folder is gone and cannot be made again.
var ErrGone = errors.New("the journal's folder is gone")

// hold opens a segment for reading. Linux does not report that an open file has lost its name, but the bytes can still be read,
// and the log is written again from these bytes.
func (l *Log) hold(number uint64) error {
	f, err := openRegular(segmentPath(l.dir, number), os.O_RDONLY)
	if err != nil {
		return err
	}
	l.letGo(number)
	l.held[number] = f
	return nil
}

// letGo closes a segment that is no longer needed.
func (l *Log) letGo(number uint64) {
	if f := l.held[number]; f != nil {
		_ = f.Close() // opened for reading only
	}
	delete(l.held, number)
}

func (l *Log) letGoAll() {
	for number := range l.held {
		l.letGo(number)
	}
}

// watch checks the log's files until ctx ends.
func (l *Log) watch(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.roused:
			timer.Reset(lookEvery)
			continue
		case <-timer.C:
		}
		if l.look() && l.opts.OnRestored != nil {
			l.opts.OnRestored()
		}
		timer.Reset(l.rest())
	}
}

// rest returns the pause until the next look.
func (l *Log) rest() time.Duration {
	unneeded := l.opts.Unneeded != nil && l.opts.Unneeded()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting = unneeded && !l.appended && l.gone == nil
	l.appended = false
	if l.resting {
		return lookIdle
	}
	return lookEvery
}

// rouse notes an append, which ends a rest. The caller holds the lock.
func (l *Log) rouse() {
	l.appended = true
	if l.resting {
		l.resting = false
		select {
		case l.roused <- struct{}{}:
		default:
		}
	}
}

// look checks whether the log's files are still at their paths, and writes missing files again. While this fails the log refuses
// records. restored says that look has written files.
func (l *Log) look() (restored bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	missing := l.missing()
	if missing == nil {
		if l.gone != nil {
			l.gone = nil
			l.opts.Log.Info().Str("journal", l.dir).Msg("the journal's folder is back")
		}
		return false
	}
	l.landed()
	if l.closed {
		return false
	}
	err := l.restore()
	if err == nil {
		l.gone = nil
		l.opts.Log.Error().Err(missing).Str("journal", l.dir).Int("segments", len(l.segments)).
			Msg("files of the journal were gone: all pending changes have been written again; find out which program removed the files")
		return true
	}
	err = fmt.Errorf("%w (%w) and cannot be made again: %w", ErrGone, missing, noRoom(err))
	if l.gone == nil || l.gone.Error() != err.Error() {
		l.opts.Log.Error().Err(err).Str("journal", l.dir).Msg("the journal accepts no changes; its pending changes are in memory alone")
	}
	l.gone = err
	return false
}

// missing names a file that is not at its path any more; nil if all files are.
func (l *Log) missing() error {
	if err := isAt(filepath.Join(l.dir, lockName), l.lock); err != nil {
		return err
	}
	for _, s := range l.segments {
		if err := isAt(segmentPath(l.dir, s.Number), l.held[s.Number]); err != nil {
			return err
		}
	}
	return nil
}

// isAt says why an open file is not at a path; nil if the file is.
func isAt(path string, f *os.File) error {
	there, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("%s cannot be read", path)
	}
	open, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(there, open) {
		return fmt.Errorf("%s is not the same file as before", path)
	}
	return nil
}

// restore makes the folder if missing, and writes all missing segments, in order, so that a crash leaves no gap. restore does not
// touch another journal's folder. No fdatasync may be running.
func (l *Log) restore() error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	if err := private(l.dir); err != nil {
		return err
	}
	if err := l.lockAgain(); err != nil {
		return err
	}
	if err := l.claim(); err != nil {
		return err
	}
	for i := range l.segments {
		if isAt(segmentPath(l.dir, l.segments[i].Number), l.held[l.segments[i].Number]) == nil {
			continue
		}
		if err := l.writeAgain(i); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(l.dir))
}

// lockAgain locks the folder at the path if the folder or its lock file is new.
func (l *Log) lockAgain() error {
	if isAt(filepath.Join(l.dir, lockName), l.lock) == nil {
		return nil
	}
	held, err := lock(l.dir)
	if errors.Is(err, ErrLocked) && l.lockedHere() { // a former folder is back
		return nil
	}
	if err != nil {
		return err
	}
	l.former = append(l.former, l.lock) // a folder that was moved away may come back, so its lock is kept
	l.lock = held
	return nil
}

// lockedHere returns to a former lock if that lock's file is at the path.
func (l *Log) lockedHere() bool {
	at := slices.IndexFunc(l.former, func(f *os.File) bool { return isAt(filepath.Join(l.dir, lockName), f) == nil })
	if at < 0 {
		return false
	}
	l.lock, l.former[at] = l.former[at], l.lock
	return true
}

// claim makes sure that the folder is this journal's, and removes files that the log does not count any more.
func (l *Log) claim() error {
	id, err := readRegular(filepath.Join(l.dir, idName))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	numbers, err := list(l.dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if h, err := readHeader(segmentPath(l.dir, n)); err != nil || h.id != l.id {
			return fmt.Errorf("%s is of another journal: move it away", segmentPath(l.dir, n))
		}
	}
	switch text := l.id.String() + "\n"; {
	case id == nil:
		f, err := writeWhole(OpenFile, filepath.Join(l.dir, idName), []byte(text))
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	case string(id) != text:
		return fmt.Errorf("%s is of another journal: move it away", l.dir)
	}
	if err := removeTmp(l.dir); err != nil {
		return err
	}
	for _, n := range numbers {
		if slices.ContainsFunc(l.segments, func(s Segment) bool { return s.Number == n }) {
			continue
		}
		if err := os.Remove(segmentPath(l.dir, n)); err != nil {
			return err
		}
	}
	return nil
}

// writeAgain writes a segment from its open file. For the active segment the unconfirmed records come from memory.
func (l *Log) writeAgain(i int) error {
	s := l.segments[i]
	size, tail, isActive := s.Bytes, []byte(nil), i == len(l.segments)-1
	if isActive && l.opts.Sync != Never {
		size, tail = l.synced, l.tail
	}
	held := l.held[s.Number]
	if held == nil {
		return fmt.Errorf("segment %d is lost", s.Number)
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(held, 0, size), content); err != nil {
		return fmt.Errorf("reading segment %d: %w", s.Number, err)
	}
	path := segmentPath(l.dir, s.Number)
	f, err := writeWhole(l.opts.OpenFile, path, content, tail)
	if err != nil {
		return err
	}
	if err := l.hold(s.Number); err != nil {
		return errors.Join(err, f.Close())
	}
	if !isActive {
		return f.Close()
	}
	_ = l.active.Close() // the old file has no name any more
	l.active, l.failed, l.synced, l.tail = f, false, s.Bytes, nil
	return nil
}
