// Package mysql writes changed tickets to the tickets table of MySQL or MariaDB, reads tickets, and leases ticket ids.
//
// # The way of a write
//
// [Sink.Write] groups changes by the set of changed columns, sorts each group by primary key, cuts the group by rows and bytes,
// and sends each batch as one INSERT … ON DUPLICATE KEY UPDATE. The update guards every column: a column is assigned only if the
// change's revision is above the row's. The revision column is assigned last, as assignments run from left to right. So a write
// may come twice, late, or from two daemons at once: an older revision never replaces a newer revision, and columns that a
// change does not name keep their values.
//
// Two further conditions protect rows of other tickets. A create, until the sink has the row, assigns no column if the row's
// revision is below the create's (see floorOf): then the row belongs to another ticket, and the sink refuses the create. A
// change that is no deletion assigns no column if the row is marked as deleted: the result says that the store must forget its
// copy. The server's answer carries a mark if the guard kept a row from being written; only then the sink reads the revisions.
//
// An INSERT of only the changed fields must not bring back a row that vanished: if the store knows that the row existed, the
// sink first looks for the row (see write.gone).
//
// Two kinds of table need more:
//   - A NOT NULL column without a default makes the INSERT fail even if the row exists, so a change that leaves such a column out
//     is a guarded UPDATE.
//   - Without a deleted_at column a delete removes the row and leaves a tombstone in a table beside the tickets table. A ticket
//     with a tombstone is never inserted again. The look-up of tombstones locks the looked-up keys, so the rule holds against
//     a delete at the same time.
//
// # Ids
//
// [Sequence.Lease] takes blocks of ids from a table with one row and skips blocks whose ids all have rows. If the key is
// AUTO_INCREMENT, Lease moves the table's counter behind the block. [DB.Taken] returns the ids that have a row.
//
// # What happens on failure
//
//	error of the database                          outcome of the batch
//	deadlock, lock wait (1213, 1205)               again after a pause, in halves; at last left for later, never refused
//	a value that the table rejects (1406, 1366, …) halved until the row is alone, which is refused; the other rows are stored
//	statement too large (1153)                     cut by bytes beforehand; a row too large on its own is refused
//	an answer that is not listed                   as a value, if the server takes the statement without rows; else
//	                                               [flush.ErrSinkDown]
//	a right missing, table crashed (1142, 1194, …) the same, if other rows are stored or the row comes alone; else down
//	table missing or altered (1146, 1054, …)       the same, if the definition is unchanged; else [flush.ErrSinkPaused]:
//	                                               no row is refused, read the definition again
//	connection lost, also at COMMIT, and the rest  [flush.ErrSinkDown]: try again, the guard makes a repetition safe
package mysql
