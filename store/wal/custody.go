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

// lookEvery is how often the log looks whether its files stand where they stood.
const lookEvery = 500 * time.Millisecond

// ErrGone refuses records while the log's folder is gone and cannot be made again.
var ErrGone = errors.New("the journal's folder is gone")

// hold opens a segment for reading. Linux does not report that an open file has lost its name: its bytes can still be read, and
// the log is written again from them.
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
		_ = f.Close() // nothing was written through it
	}
	delete(l.held, number)
}

func (l *Log) letGoAll() {
	for number := range l.held {
		l.letGo(number)
	}
}

// watch looks after the log's files until ctx ends.
func (l *Log) watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if l.look() && l.opts.OnRestored != nil {
			l.opts.OnRestored()
		}
	}
}

// look finds out whether the log's files stand where they stood, and writes them there again where not. While that fails the log
// takes no records. It says whether it has written them.
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
			Msg("files of the journal were gone: all that waits in it has been written again; find out who removed them")
		return true
	}
	err = fmt.Errorf("%w (%w) and cannot be made again: %w", ErrGone, missing, noRoom(err))
	if l.gone == nil || l.gone.Error() != err.Error() {
		l.opts.Log.Error().Err(err).Str("journal", l.dir).Msg("the journal takes no changes; what waits in it is in memory alone")
	}
	l.gone = err
	return false
}

// missing says what does not stand where it stood; nil where everything does.
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

// isAt says why an open file does not stand at a path.
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
		return fmt.Errorf("%s is another file than before", path)
	}
	return nil
}

// restore makes the folder where it is missing and writes into it all segments that do not stand there, in their order, so that a
// crash leaves no gap. Another journal's folder is left alone. No fdatasync is under way.
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

// lockAgain takes the folder that stands at the path, where it is another one, or has another lock.
func (l *Log) lockAgain() error {
	if isAt(filepath.Join(l.dir, lockName), l.lock) == nil {
		return nil
	}
	held, err := lock(l.dir)
	if errors.Is(err, ErrLocked) && l.lockedHere() { // it is the folder from before, back
		return nil
	}
	if err != nil {
		return err
	}
	l.former = append(l.former, l.lock) // nobody else may use a folder that was moved away while it may come back
	l.lock = held
	return nil
}

// lockedHere takes a former lock, where it is the one at the path.
func (l *Log) lockedHere() bool {
	at := slices.IndexFunc(l.former, func(f *os.File) bool { return isAt(filepath.Join(l.dir, lockName), f) == nil })
	if at < 0 {
		return false
	}
	l.lock, l.former[at] = l.former[at], l.lock
	return true
}

// claim sees to it that the folder is this journal's, and removes from it what the log does not count any more.
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

// writeAgain writes a segment from what is held of it. Of the active one, what is not known to be on disk is kept in memory.
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
	_ = l.active.Close() // its file has no name, or is another one's by now
	l.active, l.failed, l.synced, l.tail = f, false, s.Bytes, nil
	return nil
}
