// Package postmeta writes changes to WordPress' meta tables: post meta and user meta, and columns of wp_posts.
//
// A ticket is a post (or a user), its id is the post's, and each field is the value of a meta key, a column of the post, or both.
// The tables are WordPress' and other plugins', so the package never alters these tables, and delays no other program's
// statements:
//
//   - The revision of each post is in a side table of ticketd's own, written in the same transaction: "the revision is there"
//     means "the values are there". A lock on the side row is the mutex between flushers, the comparison of revisions the guard.
//   - The transaction runs under READ COMMITTED, which locks no gaps in the meta table. The rows are found by a plain read
//     without locks and written by their meta_id: INSERTs of other programs never wait.
//   - Meta keys are compared byte by byte here, because the column's collation is blind to case. Of a key with several rows, all
//     rows are written, as WordPress does.
//   - A row is inserted only for a post that exists, locked against its deletion. A change of a post that does not exist is
//     dropped and counted; it is no dead letter, because wp_delete_post deletes the meta of its post, too.
//   - A deletion leaves a tombstone in the side table, and deletes the managed keys that a race has left. The deletion of a post
//     that exists is void.
//
// Values are the raw strings that WordPress stores; nil is NULL. The package stores every value unchanged.
//
// On failure: all writes of an attempt are one transaction, so a kill or a lost connection leaves all or nothing, and a
// repetition meets the guard. Deadlocks and lock waits are tried again, in halves and later, without end. A change that MySQL
// rejects is found by halving and becomes a dead letter. These rules are those of [mysql.Batch].
package postmeta
