-- Makes a batch of mutations, each atomically, in one call.
--
-- KEYS[1]  the partition's dirty index (sorted set: member = ticket id, score = due time in ms)
-- KEYS[2]  the partition's dead letters (sorted set: member = ticket id, score = time in ms)
-- KEYS[3]  the partition's meta hash: epoch (which filling of this Redis it is), rev (the highest revision assigned), and for each
--          journal fence:{id} (what its daemon's direct writes must carry) and seq:{id} (how far it has been replayed)
-- KEYS[4…] per mutation its ticket's hash, then, where it has a request id, the key that remembers the request
--
-- ARGV[1]  the epoch that the caller knows
-- ARGV[2]  the id of the caller's journal, or empty
-- ARGV[3]  the fence that the caller knows; empty where the mutations are replayed from the journal, or there is none
-- ARGV[4]  how many mutations follow; then per mutation:
--   its sequence number in the journal and the revision that it was acknowledged with, both 0 where it is not replayed,
--   kind (1 create, 2 set, 3 delete, 4 create of what is not the whole ticket), ticket id, proposed revision (in µs: it dates the
--   change), due time in ms, required revision or 0, for how many ms its request id is remembered or 0 where it has none,
--   count of values, name and value of each, count of NULLs, name of each
--
-- Returns per mutation: status, ticket id, revision. The id is text, as Lua's numbers hold none above 2^53.
--   status 0: done, or a repetition of a request that was done
--   status 1: conflict, the ticket is at this revision
--   status 2: the ticket was deleted
--   status 3: the key holds something that is no hash
--   status 9: the key holds a hash that another program wrote, as it has no _rev; stray.lua makes a ticket of it
-- Or the error EPOCH: the meta hash is gone or of another filling; nothing was done.
-- Or the error FENCE: the fence was raised since the caller looked, so what it sends may be late; nothing was done.
--
-- What is replayed is made once: a sequence number up to the recorded one is passed over. Where the ticket is held, its revision is
-- the acknowledged one if that is above what is held, so that a client can go on from it, also where the same request had been made
-- before; where not, the row's revision is unknown, and only one above all others is safe.
--
-- HSET comes first among the writes: it is what Redis refuses when it is out of memory, before anything has changed.

local dirty, dead, meta = KEYS[1], KEYS[2], KEYS[3]

local journal, fence = ARGV[2], ARGV[3]

local known = redis.call('HMGET', meta, 'epoch', 'rev', 'fence:' .. journal, 'seq:' .. journal)
if known[1] ~= ARGV[1] then
	return redis.error_reply('EPOCH ' .. (known[1] or ''))
end
if fence ~= '' and known[3] ~= fence then
	return redis.error_reply('FENCE was raised')
end
local highest = tonumber(known[2]) or 0
local arrived = tonumber(known[4]) or 0
local before, arrivedBefore = highest, arrived

local k, a = 3, 4
local function key()
	k = k + 1
	return KEYS[k]
end
local function arg()
	a = a + 1
	return ARGV[a]
end

local function conflicts(kind, held, required)
	local rev = tonumber(held[1]) or 0
	if required > 0 and required ~= rev then
		return 1, rev
	end
	if held[3] and kind ~= 3 then
		return 2, rev
	end
end

-- stand keeps the revision that was acknowledged for a request which had been made before: its direct write arrived after all,
-- nobody heard of it, and the journal answered. What the request changed is flushed once more, under this revision.
local function stand(ticket, id, names, nulls, held, acknowledged, due)
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
		set[#set + 1] = string.format('%.0f', math.floor(acknowledged / 1000))
	end
	redis.call('HSET', unpack(set))
	redis.call('PERSIST', ticket)
	if not held[4] then
		redis.call('ZADD', dirty, 'LT', due, id)
	end
end

local out = {}
local function answer(status, id, rev)
	local n = #out
	out[n + 1], out[n + 2], out[n + 3] = status, id, rev
end

for _ = 1, tonumber(ARGV[4]) do
	local sequence, acknowledged = tonumber(arg()), tonumber(arg())
	local kind, id, proposed, due = tonumber(arg()), arg(), tonumber(arg()), arg()
	local required, memory = tonumber(arg()), arg()
	local ticket = key()
	local request = memory ~= '0' and key()

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

	local done = request and redis.call('GET', request)
	local first, rev = string.match(done or '', '(%d+) (%d+)')
	if sequence > 0 and first ~= id then
		done = false -- this ticket was acknowledged, whatever the same request has made before: so it must be there
	end
	local held = redis.pcall('HMGET', ticket, '_rev', '_dirty', '_gone', '_dead')
	local behind = sequence > 0 and held[1] and (kind == 3 or not held[3]) and acknowledged > (tonumber(held[1]) or 0)
	if kind == 3 then
		names[#names + 1] = '_gone'
	end
	if sequence > 0 and sequence <= arrived then
		answer(0, id, acknowledged)
	elseif done then
		if behind then
			stand(ticket, id, names, nulls, held, acknowledged, due)
			highest = math.max(highest, acknowledged)
			rev = string.format('%.0f', acknowledged)
			redis.call('SET', request, id .. ' ' .. rev, 'KEEPTTL') -- who repeats the request is told that one
		end
		answer(0, first, tonumber(rev))
	elseif held.err then
		answer(3, id, 0)
	elseif not held[1] and (kind == 2 or kind == 3) and redis.call('EXISTS', ticket) == 1 then
		answer(9, id, 0)
	else
		local status, have = conflicts(kind, held, required)
		if status then
			answer(status, id, have)
		elseif kind == 3 and held[3] then
			if behind then
				stand(ticket, id, names, nulls, held, acknowledged, due)
				highest = math.max(highest, acknowledged)
			end
			answer(0, id, behind and acknowledged or tonumber(held[1]) or 0)
		else
			local revision
			if sequence > 0 and held[1] then
				revision = math.max((tonumber(held[1]) or 0) + 1, acknowledged)
			else
				revision = math.max((tonumber(held[1]) or 0) + 1, proposed, acknowledged, highest + 1)
			end
			highest = math.max(highest, revision)
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
			if not held[2] then
				set[#set + 1] = '_dirty'
				set[#set + 1] = string.format('%.0f', math.floor(proposed / 1000))
			end
			redis.call('HSET', unpack(set))
			if #nulls > 1 then
				redis.call('HDEL', unpack(nulls))
			end
			if not held[2] then
				redis.call('PERSIST', ticket)
			end
			if held[4] then
				redis.call('HDEL', ticket, '_dead')
				redis.call('ZREM', dead, id)
			end
			redis.call('ZADD', dirty, 'LT', due, id)
			if request then
				redis.call('SET', request, id .. ' ' .. text, 'PX', memory)
			end
			answer(0, id, revision)
		end
	end
	arrived = math.max(arrived, sequence)
end

if highest > before then
	redis.call('HSET', meta, 'rev', string.format('%.0f', highest))
end
if arrived > arrivedBefore then
	redis.call('HSET', meta, 'seq:' .. journal, string.format('%.0f', arrived))
end
return out
