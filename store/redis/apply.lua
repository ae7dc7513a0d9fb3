-- Makes a batch of mutations, each atomically, in one call.
--
-- KEYS[1]  the partition's dirty index (sorted set: member = ticket id, score = due time in ms)
-- KEYS[2]  the partition's dead letters (sorted set: member = ticket id, score = time in ms)
-- KEYS[3]  the partition's meta hash: epoch (which filling of this Redis it is), rev (the highest revision assigned), gone (how many
--          tombstones there are), and for each journal fence:{id} (what its daemon's direct writes must carry), seq:{id} (how far
--          it has been replayed) and unmade:{id} (the sequence numbers up to that, with spaces between them, of the entries that
--          the last replay could not make)
-- KEYS[4…] per mutation its ticket's hash, the tombstones of its bucket (a set of ids), then, where it has a request id, the key that
--          remembers the request
--
-- ARGV[1]  the epoch that the caller knows
-- ARGV[2]  the id of the caller's journal, or empty
-- ARGV[3]  the fence that the caller knows; empty where there is none
-- ARGV[4]  how many mutations follow; then per mutation:
--   its sequence number in the journal and the revision that it was acknowledged with, both 0 where it is not replayed,
--   kind (1 create, 2 set, 3 delete, 4 create of what is not the whole ticket), ticket id, proposed revision (above the acknowledged
--   one where Redis may have gone back in time since), when the change was accepted by the clocks in µs (store.Mutation.Dated), due
--   time in ms, required revision or 0 or -1 (the ticket must be held), from when on a ticket that has the id of a create that
--   arrives late may be that create's own (store.Mutation.Since), when a set or deletion was acknowledged that arrives late
--   (store.Mutation.Late), or 0, and if not 0 what store.Mutation.RowBorn is, for how many ms its request id is remembered or 0
--   where it has none, where it has one the request's digest, which may be empty: not known,
--   count of values, name and value of each, count of NULLs, name of each
-- ARGV[#ARGV - 1]  now in µs, by the caller's clock
-- ARGV[#ARGV]  how many tickets of the partition may be dirty; 0 where there is no bound
--
-- Returns per mutation: status, ticket id, revision, and the mark _d:_new where it was made to a ticket whose create the next place
-- does not have yet, else 0. The id is text, as Lua's numbers hold none above 2^53.
--   status 0: done, or a repetition of a request that was done
--   status 1: conflict, the ticket is at this revision
--   status 2: the ticket was deleted
--   status 3: the key holds something that is no hash
--   status 4: a create, and its id is taken: by another ticket, one that was deleted, or something else that uses the key
--   status 5: the ticket must be held and is not
--   status 6: the request id belongs to another request, as their digests differ
--   status 7: the ticket would be one dirty ticket too many; nothing was changed
--   status 8: the key holds a hash that another program wrote, as it has no _rev; stray.lua makes a ticket of it
--   status 10: a set or deletion that arrives late, and was acknowledged before the ticket was created
--   status 9: a create that arrives late, and the next place must say whether the ticket that has its id, or had it, is its own
-- The revision is 0 where the ticket is not held: the refusal rests on a tombstone, or on something else that uses the key.
--
-- A replay ends with the first create whose id is taken, or may be (9): what follows is not looked at, as it may be of the ticket
-- that the create was to make. Nothing is returned for it, and the create does not count as arrived.
-- Or the error EPOCH: the meta hash is gone or of another filling; nothing was done.
-- Or the error QUOTA: what is replayed would be too many dirty tickets; nothing was done.
-- Or the error FENCE: the fence was raised since the caller looked, so what it sends may be late; nothing was done.
--
-- What is replayed is made once: a sequence number up to the recorded one is passed over, unless that entry could not be made when it
-- was sent before, and the caller sends it again as the reply was lost. A replay begins with the oldest entry that waits; what is
-- before it in unmade was settled. Where the ticket is held, its revision is
-- the acknowledged one if that is above what is held, so that a client can go on from it, also where the same request had been made
-- before (a create that joins the ticket gets the next one, as its client has not seen the rest of the ticket); where not, the row's
-- revision is unknown, and only one above all others is safe.
--
-- A request's key holds the ticket id, the revision and the digest, with a space between them; earlier versions wrote no digest.
-- A change that is replayed was acknowledged: it is made even if its request id now belongs to another request.
--
-- A create that arrives late and meets nothing here is made unless revisions are ahead of the clocks: see store.Mutation.Free.
--
-- HSET comes first among the writes: it is what Redis refuses when it is out of memory, before anything has changed.

local dirty, dead, meta = KEYS[1], KEYS[2], KEYS[3]
local journal, fence = ARGV[2], ARGV[3]

local known = redis.call('HMGET', meta, 'epoch', 'rev', 'fence:' .. journal, 'seq:' .. journal, 'unmade:' .. journal, 'line', 'run')
local doubt = known[6] and known[7] ~= known[6] -- clean copies may be older than the next place, see doubt.go
if known[1] ~= ARGV[1] then
	return redis.error_reply('EPOCH ' .. (known[1] or ''))
end
if fence ~= '' and known[3] ~= fence then
	return redis.error_reply('FENCE was raised')
end
local quota = tonumber(ARGV[#ARGV])
local waiting = quota > 0 and redis.call('ZCARD', dirty) or -1
if waiting >= quota and (tonumber(ARGV[5]) or 0) > 0 then
	return redis.error_reply('QUOTA is reached') -- it waits in the journal meanwhile, in its order
end
local highest = bounded(known[2])
local ahead = highest > tonumber(ARGV[#ARGV - 1]) + 1000000 -- store.AheadBy
local arrived = tonumber(known[4]) or 0
if arrived > ceiling then -- no journal has come so far: what is replayed counts as not arrived
	arrived = 0
end
local before, arrivedBefore, buried = highest, arrived, 0
local oldest, unmade = tonumber(ARGV[5]) or 0, {}
for number in string.gmatch(known[5] or '', '%d+') do
	if tonumber(number) >= oldest then
		unmade[tonumber(number)] = true
	end
end

local k, a = 3, 4
local function key()
	k = k + 1
	return KEYS[k]
end
local function arg()
	a = a + 1
	return ARGV[a]
end

-- apart says why a create that arrives late does not join a ticket, which is another one (4), or may be (9). born is when a
-- mutation began to hold it; nil where a row did, or where only its deletion is known. See store.Mutation.Joins.
local function apart(since, row, born)
	if since == 0 or (born and born <= since) or (row > 0 and row <= since) then
		return 4
	elseif row == 0 then
		return 9
	end
end

-- refusal returns the status and the revision of a mutation that cannot be made; nothing where it can.
local function refusal(kind, id, ticket, graves, held, required, since, row)
	if held.err then -- something else uses the key
		return (kind == 1 or kind == 4) and 4 or 3, 0
	end
	local rev = bounded(held[1])
	if doubt and held[1] and not held[2] and required ~= 0 and held[8] ~= known[6] then
		return required > 0 and 1 or 5, 0
	elseif (kind == 2 or kind == 3) and held[6] and since > 0 and since < bounded(held[5]) and not ahead then -- see store.Mutation.Predates
		return 10, rev
	elseif required > 0 and required ~= rev then
		return 1, rev
	elseif kind == 3 then
		if not held[1] and redis.call('EXISTS', ticket) == 1 then -- another program's: the store takes it over first
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

-- bury forgets all that a ticket holds but for what is of its deletion: what was changed before must not arrive any more.
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

-- stand keeps the revision that was acknowledged for a request which had been made before: its direct write arrived after all,
-- nobody heard of it, and the journal answered. What the request changed is flushed once more, under this revision.
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

-- made is the revision of a ticket's newest change that is no repetition, where this call has replayed one of either kind. moved are
-- tickets of which it is newer than the first of a replayed repetition: readers on the journal's host saw the repetition's values
-- over that change, so what they saw under the revisions of the repetition and of what follows is not what is here. The same holds
-- for a create that joins a ticket: its readers saw the create's fields as the whole ticket.
local made, moved = {}, {}

local out = {}
local function answer(status, id, rev, new)
	local n = #out
	out[n + 1], out[n + 2], out[n + 3], out[n + 4] = status, id, rev, new or 0
end

for _ = 1, tonumber(ARGV[4]) do
	local sequence, acknowledged = tonumber(arg()), tonumber(arg())
	local kind, id, proposed, dated, due = tonumber(arg()), arg(), tonumber(arg()), tonumber(arg()), arg()
	local required, since = tonumber(arg()), tonumber(arg())
	local row = since > 0 and tonumber(arg()) or 0
	local memory = arg()
	local ticket, graves = key(), key()
	local request = memory ~= '0' and key()
	local digest = request and arg() or ''

	local set = { ticket, '_rev', '' }
	local names = {}
	for _ = 1, tonumber(arg()) do
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

	local refused = false
	local done = request and redis.call('GET', request)
	local first, rev, asked = string.match(done or '', '(%d+) (%d+) ?(.*)')
	local reused = done and asked ~= digest and asked ~= '' and digest ~= ''
	if sequence > 0 and (first ~= id or reused) then
		done, reused = false, false -- this was acknowledged, whatever the same id has made before: so it must be there
	end
	local held = redis.pcall('HMGET', ticket, '_rev', '_dirty', '_gone', '_dead', '_born', '_made', '_d:_new', '_line')
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
			highest = math.max(highest, stands)
			rev = string.format('%.0f', acknowledged)
			redis.call('SET', request, id .. ' ' .. rev .. ' ' .. digest, 'KEEPTTL') -- a repetition of the request returns this revision
		end
		answer(0, first, tonumber(rev))
	else
		local status, have = refusal(kind, id, ticket, graves, held, required, since, row)
		if not status and not held[2] and sequence == 0 and waiting >= quota then
			status, have = 7, bounded(held[1])
		end
		if status then
			answer(status, id, have)
			if (status == 4 or status == 9) and sequence > 0 then
				break
			end
			refused = status ~= 2
		elseif kind == 3 and held[3] then
			if behind then
				stand(ticket, id, names, nulls, held, acknowledged, dated, due, true)
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
				-- made when it was acknowledged, not when it came here
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
				buried = buried + (tonumber(new) or 0) -- an error where something else uses the key
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
