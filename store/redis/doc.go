// Package redis is the store that keeps tickets in Redis: one plain hash per ticket, as a plugin that reads
// HGETALL ticket:812 itself expects it, and a sorted set of those that are dirty.
//
// # Keys
//
//	{prefix}ticket:{id}      hash: the fields as plain strings, and the reserved fields below
//	{prefix}ticket:dirty     sorted set: member = id, score = due time in ms; an index, the hashes are the truth
//	{prefix}ticket:dead      sorted set of the dead letters: member = id, score = time in ms
//	{prefix}ticket:meta      hash: epoch, rev, gone, owner, run, fence:{journal}, seq:{journal} and
//	                         unmade:{journal}, see apply.lua, floorless, see raise.lua, and line, base and host:{id},
//	                         see again.lua; one per partition
//	{prefix}ticket:aside:{id} hash of another program that is older than its ticket, see aside.lua
//	{prefix}ticket:gone:{n}  set: the ids of deleted tickets among 512, see keys.graves; looked at where a ticket is not held
//	{prefix}ticket:req:{id}  what a repeatable request did: "id revision digest", kept for a day or as its client asks
//
// In a Redis Cluster there are 32 partitions of these keys, and {prefix}{t17}:ticket: or the like stands for {prefix}ticket:.
// The hash tag keeps a partition in one slot. There are two more kinds of keys, see reserve.go:
//
//	{prefix}{t17}:ticket:id:{id}     which ticket a request id stands for, kept as long
//	{prefix}{t17}:ticket:asked:{id}  the digest of its request
//
// # Reserved fields of a ticket's hash
//
//	_rev        the ticket's revision
//	_dirty      since when it is dirty, in ms; absent in a clean ticket
//	_d:{field}  the revision that last changed the field; absent where the sink has it
//	_d:_new     its create has not arrived in the sink, which must hold no ticket of this id from before this revision
//	_born       when a mutation was accepted that made the hash, in µs by the clocks; absent where a row did
//	_made       a create made the ticket, when _born says
//	_line       the process that served the partition when a row completed the ticket while clean copies were in doubt
//	_kept       the highest revision that a daemon has applied again in a filling without a floor, until raise.lua has been here
//	_full       the hash holds the whole ticket: a field that is absent is NULL
//	_gone       the ticket was deleted
//	_dead       why the sink refuses it, as JSON
//
// A field that was set to NULL is absent and has its _d: mark until the sink has it.
//
// A hash without _rev is not ticketd's: another program wrote it. It is shown to readers, taken over whole by the first change
// ([Store.TakeOver]), and otherwise left alone.
//
// # What happens on failure
//
// Every change is one script call, so it is made whole or not at all. A call whose reply is lost may have been made; it is
// not repeated here, as only a request id makes repeating it safe. While Redis does not answer, calls fail at once with
// [store.ErrUnavailable] and one prober looks for its return. A Redis that was emptied has lost its meta hash: the next
// write notices, asks the sink for the highest revision, marks the new filling, and reports it.
package redis
