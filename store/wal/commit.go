package wal

import (
	"context"
	"fmt"
	"time"
)

// flight is a running fdatasync, for which callers wait.
type flight struct {
	end  Position // durable up to here after success
	done chan struct{}
	err  error // to be read after done is closed
}

// Commit waits until all records up to a position are as durable as Sync promises. Under [Always] Commit waits for an fdatasync,
// which all waiting callers share; otherwise Commit returns at once. After an error the records may not be on disk; the log goes
// on, and a later Commit of the same position tries again in a new segment. Commit also ends with ctx.
func (l *Log) Commit(ctx context.Context, p Position) error {
	if l.opts.Sync != Always {
		return nil
	}
	return l.commit(ctx, p)
}

// Persist waits until all records up to a position are on disk, also under [Interval]; under [Never] Persist returns at once.
// Errors are as for Commit.
func (l *Log) Persist(ctx context.Context, p Position) error {
	if l.opts.Sync == Never {
		return nil
	}
	return l.commit(ctx, p)
}

func (l *Log) commit(ctx context.Context, p Position) error {
	l.mu.Lock()
	for {
		if !l.durable().Less(p) {
			l.mu.Unlock()
			return nil
		}
		if l.closed {
			l.mu.Unlock()
			return ErrClosed
		}
		if l.gone != nil {
			l.mu.Unlock()
			return l.gone
		}
		if l.flight == nil {
			l.takeOff()
		}
		f := l.flight
		l.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the journal's disk: %w", context.Cause(ctx))
		}
		if f.err != nil && !f.end.Less(p) {
			return f.err
		}
		l.mu.Lock()
	}
}

// durable is the position up to which all records are known to be on disk.
func (l *Log) durable() Position {
	return Position{Segment: l.segments[len(l.segments)-1].Number, Offset: l.synced}
}

func (l *Log) unconfirmed() bool { return l.durable().Less(l.end()) }

// takeOff begins an fdatasync for all records so far. The fdatasync runs on its own goroutine, so that the first caller, too,
// waits no longer than the caller's context.
func (l *Log) takeOff() {
	f := &flight{end: l.end(), done: make(chan struct{})}
	l.flight = f
	file, failed := l.active, l.failed
	go func() {
		var err error
		if !failed {
			err = file.Datasync()
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if failed {
			err = l.rotate()
		} else {
			err = l.arrived(f.end.Offset, err)
		}
		f.err = err
		l.flight = nil
		close(f.done)
	}()
}

// datasync syncs the active segment to disk. The caller holds the lock, so no other call can write.
func (l *Log) datasync() error {
	return l.arrived(l.end().Offset, l.active.Datasync())
}

// arrived records the result of an fdatasync of the active segment up to an offset.
func (l *Log) arrived(offset int64, err error) error {
	l.syncs++
	if err != nil {
		l.fail(err)
		return fmt.Errorf("bring the journal to disk: %w", noRoom(err))
	}
	if l.opts.Sync != Never {
		l.tail = l.tail[:copy(l.tail, l.tail[offset-l.synced:])]
	}
	if cap(l.tail) > maxKept && len(l.tail) == 0 {
		l.tail = nil
	}
	l.synced = offset
	return nil
}

// landed waits until no fdatasync is running. landed releases the lock meanwhile.
func (l *Log) landed() {
	for l.flight != nil {
		f := l.flight
		l.mu.Unlock()
		<-f.done
		l.mu.Lock()
	}
}

func (l *Log) signal() {
	select {
	case l.written <- struct{}{}:
	default:
	}
}

// syncEvery syncs records to disk, the interval after the first write that is not on disk yet.
func (l *Log) syncEvery(ctx context.Context) {
	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	troubled := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.written:
		}
		timer.Reset(l.opts.Interval)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := l.commit(ctx, l.End())
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.signal() // once more, in a new segment
		}
		if troubled != (err != nil) {
			troubled = err != nil
			l.opts.Log.Warn().Err(err).Bool("synced", !troubled).Msg("bringing the journal to disk")
		}
	}
}
