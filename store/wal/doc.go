// Package wal is a segmented append-only log of records, on which journals are built.
//
// # Files
//
// A folder holds LOCK (a process that has the log open holds its flock), id (the journal's random name, 32 hex digits) and
// segments named by numbers without gaps. All numbers are big-endian.
//
//	segment = header, record …
//	header  = magic (8 bytes), version (4), flags (4), journal id (16), number (8),
//	          bytes of the segment before it that count (8; 0: not known), CRC-32C of all that (4)
//	record  = length of the payload (4), CRC-32C of journal id, length and payload (4), payload
//
// The journal's id is part of a record's checksum, but not of the record, so that a client cannot choose a payload that contains
// a valid record.
//
// A segment says how many bytes of its predecessor count. So the log detects a closed segment that has become shorter, and a
// segment that was given up (see below) ends, for readers, at the last position known to be on disk. The rename that makes the
// successor makes this count effective, atomically.
//
// # What happens on failure
//
// Killed: no record is lost for which Append has returned, as the kernel has the record. Power lost: under [Always] no record is
// lost for which Commit has returned; under [Interval] no record that is older than the interval. A half-written record is the
// last of the last segment: the next Open cuts the record off, and reports the cut.
//
// Bad bytes anywhere else are no torn write. Open fails with a [CorruptError] and changes no file; an operator may decide to run
// [Salvage], which keeps the readable records.
//
// Files gone: the log checks twice a second whether its files are at their paths, and writes missing files again, from the open
// files. While a file cannot be written again, Append and Commit fail with [ErrGone].
//
// Disk full: Append cuts the file back to the previous end and fails with [ErrFull]; the next Append tries again.
//
// A failed fdatasync: the kernel may have dropped the data and may report success for the next fdatasync of this file. So the log
// never trusts the file again: waiting callers get the error, and the next Append or Commit opens a new segment, which begins
// with the unconfirmed records (the log keeps unconfirmed records in memory, at most a segment's worth).
package wal
