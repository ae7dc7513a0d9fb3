// Package mysql brings changed tickets to the tickets table of MySQL or MariaDB, reads them back, and leases ticket
// ids.
//
// # The way of a write
//
// [Sink.Write] groups changes by the set of columns that they change, sorts each group by primary key, cuts it by
// rows and bytes, and sends each batch as one INSERT … ON DUPLICATE KEY UPDATE. In the update every column is
// guarded: it is assigned only where the change's revision is above the row's, and the revision column is assigned
// last, as assignments run from left to right. So a write may come twice, late, or from two daemons at once: an older
// revision never replaces a newer one, and columns that a change does not name are left alone.
// Two further conditions keep changes away from rows that are not theirs. A create, until it has arrived, assigns nothing where
// the row's revision is below that of the create (see floorOf): the row belongs to another ticket, and the create is refused.
// What is no deletion assigns nothing where the row is marked as deleted: the result says that the store is to forget its copy.
// The server's answer carries a mark where the guard kept a row from being written; only then the revisions are asked for.
//
// An INSERT that carries the changed fields alone must not bring back a row that vanished: where the store knows that the row was
// there, it is looked for first (see write.gone).
//
// Two kinds of table need more:
//   - A NOT NULL column without a default makes the INSERT fail even where the row exists, so a change that leaves such
//     a column out is a guarded UPDATE.
//   - Without a deleted_at column a delete removes the row and leaves a tombstone in a table beside it. A ticket that
//     has one is never inserted again. The look-up of tombstones locks what it looks at, so it also holds against a delete
//     that runs at the same time.
//
// # Ids
//
// [Sequence.Lease] takes blocks of ids from a table with one row, passes over blocks of which rows have all ids, and where the
// key is AUTO_INCREMENT moves the table's counter behind the block. [DB.Taken] tells which ids have a row.
//
// # What happens on failure
//
//	error of the database                          what becomes of the batch
//	deadlock, lock wait (1213, 1205)               again after a pause, in halves; at last left for later, never refused
//	a value it does not take (1406, 1366, …)       halved until the row is alone, which is refused; the others are stored
//	statement too large (1153)                     cut by bytes beforehand; a row too large on its own is refused
//	an answer that is not listed                   as a value, if the server takes the statement without rows; else
//	                                               [flush.ErrSinkDown]
//	a right missing, table crashed (1142, 1194, …) the same, where other rows are stored or the row comes alone; else down
//	table missing or altered (1146, 1054, …)       the same, where the definition is what it was; else [flush.ErrSinkPaused]:
//	                                               nothing is refused, read the definition again
//	connection lost, also at COMMIT, and all else  [flush.ErrSinkDown]: try again, the guard makes that safe
package mysql
