package wal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ticketd/ticketd/store"
)

var (
	// ErrFull refuses records without room: on the disk, in the quota, or under MaxBytes. No part of the records was kept, and the
	// log works again as soon as room is made. ErrFull is a [store.ErrFull], and comes with a [store.FullError].
	ErrFull = fmt.Errorf("no room in the journal: %w", store.ErrFull)
	// ErrLocked is the error of Open and Salvage while another process has the log open.
	ErrLocked = errors.New("another process has the journal open")
	// ErrClosed refuses all calls after Close.
	ErrClosed = errors.New("the journal is closed")
	// ErrRecord refuses a record that is empty or longer than MaxRecord.
	ErrRecord = fmt.Errorf("a record has 1 to %d bytes", MaxRecord)
)

// CorruptError says that a log has bad bytes that no torn write explains, and how many records are readable.
type CorruptError struct {
	// File and Offset are the place of the first bad bytes.
	File   string
	Offset int64
	Reason string
	// Before and After count the readable records before and after that place.
	Before, After int64
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the journal is damaged: %s at byte %d: %s; %d records before it and %d after it can be read: "+
		"copy the folder, then save the readable records with \"ticketd journal salvage\"",
		e.File, e.Offset, e.Reason, e.Before, e.After)
}

// noRoom adds ErrFull to the system's errors for a lack of room.
func noRoom(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w: %w", ErrFull, &store.FullError{Bound: "the journal's disk", Reason: "make room on the disk"}, err)
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
