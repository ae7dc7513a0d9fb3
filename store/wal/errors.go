package wal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ticketd/ticketd/store"
)

var (
	// ErrFull refuses records for which there is no room: on the disk, in the quota, or under MaxBytes. Nothing of them was
	// kept, and the log works again as soon as there is room. It is a [store.ErrFull], and comes with a [store.FullError].
	ErrFull = fmt.Errorf("no room in the journal: %w", store.ErrFull)
	// ErrLocked is what Open and Salvage say where another process has the log open.
	ErrLocked = errors.New("another process has the journal open")
	// ErrClosed refuses everything after Close.
	ErrClosed = errors.New("the journal is closed")
	// ErrRecord refuses a record that is empty or longer than MaxRecord.
	ErrRecord = fmt.Errorf("a record has 1 to %d bytes", MaxRecord)
)

// CorruptError says that a log has bad bytes that no torn write explains, and what could be saved.
type CorruptError struct {
	// File and Offset are where the first bad bytes are.
	File   string
	Offset int64
	Reason string
	// Before and After count the records before and after that place that can be read.
	Before, After int64
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the journal is damaged: %s at byte %d: %s; %d records before it and %d after it can be read: "+
		"copy the folder, then take them out with \"ticketd journal salvage\"", e.File, e.Offset, e.Reason, e.Before, e.After)
}

// noRoom adds ErrFull to the errors that mean it.
func noRoom(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w: %w", ErrFull, &store.FullError{Bound: "the journal's disk", Reason: "make room on it"}, err)
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
