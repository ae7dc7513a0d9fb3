// Package wal is a segmented append-only log of records: what a journal is made of.
//
// # Files
//
// A folder holds LOCK (taken with flock by whoever has the log open), id (the journal's random name, 32 hex digits) and segments
// named by their numbers, which have no gaps. All numbers are big-endian.
//
//	segment = header, record …
//	header  = magic (8 bytes), version (4), flags (4), journal id (16), number (8),
//	          bytes of the segment before it that count (8; 0: not known), CRC-32C of all that (4)
//	record  = length of the payload (4), CRC-32C of journal id, length and payload (4), payload
//
// The journal's id is part of a record's checksum, though it is not repeated in the record, so that nobody who chooses a
// payload can put something into it that reads as a record.
//
// A segment says how many bytes of its predecessor count. So a closed segment that has become shorter is found out, and one that
// was given up (see below) ends, for readers, where it was last known to be on disk; both take effect with the rename that
// makes the successor, atomically.
//
// # What happens on failure
//
// Killed: what Append has returned for has been handed to the kernel and is there. Power lost: what Commit has returned for,
// under [Always], is there; under [Interval] all that is older than the interval. A record that was half written is the last of
// the last segment: it is cut off at the next Open, and reported.
//
// Bad bytes anywhere else are no torn write. Open fails with a [CorruptError] and changes nothing; [Salvage] takes out what
// can be read, once an operator has decided so.
//
// Files gone: the log looks twice a second whether its files stand at their paths, and writes again what does not, from the
// files that it has open. Where that cannot be done Append and Commit fail with [ErrGone] until it can.
//
// Disk full: Append cuts the file back to where it was and fails with [ErrFull]; the next one tries again.
//
// A failed fdatasync: the kernel may have dropped the data and may say that the next fdatasync of this file succeeded. So the
// file is never trusted again: who waits for it gets the error, and the next Append or Commit opens a new segment, which begins
// with the records that had not been confirmed (they are kept in memory until they are, at most a segment's worth).
package wal
