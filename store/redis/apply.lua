-- Makes a batch of mutations, each mutation atomically, in one call.
--
-- KEYS[1]  the partition's dirty index (sorted set: member = ticket id, score = due time in ms)
-- KEYS[2]  the partition's dead letters (sorted set: member = ticket id, score = time in ms)
-- KEYS[3]  the partition's meta hash: epoch (the filling of this Redis), rev (the highest revision assigned), gone (the number of
--          tombstones), and for each journal fence:{id} (the mark that direct writes of the journal's daemon must carry), seq:{id} (the
--          highest replayed sequence number) and unmade:{id} (the sequence numbers up to seq:{id}, with spaces between them, of the
--          entries that the last replay could not make); feed and feed:n, see feed.lua
-- KEYS[4]  the partition's feed
-- KEYS[5…] per mutation the ticket's hash, the tombstones of its bucket (a set of ids), then, for a mutation with a request id, the key
--          that remembers the request
--
-- ARGV[1]  the epoch that the caller knows
-- ARGV[2]  the id of the caller's journal, or empty
-- ARGV[3]  the fence that the caller knows; empty without a fence
-- ARGV[4]  how many mutations follow; then per mutation:
--   the sequence number in the journal and the revision of the acknowledgement, both 0 for a mutation that is not replayed,
--   kind (1 create, 2 set, 3 delete, 4 create of a part of a ticket), ticket id, proposed revision (above the acknowledged
--   revision where Redis may have gone back in time since), when the change was accepted by the clocks in µs (store.Mutation.Dated), due
--   time in ms, required revision or 0 or -1 (Redis must hold the ticket), from when on a ticket that has the id of a create that
--   arrives late may be that create's own (store.Mutation.Since), when a set or deletion was acknowledged that arrives late
--   (store.Mutation.Late), or 0, and if not 0 store.Mutation.RowBorn, for how many ms the request id is remembered or 0 without
--   a request id, with a request id the request's digest, which is empty where unknown,
--   who made the change and the client's part, with a newline between, count of values, name and value of each, count of NULLs, name
--   of each
-- ARGV[#ARGV - 1]  now in µs, by the caller's clock
-- ARGV[#ARGV]  how many tickets of the partition may be dirty; 0 means no bound
--
-- Returns per mutation: status, ticket id, revision, and the mark _d:_new where the next place does not have the create of the
-- changed ticket yet, else 0. The id is text, as Lua's numbers are exact only up to 2^53.
--   status 0: done, or a repetition of a request that was done
--   status 1: conflict, the ticket is at this revision
--   status 2: the ticket was deleted
--   status 3: the key holds no hash
--   status 4: a create whose id is taken: by another ticket, by a deleted ticket, or by a key of another program
--   status 5: the ticket must be held and is not
--   status 6: the request id belongs to another request, as the digests differ
--   status 7: the ticket would be one dirty ticket too many; the ticket is unchanged
--   status 8: the key holds a hash without _rev, which another program wrote; stray.lua makes a ticket of the hash
--   status 10: a set or deletion that arrives late, and was acknowledged before the ticket was created
--   status 11: the index names the ticket, and another program has deleted the hash: see vanished.go
--   status 9: a create that arrives late, and the next place must say whether the ticket that has or had the id is the create's own
-- The revision is 0 where Redis does not hold the ticket: the refusal rests on a tombstone, or on a key of another program.
--
-- A replay ends with the first create whose id is taken (4) or may be taken (9): the script does not look at the mutations behind
-- the create, which may be of the ticket that the create was to make. The reply has no numbers for these mutations, and the
-- create does not count as arrived. Every call ends so with the first ticket whose hash another program has deleted (11).
-- Or the error EPOCH: the meta hash is gone or of another filling; the script has made no change.
-- Or the error QUOTA: the replay would make too many dirty tickets; the script has made no change.
-- Or the error FENCE: the fence was raised since the caller looked, so the caller's writes may be late; the script has made no
-- change.
--
-- A replay makes each entry once: the script passes over sequence numbers up to the recorded number, except where an earlier try
-- could not make the entry, and the caller sends the entry again as the reply was lost. A replay begins with the oldest pending
-- entry; earlier numbers in unmade were settled. Where Redis holds the ticket, the ticket gets the acknowledged revision if that
-- is above the held revision, so that a client can go on from the acknowledged revision, also where Redis had made the same
-- request before (a create that joins the ticket gets the next revision, as its client has not seen the rest of the ticket).
-- Where Redis does not hold the ticket, the row's revision is unknown, and only a revision above all other revisions is safe.
--
-- A request's key holds the ticket id, the revision and the digest, with spaces between; earlier versions wrote no digest.
-- A replayed change was acknowledged: the script makes the change even if the request id now belongs to another request.
--
-- A create that arrives late and meets no ticket is made unless revisions are ahead of the clocks: see store.Mutation.Free.
--
-- HSET comes first among the writes: a Redis out of memory refuses HSET before the script has changed a key.

local dirty, dead, meta = KEYS[1], KEYS[2], KEYS[3]
local journal, fence = ARGV[2], ARGV[3]

local known = redis.call('HMGET', meta, 'epoch', 'rev', 'fence:' .. journal, 'seq:' .. journal, 'unmade:' .. journal, 'line', 'run', 'base', 'feed', 'feed:n')
local doubt = known[6] and known[7] ~= known[6] -- clean copies may be older than the next place, see doubt.go
if known[1] ~= ARGV[1] then
	return redis.error_reply('EPOCH ' .. (known[1] or ''))
end
if fence ~= '' and known[3] ~= fence then
	return redis.error_reply('FENCE was raised')
end
local base = bounded(known[8])
feed.open(KEYS[4], known[9], known[10])
local quota = tonumber(ARGV[#ARGV])
local waiting = quota > 0 and redis.call('ZCARD', dirty) or -1
if waiting >= quota and (tonumber(ARGV[5]) or 0) > 0 then
	return redis.error_reply('QUOTA is reached') -- the entries wait in the journal, in their order
end
local highest = bounded(known[2])
local ahead = highest > tonumber(ARGV[#ARGV - 1]) + 1000000 -- store.AheadBy
local arrived = tonumber(known[4]) or 0
if arrived > ceiling then -- no journal has come so far: the replayed entries count as not arrived
	arrived = 0
end
local before, arrivedBefore, buried = highest, arrived, 0
local oldest, unmade = tonumber(ARGV[5]) or 0, {}
for number in string.gmatch(known[5] or '', '%d+') do
	if tonumber(number) >= oldest then
		unmade[tonumber(number)] = true
	end
end

local k, a = 4, 4
local function key()
	k = k + 1
	return KEYS[k]
end
local function arg()
	a = a + 1
	return ARGV[a]
end

-- apart says why a create that arrives late does not join a ticket: another ticket has the id (4), or may have the id (9). born
-- is when a mutation began to hold the ticket; nil where a row did, or where only the deletion is known. See
-- store.Mutation.Joins.
local function apart(since, row, born)
	if since == 0 or (born and born <= since) or (row > 0 and row <= since) then
		return 4
	elseif row == 0 then
		return 9
	end
end

-- letter says whether a ticket is a dead letter. Few sites have dead letters, so the look at each ticket is spared.
local letters
local function letter(id)
	letters = letters or redis.call('ZCARD', dead)
	return letters > 0 and redis.call('ZSCORE', dead, id)
end

-- refusal returns the status and the revision of a refused mutation, and nil for any other mutation.
local function refusal(kind, id, ticket, graves, held, required, since, row)
	if held.err then -- the key holds no hash
		return (kind == 1 or kind == 4) and 4 or 3, 0
	end
	local rev = bounded(held[1])
	if not held[1] and (redis.call('ZSCORE', dirty, id) or letter(id)) then
		return 11, 0
	elseif doubt and held[1] and not held[2] and required ~= 0 and held[8] ~= known[6] then
		return required > 0 and 1 or 5, 0
	elseif required > 0 and held[2] and rev <= base then -- pending since before this process, see doubt.go
		return 1, 0
	elseif (kind == 2 or kind == 3) and held[6] and since > 0 and since < bounded(held[5]) and not ahead then -- see store.Mutation.Predates
		return 10, rev
	elseif required > 0 and required ~= rev then
		return 1, rev
	elseif kind == 3 then
		if not held[1] and redis.call('EXISTS', ticket) == 1 then -- another program's hash: the store first takes the hash over
			return 8, 0
		elseif required < 0 and not held[1] then
			return 5, 0
		end
		return
	elseif kind == 2 then
		if held[3] then
			return 2, rev
		elseif not held[1] and redis.pcall('SISMEMBER', graves, id) == 1 then
			return 2, 0
		elseif not held[1] and redis.call('EXISTS', ticket) == 1 then
			return 8, 0
		elseif required < 0 and not held[1] then
			return 5, 0
		end
		return
	end
	if held[1] then
		return apart(since, row, held[5] and bounded(held[5])) or held[3] and 2, rev
	elseif redis.call('EXISTS', ticket) == 1 then
		return 4, 0
	elseif redis.pcall('SISMEMBER', graves, id) == 1 then
		return apart(since, row) or 2, 0 -- deleted by a client that received the id
	elseif row > 0 and row <= since then
		return 4, 0
	elseif since > 0 and row == 0 and ahead then
		return 9, 0
	end
end

-- bury forgets all fields of a ticket that do not belong to its deletion: earlier changes must not arrive any more.
local function bury(ticket, kept)
	local keep = { _rev = true, _dirty = true, _born = true, _made = true, _gone = true, _dead = true, ['_d:_gone'] = true, ['_d:_new'] = true }
	for i = 1, #kept do
		keep[kept[i]] = true
		keep['_d:' .. kept[i]] = true
	end
	local moot = { ticket }
	for _, name in ipairs(redis.call('HKEYS', ticket)) do
		if not keep[name] then
			moot[#moot + 1] = name
		end
	end
	if #moot > 1 then
		redis.call('HDEL', unpack(moot))
	end
end

-- stand keeps the acknowledged revision of a request that Redis had made before: the direct write had arrived after all, no
-- client heard of the write, and the journal answered. The changed fields are flushed once more, under this revision.
local function stand(ticket, id, names, nulls, held, acknowledged, dated, due, gone)
	local text = string.format('%.0f', acknowledged)
	local set = { ticket, '_rev', text }
	local null = {}
	for i = 2, #nulls do
		null[nulls[i]] = true
	end
	for i = 1, #names do
		if null[names[i]] or redis.call('HEXISTS', ticket, names[i]) == 1 then
			set[#set + 1] = '_d:' .. names[i]
			set[#set + 1] = text
		end
	end
	if not held[2] then
		set[#set + 1] = '_dirty'
		set[#set + 1] = string.format('%.0f', math.floor(dated / 1000))
	end
	redis.call('HSET', unpack(set))
	if gone then
		bury(ticket, names)
	end
	redis.call('PERSIST', ticket)
	if not held[4] then
		redis.call('ZADD', dirty, 'LT', due, id)
	end
end

-- raise keeps the acknowledged revision of such a request where Redis does not hold the ticket any more, as it was flushed. Only the
-- revision is pending (_d:_rev): the next place has the fields, or newer ones. Says whether the next place has such a ticket.
local function raise(ticket, id, graves, acknowledged, dated, due)
	if redis.call('EXISTS', ticket) == 1 or redis.pcall('SISMEMBER', graves, id) == 1 then
		return false
	end
	local text = string.format('%.0f', acknowledged)
	redis.call('HSET', ticket, '_rev', text, '_d:_rev', text, '_had', '1', '_dirty', string.format('%.0f', math.floor(dated / 1000)))
	redis.call('ZADD', dirty, 'LT', due, id)
	return true
end

-- told adds the event of a change to the feed: the new values (the first of the names have values in set, the others are NULL),
-- and the old values, where Redis held the ticket.
local kinds = { 'created', 'updated', 'deleted', 'created' }
local function told(kind, id, revision, held, at, origin, acknowledged, set, names, values, total)
	local e = feed.entry(kinds[kind], id, revision, held[1], at, origin)
	local function put(name, value)
		e[#e + 1], e[#e + 2] = name, value
	end
	local lists = { _null = {}, _long = {}, _wasnull = {} }
	local function list(name, of)
		lists[of][#lists[of] + 1] = name
	end
	if kind == 1 then
		put('_complete', '1')
	end
	if acknowledged ~= '0' and acknowledged ~= revision then
		put('_ack', acknowledged)
	end
	local old = held[1] and not held[3]
	for i = 1, total do
		local name, was = names[i], old and held[9 + i]
		if i > values then
			list(name, '_null')
		elseif #set[3 + 2 * i] > feed.longest then
			list(name, '_long')
		else
			put(name, set[3 + 2 * i])
		end
		if was and #was <= feed.longest then
			put('_was:' .. name, was)
		elseif old and not was and held[9] then
			list(name, '_wasnull')
		end
	end
	for of, all in pairs(lists) do
		if #all > 0 then
			put(of, table.concat(all, ','))
		end
	end
	feed.add(e)
end

-- made is the revision of a ticket's newest change that is no repetition, where this call has replayed a change or a repetition
-- of the ticket. moved are tickets whose newest change is newer than the first replayed repetition: readers on the journal's host
-- saw the repetition's values over that change, so the state that they saw under the revisions of the repetition and of later
-- entries is not the state here. The same holds for a create that joins a ticket: its readers saw the create's fields as the
-- whole ticket.
local made, moved = {}, {}

local out = {}
local function answer(status, id, rev, new)
	local n = #out
	out[n + 1], out[n + 2], out[n + 3], out[n + 4] = status, id, rev, new or 0
end

for _ = 1, tonumber(ARGV[4]) do
	local sequence, promised = tonumber(arg()), arg()
	local acknowledged = tonumber(promised)
	local kind, id, proposed, at, due = tonumber(arg()), arg(), tonumber(arg()), arg(), arg()
	local dated = tonumber(at)
	local required, since = tonumber(arg()), tonumber(arg())
	local row = since > 0 and tonumber(arg()) or 0
	local memory = arg()
	local ticket, graves = key(), key()
	local request = memory ~= '0' and key()
	local digest = request and arg() or ''
	local origin = arg()

	local set = { ticket, '_rev', '' }
	local names = {}
	local values = tonumber(arg())
	for _ = 1, values do
		local name, value = arg(), arg()
		set[#set + 1] = name
		set[#set + 1] = value
		names[#names + 1] = name
	end
	local nulls = { ticket }
	for _ = 1, tonumber(arg()) do
		local name = arg()
		nulls[#nulls + 1] = name
		names[#names + 1] = name
	end
	local total = #names

	local refused = false
	local done = request and redis.call('GET', request)
	local first, rev, asked = string.match(done or '', '(%d+) (%d+) ?(.*)')
	local reused = done and asked ~= digest and asked ~= '' and digest ~= ''
	if sequence > 0 and (first ~= id or reused) then
		done, reused = false, false -- Redis must hold an acknowledged mutation, whatever the request id has made before
	end
	local held
	if feed.keep then -- with the old values
		held = redis.pcall('HMGET', ticket, '_rev', '_dirty', '_gone', '_dead', '_born', '_made', '_d:_new', '_line', '_full', unpack(names))
	else
		held = redis.pcall('HMGET', ticket, '_rev', '_dirty', '_gone', '_dead', '_born', '_made', '_d:_new', '_line')
	end
	local behind = sequence > 0 and held[1] and (kind == 3 or not held[3]) and acknowledged > bounded(held[1])
	if kind == 3 then
		names[#names + 1] = '_gone'
	end
	if sequence > 0 and sequence <= arrived and not unmade[sequence] then
		answer(0, id, acknowledged)
	elseif reused then
		answer(6, id, 0)
	elseif done then
		if behind then
			made[id] = made[id] or bounded(held[1])
			moved[id] = made[id] ~= tonumber(rev)
			local stands = acknowledged + (moved[id] and 1 or 0)
			stand(ticket, id, names, nulls, held, stands, dated, due, kind == 3)
			feed.restated(id, rev, string.format('%.0f', stands), held[1], at, origin, promised)
			highest = math.max(highest, stands)
			rev = string.format('%.0f', acknowledged)
			redis.call('SET', request, id .. ' ' .. rev .. ' ' .. digest, 'KEEPTTL') -- a repetition of the request returns this revision
		elseif sequence > 0 and kind ~= 3 and not held[1] and acknowledged > tonumber(rev) and raise(ticket, id, graves, acknowledged, dated, due) then
			feed.restated(id, rev, promised, nil, at, origin)
			highest = math.max(highest, acknowledged)
			rev = string.format('%.0f', acknowledged)
			redis.call('SET', request, id .. ' ' .. rev .. ' ' .. digest, 'KEEPTTL')
		end
		answer(0, first, tonumber(rev))
	else
		local status, have = refusal(kind, id, ticket, graves, held, required, since, row)
		if not status and not held[2] and sequence == 0 and waiting >= quota then
			status, have = 7, bounded(held[1])
		end
		if status then
			answer(status, id, have)
			if status == 11 or ((status == 4 or status == 9) and sequence > 0) then
				break
			end
			refused = status ~= 2
		elseif kind == 3 and held[3] then
			if behind then
				stand(ticket, id, names, nulls, held, acknowledged, dated, due, true)
				feed.restated(id, held[1], promised, held[1], at, origin)
				highest = math.max(highest, acknowledged)
			end
			local stands = string.format('%.0f', behind and acknowledged or bounded(held[1]))
			if request then
				redis.call('SET', request, id .. ' ' .. stands .. ' ' .. digest, 'PX', memory)
			end
			answer(0, id, tonumber(stands))
		else
			local revision
			if sequence > 0 and held[1] then
				moved[id] = moved[id] or kind == 1 or kind == 4
				revision = math.max(bounded(held[1]) + 1, acknowledged + (moved[id] and 1 or 0), proposed)
			else
				revision = math.max(bounded(held[1]) + 1, proposed, acknowledged, highest + 1)
			end
			highest = math.max(highest, revision)
			if sequence > 0 then
				made[id] = revision
			end
			local text = string.format('%.0f', revision)
			set[3] = text
			if kind == 1 then
				set[#set + 1] = '_full'
				set[#set + 1] = '1'
			elseif kind == 3 then
				set[#set + 1] = '_gone'
				set[#set + 1] = '1'
			end
			for i = 1, #names do
				set[#set + 1] = '_d:' .. names[i]
				set[#set + 1] = text
			end
			local creates = kind == 1 or kind == 4
			local born = held[5] and bounded(held[5]) or revision
			if not held[1] or (held[5] and creates) then
				-- the time of the acknowledgement, not of the replay
				born = math.min(born, dated)
				set[#set + 1] = '_born'
				set[#set + 1] = string.format('%.0f', born)
			end
			if creates then
				set[#set + 1] = '_made'
				set[#set + 1] = '1'
				set[#set + 1] = '_d:_new'
				set[#set + 1] = string.format('%.0f', since > 0 and math.min(since, born) or revision)
			end
			if not held[2] then
				set[#set + 1] = '_dirty'
				set[#set + 1] = string.format('%.0f', math.floor(dated / 1000))
			end
			redis.call('HSET', unpack(set))
			if kind == 3 then
				bury(ticket, names)
				local new = redis.pcall('SADD', graves, id)
				buried = buried + (tonumber(new) or 0) -- an error where another program uses the key
			end
			if #nulls > 1 then
				redis.call('HDEL', unpack(nulls))
			end
			if not held[2] then
				redis.call('PERSIST', ticket)
				waiting = waiting + (quota > 0 and 1 or 0)
			end
			if held[4] then
				redis.call('HDEL', ticket, '_dead')
				redis.call('ZREM', dead, id)
			end
			redis.call('ZADD', dirty, 'LT', due, id)
			if request then
				redis.call('SET', request, id .. ' ' .. text .. ' ' .. digest, 'PX', memory)
			end
			if feed.keep then
				told(kind, id, text, held, at, origin, promised, set, names, values, total)
			end
			answer(0, id, revision, held[7] and bounded(held[7]))
		end
	end
	if sequence > 0 then
		arrived = math.max(arrived, sequence)
		unmade[sequence] = refused or nil
	end
end

if buried > 0 then
	redis.call('HINCRBY', meta, 'gone', buried)
end
if highest > before then
	redis.call('HSET', meta, 'rev', string.format('%.0f', highest))
end
feed.close(meta)
if arrived > arrivedBefore then
	redis.call('HSET', meta, 'seq:' .. journal, string.format('%.0f', arrived))
end
if oldest > 0 then
	local numbers = {}
	for number in pairs(unmade) do
		numbers[#numbers + 1] = string.format('%.0f', number)
	end
	if #numbers > 0 then
		redis.call('HSET', meta, 'unmade:' .. journal, table.concat(numbers, ' '))
	elseif known[5] then
		redis.call('HDEL', meta, 'unmade:' .. journal)
	end
end
return out
