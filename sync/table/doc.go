// Package table knows the live tickets table: its columns, their kinds and limits, as the database itself states them. The
// package rejects at ingest the values that a strict MySQL or MariaDB would refuse later, so that ticketd acknowledges only
// values that the table can store. The package has no SQL connection: a [Definition] is plain data, kept on disk as JSON, so
// that a daemon can validate while the database is unreachable.
//
// The package rewrites an accepted value only if the database would hold another text ("007" in an integer column is "7"), so
// that a read returns the same text before and after the flush.
//
// Where the two databases differ, or a spelling is a trap, the stricter rule holds: dates are written year first with a
// four-digit year and hyphens, JSON is that of RFC 8259. Rules that only the database can know (CHECK constraints, foreign keys,
// triggers, which letters a collation takes as equal) are left to the database.
package table
