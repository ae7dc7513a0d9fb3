// Package redis is the store that keeps tickets in Redis: one plain hash per ticket, as a plugin that reads HGETALL ticket:812
// expects the hash, and a sorted set of the dirty tickets.
//
// # Parts
//
//	site          site.go, guard.go, filling.go     the keys of one site, and the proof that the keys are the site's
//	fences        fence.go                          refuse writes that arrive late, and writes of a clone
//	recall        again.go, kept.go, hosts.go,      apply the latest acknowledged changes again after a fail-over, and forget
//	              doubt.go                          clean copies that may be too old
//	tickets       tickets.go, stray.go              reads
//	writer        apply.go, combiner.go, replay.go  changes
//	reservations  reserve.go                        request ids in a cluster
//	queue         claim.go, queue.go                claims, acks, the backlog
//	deadLetters   dead.go                           tickets that the sink refuses
//	feed          feed.go, couriers.go              the change feed, and the cursors of its destinations
//	Admin, Keys   admin.go, owner.go                operations of commands
//
// Package link is the connection to Redis.
//
// # Keys
//
//	{prefix}ticket:{id}      hash: the fields as plain strings, and the reserved fields below
//	{prefix}ticket:dirty     sorted set: member = id, score = due time in ms; an index, the hashes are the truth
//	{prefix}ticket:dead      sorted set of the dead letters: member = id, score = time in ms
//	{prefix}ticket:meta      hash: epoch, rev, gone, owner, run, fence:{journal}, seq:{journal} and
//	                         unmade:{journal}, see apply.lua, floorless, see raise.lua, and line, base and host:{id},
//	                         see again.lua; feed and feed:n, see feed.lua; one per partition
//	{prefix}ticket:feed      stream of the partition's events, see docs/feed.md
//	{prefix}ticket:feed:cursors      hash: destination, cursor
//	{prefix}ticket:feed:own:{name}   the token of the courier that serves a destination, until its lease ends
//	{prefix}ticket:feed:dead:{name}  stream of the events that a destination refuses, in the first partition
//	{prefix}ticket:feed:erased       sorted set: the numbers of events that were erased
//	{prefix}ticket:aside:{id} hash of another program that is older than the ticket, see aside.lua
//	{prefix}ticket:gone:{n}  set: the ids of deleted tickets among 512, see keys.graves; looked at where a ticket is not held
//	{prefix}ticket:req:{id}  the outcome of a repeatable request: "id revision digest", kept for a day or as the client asks
//
// In a Redis Cluster a site has 32 partitions of these keys, and {prefix}{t17}:ticket: or the like stands for {prefix}ticket:.
// The hash tag keeps a partition in one slot. Two more kinds of keys are in reserve.go:
//
//	{prefix}{t17}:ticket:id:{id}     which ticket a request id stands for, kept as long
//	{prefix}{t17}:ticket:asked:{id}  the digest of the request
//
// # Reserved fields of a ticket's hash
//
//	_rev        the ticket's revision
//	_dirty      since when the ticket is dirty, in ms; absent in a clean ticket
//	_d:{field}  the revision that last changed the field; absent where the sink has it
//	_d:_new     the create has not arrived in the sink, which must hold no ticket of this id from before this revision
//	_born       when a mutation was accepted that made the hash, in µs by the clocks; absent where a row did
//	_made       a create made the ticket, when _born says
//	_line       the process that served the partition when a row completed the ticket while clean copies were in doubt
//	_kept       the highest revision that a daemon has applied again in a filling without a floor, until raise.lua has been here
//	_full       the hash holds the whole ticket: a field that is absent is NULL
//	_had        the sink had the ticket, which clean fields or _full do not show any more: see [store.Claim].Confirmed
//	_gone       the ticket was deleted
//	_dead       why the sink refuses the ticket, as JSON
//
// A field that was set to NULL is absent and has a _d: mark until the sink has the change.
//
// A hash without _rev is not ticketd's: another program wrote the hash. Readers see the hash, the first change takes all of the
// hash over ([Store.TakeOver]), and no other operation touches the hash.
//
// # What happens on failure
//
// Every change is one script call, and a script makes the whole change or no change. A call whose reply is lost may have made the
// change; the store does not repeat the call, as only a request id makes a repetition safe. While Redis does not answer, calls
// fail at once with [store.ErrUnavailable] and one prober waits for Redis. A Redis that was emptied has lost the meta hash: the
// next write notices the loss, asks the sink for the highest revision, marks the new filling, and reports it.
package redis
